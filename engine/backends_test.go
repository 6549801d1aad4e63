package engine_test

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// backend makes feeds of one kind for tests that run on both.
type backend struct {
	name string
	// create makes a writable feed, replica an empty one of the same key.
	create  func(t testing.TB, pair tree.KeyPair) *engine.Feed
	replica func(t testing.TB, key tree.PublicKey) *engine.Feed
	// files returns the six files of a feed; those that do not exist are absent.
	files func(t testing.TB, f *engine.Feed) map[string][]byte
}

// backends returns the two: the rows of a store, and files on random-access
// storage.
func backends() []backend {
	memories := make(map[*engine.Feed]*randomaccess.Memory)
	openFiles := func(t testing.TB, o *engine.FilesOptions) *engine.Feed {
		t.Helper()
		m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
		f, err := engine.OpenFiles(t.Context(), m.Open, o)
		if err != nil {
			t.Fatal(err)
		}
		memories[f] = m
		t.Cleanup(func() { f.Close() })
		return f
	}
	return []backend{
		{
			name: "store",
			create: func(t testing.TB, pair tree.KeyPair) *engine.Feed {
				o := &engine.CreateOptions{}
				o.SecretKey = &pair.Secret
				return createFeed(t, openStore(t, nil), o)
			},
			replica: func(t testing.TB, key tree.PublicKey) *engine.Feed {
				f, err := openStore(t, nil).Open(t.Context(), key, &engine.FeedOptions{Sparse: true})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { f.Close() })
				return f
			},
			files: func(t testing.TB, f *engine.Feed) map[string][]byte {
				t.Helper()
				v, err := f.NewView(t.Context(), true)
				if err != nil {
					t.Fatal(err)
				}
				return readFiles(t, v.Open)
			},
		},
		{
			name: "files",
			create: func(t testing.TB, pair tree.KeyPair) *engine.Feed {
				o := &engine.FilesOptions{}
				o.SecretKey = &pair.Secret
				return openFiles(t, o)
			},
			replica: func(t testing.TB, key tree.PublicKey) *engine.Feed {
				o := &engine.FilesOptions{Key: key}
				o.Sparse = true
				return openFiles(t, o)
			},
			files: func(t testing.TB, f *engine.Feed) map[string][]byte {
				t.Helper()
				open := memories[f].Open
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
				return readFiles(t, open)
			},
		},
	}
}

// readFiles reads the six files of a feed. Empty ones are left out.
func readFiles(t testing.TB, open randomaccess.Opener) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for _, name := range sleep.FileNames() {
		s, err := open(name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := s.Stat()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, info.Size)
		if _, err := s.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("%s: %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if len(b) > 0 {
			files[name] = b
		}
	}
	return files
}

// eachBackend runs a test on both kinds of feeds.
func eachBackend(t *testing.T, test func(t *testing.T, b backend)) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) { test(t, b) })
	}
}

// transfer fetches a block, or its hash, from one feed into another as a peer would.
func transfer(t testing.TB, from, to *engine.Feed, index uint64, hash bool) {
	t.Helper()
	if err := deliver(t, from, to, index, hash); err != nil {
		t.Fatalf("deliver block %d: %v", index, err)
	}
}

func deliver(t testing.TB, from, to *engine.Feed, index uint64, hash bool) error {
	t.Helper()
	digest, err := to.Digest(index)
	if err != nil {
		t.Fatal(err)
	}
	d := tree.Delivery{Block: index, HasData: !hash}
	if d.Proof, err = from.Proof(index, digest, hash); err != nil {
		t.Fatal(err)
	}
	if !hash {
		if d.Data, err = from.Get(t.Context(), index, &engine.GetOptions{NoWait: true}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = to.Deliver(t.Context(), nil, []tree.Delivery{d})
	return err
}

// diffFiles reports files that differ.
func diffFiles(t testing.TB, got, want map[string][]byte) {
	t.Helper()
	for _, name := range sleep.FileNames() {
		g, w := got[name], want[name]
		if slices.Equal(g, w) {
			continue
		}
		at := 0
		for at < min(len(g), len(w)) && g[at] == w[at] {
			at++
		}
		t.Errorf("file %s: %d bytes, want %d, first difference at %d", name, len(g), len(w), at)
	}
}
