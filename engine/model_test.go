package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/tree"
)

// modelFeed is the obvious feed: a slice of blocks, nil where one is missing.
type modelFeed struct {
	blocks  [][]byte // as appended
	present []bool
}

func (m *modelFeed) byteLength() (n uint64) {
	for _, b := range m.blocks {
		n += uint64(len(b))
	}
	return n
}

func (m *modelFeed) count(start, end int) (n uint64) {
	for _, p := range m.present[start:end] {
		if p {
			n++
		}
	}
	return n
}

// subject is a feed under test with what it takes to close and open it again.
type subject interface {
	feed() *engine.Feed
	reopen(t *rapid.T)
	close()
}

// storeSubject is a feed in a store.
type storeSubject struct {
	fs  vfs.FS
	o   engine.Options
	s   *engine.Store
	f   *engine.Feed
	key tree.PublicKey
}

func newStoreSubject(t *rapid.T, o engine.Options) *storeSubject {
	x := &storeSubject{fs: vfs.NewMem(), o: o}
	x.o.FS = x.fs
	x.open(t)
	f, err := x.s.Create(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	x.f, x.key = f, f.Key()
	return x
}

func (x *storeSubject) open(t *rapid.T) {
	s, err := engine.Open("store", &x.o)
	if err != nil {
		t.Fatal(err)
	}
	x.s = s
}

func (x *storeSubject) feed() *engine.Feed { return x.f }
func (x *storeSubject) close()             { x.s.Close() }

func (x *storeSubject) reopen(t *rapid.T) {
	if err := x.s.Close(); err != nil {
		t.Fatal(err)
	}
	x.open(t)
	f, err := x.s.Open(t.Context(), x.key, nil)
	if err != nil {
		t.Fatal(err)
	}
	x.f = f
}

// fileSubject is a feed on files of its own.
type fileSubject struct {
	m *randomaccess.Memory
	f *engine.Feed
}

func (x *fileSubject) feed() *engine.Feed { return x.f }
func (x *fileSubject) close()             { x.f.Close() }

func (x *fileSubject) reopen(t *rapid.T) {
	if x.f != nil {
		if err := x.f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	f, err := engine.OpenFiles(t.Context(), x.m.Open, nil)
	if err != nil {
		t.Fatal(err)
	}
	x.f = f
}

// TestModel runs random operations on a feed and on a slice and compares them.
func TestModel(t *testing.T) {
	subjects := map[string]func(t *rapid.T) subject{
		"store": func(t *rapid.T) subject { return newStoreSubject(t, engine.Options{}) },
		"store-uncached": func(t *rapid.T) subject {
			return newStoreSubject(t, engine.Options{StorageCacheSize: -1, InlineBlocks: true, Sync: engine.SyncNever})
		},
		"files": func(t *rapid.T) subject {
			x := &fileSubject{m: randomaccess.NewMemory(randomaccess.MemoryOptions{})}
			x.reopen(t)
			return x
		},
	}
	for name, open := range subjects {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				x := open(t)
				defer func() { x.close() }()
				m := new(modelFeed)
				t.Repeat(map[string]func(*rapid.T){
					"append": func(t *rapid.T) { modelAppend(t, x.feed(), m) },
					"clear":  func(t *rapid.T) { modelClear(t, x.feed(), m) },
					"put":    func(t *rapid.T) { modelPut(t, x.feed(), m) },
					"get":    func(t *rapid.T) { modelGet(t, x.feed(), m) },
					"seek":   func(t *rapid.T) { modelSeek(t, x.feed(), m) },
					"reopen": func(t *rapid.T) { x.reopen(t) },
					"":       func(t *rapid.T) { modelCompare(t, x.feed(), m) },
				})
				a, err := x.feed().Audit(t.Context(), nil)
				if err != nil || a.Invalid != 0 || a.Valid != m.count(0, len(m.present)) {
					t.Fatalf("audit %+v, %v", a, err)
				}
				if s, ok := x.(*storeSubject); ok {
					checkClean(t, s.s)
				}
			})
		})
	}
}

// checkClean fails when the store has a problem.
func checkClean(t rapid.TB, s *engine.Store) {
	t.Helper()
	r, err := s.Check(context.Background(), &engine.CheckOptions{OnProblem: func(p *engine.Problem) { t.Errorf("check: %v", p) }})
	if err != nil || r.Problems != 0 {
		t.Fatalf("check: %+v, %v", r, err)
	}
}

func modelAppend(t *rapid.T, f *engine.Feed, m *modelFeed) {
	n := rapid.SampledFrom([]int{0, 1, 1, 2, 5, 31, 32, 33, 70}).Draw(t, "blocks")
	batch := make([][]byte, n)
	for i := range batch {
		batch[i] = bytes.Repeat([]byte{byte(len(m.blocks) + i)}, rapid.SampledFrom([]int{0, 1, 10, 300, 5000}).Draw(t, "size"))
	}
	seq, err := f.Append(t.Context(), batch...)
	if err != nil || seq != uint64(len(m.blocks)) {
		t.Fatalf("append = %d, %v, want %d", seq, err, len(m.blocks))
	}
	m.blocks = append(m.blocks, batch...)
	for range batch {
		m.present = append(m.present, true)
	}
}

func modelClear(t *rapid.T, f *engine.Feed, m *modelFeed) {
	start := rapid.IntRange(0, len(m.blocks)).Draw(t, "start")
	end := rapid.IntRange(start, len(m.blocks)+3).Draw(t, "end")
	if end == 0 {
		return // means start+1
	}
	c, err := f.Clear(t.Context(), uint64(start), uint64(end))
	if err != nil {
		t.Fatal(err)
	}
	end = min(end, len(m.blocks))
	start = min(start, end)
	var want engine.Cleared
	for i := start; i < end; i++ {
		if m.present[i] {
			want.Blocks++
			want.Bytes += uint64(len(m.blocks[i]))
		}
		m.present[i] = false
	}
	if c != want {
		t.Fatalf("clear [%d, %d) = %+v, want %+v", start, end, c, want)
	}
}

// modelPut brings blocks back that were cleared.
func modelPut(t *rapid.T, f *engine.Feed, m *modelFeed) {
	missing := slices.Index(m.present, false)
	if missing < 0 {
		return
	}
	n := rapid.IntRange(1, 40).Draw(t, "count")
	var ds []tree.Delivery
	for i := missing; i < len(m.blocks) && len(ds) < n; i++ {
		p, err := f.Proof(uint64(i), 0, false)
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, tree.Delivery{Block: uint64(i), Data: m.blocks[i], HasData: true, Proof: p})
		m.present[i] = true
	}
	if got, err := f.Deliver(t.Context(), nil, ds); err != nil || got != len(ds) {
		t.Fatalf("deliver: %d of %d, %v", got, len(ds), err)
	}
}

func modelGet(t *rapid.T, f *engine.Feed, m *modelFeed) {
	i := rapid.IntRange(0, len(m.blocks)+1).Draw(t, "block")
	b, err := f.Get(t.Context(), uint64(i), &engine.GetOptions{NoWait: true})
	if i >= len(m.blocks) || !m.present[i] {
		if !errors.Is(err, engine.ErrNotPresent) {
			t.Fatalf("get %d: %v", i, err)
		}
		return
	}
	if err != nil || !bytes.Equal(b, m.blocks[i]) {
		t.Fatalf("get %d = %d bytes, %v, want %d", i, len(b), err, len(m.blocks[i]))
	}
}

func modelSeek(t *rapid.T, f *engine.Feed, m *modelFeed) {
	total := m.byteLength()
	at := rapid.Uint64Range(0, total).Draw(t, "byte")
	block, offset, err := f.Seek(t.Context(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantBlock, wantOffset := uint64(len(m.blocks)), uint64(0)
	sum := uint64(0)
	for i, b := range m.blocks {
		if at < sum+uint64(len(b)) || at == 0 {
			wantBlock, wantOffset = uint64(i), at-sum
			break
		}
		sum += uint64(len(b))
	}
	if at == 0 {
		wantBlock, wantOffset = 0, 0
	}
	if block != wantBlock || offset != wantOffset {
		t.Fatalf("seek %d of %d = %d, %d, want %d, %d", at, total, block, offset, wantBlock, wantOffset)
	}
}

func modelCompare(t *rapid.T, f *engine.Feed, m *modelFeed) {
	n := len(m.blocks)
	if f.Length() != uint64(n) || f.ByteLength() != m.byteLength() || f.Downloaded(0, 0) != m.count(0, n) {
		t.Fatalf("length %d, bytes %d, downloaded %d; want %d, %d, %d", f.Length(), f.ByteLength(), f.Downloaded(0, 0), n, m.byteLength(), m.count(0, n))
	}
	for i, p := range m.present {
		if f.Has(uint64(i)) != p {
			t.Fatalf("has %d = %v", i, !p)
		}
	}
	start, end := n/3, n-n/4
	if got := f.Downloaded(uint64(start), uint64(max(end, 1))); end > start && got != m.count(start, end) {
		t.Fatalf("downloaded [%d, %d) = %d, want %d", start, end, got, m.count(start, end))
	}
	var runs []string
	for r, err := range f.Present(0, uint64(n)) {
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, fmt.Sprint(r))
		for i := r.Start; i < r.End; i++ {
			if !m.present[i] {
				t.Fatalf("runs %v have block %d", runs, i)
			}
		}
	}
}
