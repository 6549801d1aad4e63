package fuzz

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// input hands out the bytes of a fuzz input, zeros behind its end.
type input []byte

func (in *input) next() int {
	if len(*in) == 0 {
		return 0
	}
	b := (*in)[0]
	*in = (*in)[1:]
	return int(b)
}

// openPair makes the same feed in a store and in files.
func openPair(t *testing.T) (s *engine.Store, feeds [2]*engine.Feed) {
	s, err := engine.Open("store", &engine.Options{FS: vfs.NewMem(), Sync: engine.SyncNever})
	if err != nil {
		t.Fatal(err)
	}
	keys := tree.KeyPairFromSeed([32]byte{7})
	co := &engine.CreateOptions{}
	co.SecretKey = &keys.Secret
	if feeds[0], err = s.Create(t.Context(), co); err != nil {
		t.Fatal(err)
	}
	fo := &engine.FilesOptions{NoSync: true}
	fo.SecretKey = &keys.Secret
	if feeds[1], err = engine.OpenFiles(t.Context(), randomaccess.NewMemory(randomaccess.MemoryOptions{}).Open, fo); err != nil {
		t.Fatal(err)
	}
	return s, feeds
}

// FuzzOperations runs a list of operations on a feed in rows, on one in files and on
// a slice.
func FuzzOperations(f *testing.F) {
	f.Add([]byte{0, 5, 3, 0, 70, 1, 1, 2, 9, 2, 4, 3, 4})
	f.Add([]byte{0, 40, 200, 1, 3, 30, 0, 33, 1, 1, 0, 200, 2, 2, 2})
	f.Add(bytes.Repeat([]byte{0, 1, 9, 1, 0, 1}, 20))
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 200 {
			return
		}
		s, feeds := openPair(t)
		defer s.Close()
		defer feeds[1].Close()
		var blocks [][]byte
		var present []bool
		for in := input(ops); len(in) > 0; {
			switch op, a, b := in.next()%4, in.next(), in.next(); op {
			case 0: // append
				var batch [][]byte
				for range a % 80 {
					batch = append(batch, bytes.Repeat([]byte{byte(len(blocks) + len(batch))}, b))
				}
				for _, f := range feeds {
					if seq, err := f.Append(t.Context(), batch...); err != nil || seq != uint64(len(blocks)) {
						t.Fatalf("append = %d, %v", seq, err)
					}
				}
				for _, b := range batch {
					blocks, present = append(blocks, b), append(present, true)
				}
			case 1: // clear
				if len(blocks) == 0 {
					continue
				}
				start := a % len(blocks)
				end := start + 1 + b%len(blocks)
				for _, f := range feeds {
					if _, err := f.Clear(t.Context(), uint64(start), uint64(end)); err != nil {
						t.Fatal(err)
					}
				}
				for i := start; i < min(end, len(blocks)); i++ {
					present[i] = false
				}
			case 2: // bring a block back
				if len(blocks) == 0 {
					continue
				}
				i := a % len(blocks)
				for _, f := range feeds {
					p, err := f.Proof(uint64(i), uint64(b), false)
					if err != nil {
						t.Fatal(err)
					}
					if err := f.Put(t.Context(), uint64(i), blocks[i], p); err != nil {
						t.Fatal(err)
					}
				}
				present[i] = true
			case 3: // a block and a proof that do not fit
				if len(blocks) == 0 {
					continue
				}
				i := a % len(blocks)
				for _, f := range feeds {
					p, err := f.Proof(uint64(i), 0, false)
					if err != nil {
						t.Fatal(err)
					}
					wrong := append([]byte{byte(b)}, blocks[i]...)
					if err := f.Put(t.Context(), uint64(i), wrong, p); err == nil {
						t.Fatal("a wrong block was taken")
					}
				}
			}
		}
		compare(t, s, feeds, blocks, present)
	})
}

func compare(t *testing.T, s *engine.Store, feeds [2]*engine.Feed, blocks [][]byte, present []bool) {
	for _, f := range feeds {
		for i, want := range blocks {
			b, err := f.Get(t.Context(), uint64(i), &engine.GetOptions{NoWait: true})
			if !present[i] && !errors.Is(err, engine.ErrNotPresent) || present[i] && (err != nil || !bytes.Equal(b, want)) {
				t.Fatalf("block %d: present %v, %d bytes, %v", i, present[i], len(b), err)
			}
		}
	}
	r, err := s.Check(t.Context(), &engine.CheckOptions{OnProblem: func(p *engine.Problem) { t.Error(p) }})
	if err != nil || r.Problems > 0 {
		t.Fatalf("check %+v, %v", r, err)
	}
}

// FuzzImport imports directories that somebody else made: whatever they hold, the
// import ends, and what it took is sound.
func FuzzImport(f *testing.F) {
	m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	feed, err := engine.OpenFiles(context.Background(), m.Open, nil)
	if err != nil {
		f.Fatal(err)
	}
	for i := range 9 {
		if _, err := feed.Append(context.Background(), bytes.Repeat([]byte{1}, i)); err != nil {
			f.Fatal(err)
		}
	}
	feed.Close()
	var files [6][]byte
	for i, name := range sleep.FileNames() {
		s, err := m.Open(name)
		if err != nil {
			f.Fatal(err)
		}
		info, _ := s.Stat()
		files[i] = make([]byte, info.Size)
		_, _ = s.ReadAt(files[i], 0)
		s.Close()
	}
	f.Add(files[0], files[1], files[2], files[3], files[4], files[5])
	f.Add([]byte{}, []byte{}, []byte{}, []byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g []byte) {
		m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
		for i, content := range [][]byte{a, b, c, d, e, g} {
			s, err := m.Open(sleep.FileNames()[i])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.WriteAt(content, 0); err != nil {
				t.Fatal(err)
			}
			s.Close()
		}
		s, err := engine.Open("store", &engine.Options{FS: vfs.NewMem(), Sync: engine.SyncNever})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Import(t.Context(), m.Open, nil); err != nil {
			if u, err := s.Usage(t.Context()); err != nil || u != (engine.Usage{}) {
				t.Fatalf("a refused import left %+v, %v", u, err)
			}
		}
		compare(t, s, [2]*engine.Feed{}, nil, nil)
	})
}
