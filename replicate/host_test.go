package replicate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/replicate"
	"github.com/cairn-feeds/cairn/tools/peers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openStore opens a store in memory that is closed when the test ends.
func openStore(t testing.TB) *engine.Store {
	t.Helper()
	s, err := engine.Open("store", &engine.Options{FS: vfs.NewMem(), Sync: engine.SyncNever})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// createFeed makes a feed of count blocks, block i of which is peers.Pattern(i, size).
func createFeed(t testing.TB, s *engine.Store, count, size int) *engine.Feed {
	t.Helper()
	f, err := s.Create(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fill(t, f, count, size)
	return f
}

func fill(t testing.TB, f *engine.Feed, count, size int) {
	t.Helper()
	first := f.Length()
	var blocks [][]byte
	for i := range uint64(count) {
		blocks = append(blocks, peers.Pattern(first+i, size))
		if len(blocks) == 1000 || i == uint64(count)-1 {
			if _, err := f.Append(context.Background(), blocks...); err != nil {
				t.Fatal(err)
			}
			blocks = blocks[:0]
		}
	}
}

// openFeed opens a feed of somebody else's.
func openFeed(t testing.TB, s *engine.Store, of *engine.Feed, sparse bool) *engine.Feed {
	t.Helper()
	f, err := s.Open(t.Context(), of.Key(), &engine.FeedOptions{Sparse: sparse})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func newHost(t testing.TB, s replicate.Store, opts *replicate.Options) *replicate.Host {
	h := replicate.NewHost(s, opts)
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h
}

// link puts feeds on a new session between two hosts.
func link(t testing.TB, a, b *replicate.Host, fa, fb []*engine.Feed) (sa, sb *replicate.Session) {
	t.Helper()
	ca, cb := net.Pipe()
	sa = a.Start(context.Background(), ca, true)
	sb = b.Start(context.Background(), cb, false)
	add(t, sa, fa...)
	add(t, sb, fb...)
	return sa, sb
}

func add(t testing.TB, s *replicate.Session, feeds ...*engine.Feed) {
	t.Helper()
	for _, f := range feeds {
		if _, err := s.Add(f, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func checkBlocks(t testing.TB, f *engine.Feed, start, end uint64, size int) {
	t.Helper()
	for i := start; i < end; i++ {
		b, ok, err := f.Block(nil, i)
		if err != nil || !ok || !bytes.Equal(b, peers.Pattern(i, size)) {
			t.Fatalf("block %d: %d bytes, present %v, %v", i, len(b), ok, err)
		}
	}
}

func TestNonLive(t *testing.T) {
	for _, count := range []int{0, 1, 11, 3000} {
		t.Run(fmt.Sprintf("blocks=%d", count), func(t *testing.T) {
			from, to := openStore(t), openStore(t)
			a := createFeed(t, from, count, 100)
			b := openFeed(t, to, a, false)
			ha, hb := newHost(t, nil, nil), newHost(t, nil, nil)
			sa, sb := link(t, ha, hb, []*engine.Feed{a}, []*engine.Feed{b})
			if err := errors.Join(sa.Wait(), sb.Wait()); err != nil {
				t.Fatal(err)
			}
			if b.Length() != uint64(count) {
				t.Fatalf("length %d, want %d", b.Length(), count)
			}
			checkBlocks(t, b, 0, uint64(count), 100)
			if got := hb.Stats().DownloadedBlocks; got != uint64(count) {
				t.Errorf("%d blocks downloaded", got)
			}
			if got := ha.Stats().UploadedBlocks; got != uint64(count) {
				t.Errorf("%d blocks uploaded", got)
			}
		})
	}
}

// openStoreSynced is openStore with a store that syncs every append, so that blocks
// are offered at once.
func openStoreSynced(t testing.TB) *engine.Store {
	t.Helper()
	s, err := engine.Open("store", &engine.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
