package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openStore opens a store in memory that is closed when the test ends.
func openStore(t testing.TB, opts *engine.Options) *engine.Store {
	t.Helper()
	var o engine.Options
	if opts != nil {
		o = *opts
	}
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	s, err := engine.Open("store", &o)
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

// createFeed makes a writable feed that is closed when the test ends.
func createFeed(t testing.TB, s *engine.Store, opts *engine.CreateOptions) *engine.Feed {
	t.Helper()
	f, err := s.Create(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func mustAppend(t testing.TB, f *engine.Feed, blocks ...[]byte) uint64 {
	t.Helper()
	seq, err := f.Append(context.Background(), blocks...)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func TestAppendGetReopen(t *testing.T) {
	fs := vfs.NewMem()
	opts := &engine.Options{FS: fs}
	s, err := engine.Open("store", opts)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Create(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	key := f.Key()
	var want [][]byte
	for i, n := range []int{1, 3, 40, 100, 0, 7} {
		var batch [][]byte
		for j := range n {
			batch = append(batch, []byte(fmt.Sprintf("batch %d block %d", i, j)))
		}
		if got := mustAppend(t, f, batch...); got != uint64(len(want)) {
			t.Fatalf("batch %d: seq %d, want %d", i, got, len(want))
		}
		want = append(want, batch...)
	}
	check := func(f *engine.Feed) {
		t.Helper()
		if f.Length() != uint64(len(want)) || f.Downloaded(0, 0) != uint64(len(want)) {
			t.Fatalf("length %d, downloaded %d, want %d", f.Length(), f.Downloaded(0, 0), len(want))
		}
		for i, w := range want {
			got, err := f.Get(t.Context(), uint64(i), nil)
			if err != nil || !bytes.Equal(got, w) {
				t.Fatalf("block %d = %q, %v, want %q", i, got, err, w)
			}
		}
		covers, sig, err := f.Signature(5)
		if err != nil || covers != 43 {
			t.Fatalf("signature of block 5 covers %d, %v, want 43", covers, err)
		}
		if err := f.Verify(covers, sig); err != nil {
			t.Fatal(err)
		}
		if err := f.Verify(covers-1, sig); !errors.Is(err, tree.ErrSignature) {
			t.Fatalf("verify at the wrong length: %v", err)
		}
		a, err := f.Audit(t.Context(), nil)
		if err != nil || a.Valid != uint64(len(want)) || a.Invalid != 0 {
			t.Fatalf("audit: %+v, %v", a, err)
		}
	}
	check(f)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(t.Context(), 0, nil); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("get after close: %v", err)
	}
	if s, err = engine.Open("store", opts); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Recovery().Unclean {
		t.Error("a clean close looks unclean")
	}
	if f, err = s.Open(t.Context(), key, nil); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	check(f)
}

// TestConcurrentAppends: appends that meet become batches with one signature, and
// each caller learns its own place.
func TestConcurrentAppends(t *testing.T) {
	s := openStore(t, nil)
	f := createFeed(t, s, nil)
	const writers, each = 16, 50
	seqs := make([][]uint64, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				seq, err := f.Append(t.Context(), []byte(fmt.Sprint(w, " ", i, " a")), []byte(fmt.Sprint(w, " ", i, " b")))
				if err != nil {
					t.Error(err)
					return
				}
				seqs[w] = append(seqs[w], seq)
			}
		})
	}
	wg.Wait()
	if f.Length() != writers*each*2 {
		t.Fatalf("length %d, want %d", f.Length(), writers*each*2)
	}
	for w := range writers {
		for i, seq := range seqs[w] {
			for k, suffix := range []string{"a", "b"} {
				got, err := f.Get(t.Context(), seq+uint64(k), nil)
				if want := fmt.Sprint(w, " ", i, " ", suffix); err != nil || string(got) != want {
					t.Fatalf("block %d = %q, %v, want %q", seq, got, err, want)
				}
			}
		}
	}
	if a, err := f.Audit(t.Context(), nil); err != nil || a.Invalid != 0 {
		t.Fatalf("audit %+v, %v", a, err)
	}
}

func TestReplicaBySparseProofs(t *testing.T) {
	s := openStore(t, nil)
	f := createFeed(t, s, nil)
	var blocks [][]byte
	for i := range 300 {
		blocks = append(blocks, bytes.Repeat([]byte{byte(i)}, i))
	}
	mustAppend(t, f, blocks...)
	other := openStore(t, nil)
	g, err := other.Open(t.Context(), f.Key(), &engine.FeedOptions{Sparse: true})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for _, i := range []uint64{299, 0, 7, 128, 129, 130, 5} {
		d, err := g.Digest(i)
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.Proof(i, d, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Put(t.Context(), i, blocks[i], p); err != nil {
			t.Fatalf("put %d: %v", i, err)
		}
		got, err := g.Get(t.Context(), i, &engine.GetOptions{NoWait: true})
		if err != nil || !bytes.Equal(got, blocks[i]) {
			t.Fatalf("get %d: %v", i, err)
		}
	}
	if g.Length() != 300 || g.ByteLength() != f.ByteLength() || g.Downloaded(0, 0) != 7 {
		t.Errorf("length %d, bytes %d, downloaded %d", g.Length(), g.ByteLength(), g.Downloaded(0, 0))
	}
	p, err := f.Proof(50, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	err = g.Put(t.Context(), 50, append(blocks[50:51:51][0], 1), p)
	if _, ok := errors.AsType[*tree.ProofError](err); !ok {
		t.Fatalf("a wrong block gave %v", err)
	}
	if g.Has(50) {
		t.Fatal("a wrong block is present")
	}
	if _, err := g.Append(t.Context(), []byte("x")); !errors.Is(err, engine.ErrNotWritable) {
		t.Errorf("append to a replica: %v", err)
	}
}

func TestClear(t *testing.T) {
	s := openStore(t, nil)
	f := createFeed(t, s, nil)
	var blocks [][]byte
	for i := range 200 {
		blocks = append(blocks, []byte(fmt.Sprint("block ", i)))
	}
	mustAppend(t, f, blocks[:100]...)
	for _, b := range blocks[100:] {
		mustAppend(t, f, b)
	}
	c, err := f.Clear(t.Context(), 10, 150)
	if err != nil {
		t.Fatal(err)
	}
	var bytesFreed uint64
	for _, b := range blocks[10:150] {
		bytesFreed += uint64(len(b))
	}
	if c.Blocks != 140 || c.Bytes != bytesFreed {
		t.Errorf("cleared %+v, want 140 blocks, %d bytes", c, bytesFreed)
	}
	for i := range blocks {
		want := i < 10 || i >= 150
		if f.Has(uint64(i)) != want {
			t.Fatalf("has %d = %v", i, !want)
		}
		got, err := f.Get(t.Context(), uint64(i), &engine.GetOptions{NoWait: true})
		if want && (err != nil || !bytes.Equal(got, blocks[i])) || !want && !errors.Is(err, engine.ErrNotPresent) {
			t.Fatalf("get %d: %q, %v", i, got, err)
		}
	}
	mustAppend(t, f, []byte("more"))
	if a, err := f.Audit(t.Context(), nil); err != nil || a.Valid != 61 || a.Invalid != 0 {
		t.Errorf("audit %+v, %v", a, err)
	}
}
