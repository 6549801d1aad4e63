package static_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/static"
	"github.com/cairn-feeds/cairn/tree"
)

const helloWorld = "e1a31bb8716f0a0487377e22dbc7f0491fb47a712ac21519792a4e32cf56fb6f"

// TestIDs finalizes the feeds of the vectors, appended in one go and one by one, and compares
// ids and every proof.
func TestIDs(t *testing.T) {
	for _, v := range loadVectors(t).IDs {
		c := openCore(t)
		var blocks [][]byte
		for _, b := range v.Blocks {
			blocks = append(blocks, b)
		}
		f, err := c.Add()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for i, b := range blocks {
			if first, err := f.Append(t.Context(), b); err != nil || first != uint64(i) {
				t.Fatalf("block %d was appended as %d: %v", i, first, err)
			}
		}
		id, err := f.Finalize(t.Context())
		if err != nil || id != v.ID {
			t.Errorf("%d blocks one by one: id %v, %v, want %v", len(blocks), id, err, v.ID)
		}
		if id := put(t, openCore(t), blocks...); id != v.ID {
			t.Errorf("%d blocks at once: id %v, want %v", len(blocks), id, v.ID)
		}
		for n, want := range v.Proofs {
			proof, err := f.AppendProof(nil, uint64(n))
			if err != nil {
				t.Fatal(err)
			}
			var indexes []tree.Index
			for _, node := range proof {
				indexes = append(indexes, node.Index)
				at := slices.IndexFunc(v.Nodes, func(x tree.Node) bool { return x.Index == node.Index })
				if at < 0 || v.Nodes[at].Hash != node.Hash {
					t.Errorf("%d blocks: node %d of the proof of block %d is %v", len(blocks), node.Index, n, node.Hash)
				}
			}
			if !slices.Equal(indexes, want) {
				t.Errorf("%d blocks: the proof of block %d is %v, want %v", len(blocks), n, indexes, want)
			}
		}
	}
}

func TestFinalize(t *testing.T) {
	c := openCore(t)
	f, err := c.Add()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Finalize(t.Context()); !errors.Is(err, engine.ErrEmpty) {
		t.Errorf("finalizing nothing: %v", err)
	}
	if _, ok := f.ID(); ok || f.Blocks() != 0 || f.Has(0) {
		t.Error("an empty feed has an id, blocks or a block")
	}
	if _, err := f.Append(t.Context(), []byte("hello"), []byte("world")); err != nil {
		t.Fatal(err)
	}
	if !f.Has(1) || f.Has(2) || f.Blocks() != 2 || f.Downloading() {
		t.Error("what was appended is not there")
	}
	if b, err := f.Get(t.Context(), 1); err != nil || string(b) != "world" {
		t.Errorf("block 1 before the end is %q, %v", b, err)
	}
	if _, err := f.Get(t.Context(), 2); !errors.Is(err, engine.ErrRange) {
		t.Errorf("behind the end: %v", err)
	}
	if err := f.Put(t.Context(), 2, nil, nil); !errors.Is(err, static.ErrNotFinalized) {
		t.Errorf("put before the end: %v", err)
	}
	id, err := f.Finalize(t.Context())
	if err != nil || id.String() != helloWorld {
		t.Fatalf("id %v, %v", id, err)
	}
	if again, err := f.Finalize(t.Context()); again != id || err != nil {
		t.Errorf("finalized again: %v, %v", again, err)
	}
	if _, err := f.Append(t.Context(), []byte("!")); !errors.Is(err, static.ErrFinalized) {
		t.Errorf("append to a finalized feed: %v", err)
	}
	if !f.Complete() || !f.Downloading() {
		t.Error("a finalized feed is not complete or of no interest")
	}
}

func TestGetWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := openCore(t)
		id := put(t, from, someBlocks(3)...)
		source := get(t, from, id)
		c := openCore(t)
		f := get(t, c, id)
		if f.Blocks() != 0 || f.Has(1) {
			t.Error("a feed of which nothing is here has blocks")
		}
		var changes atomic.Int32
		defer f.Watch(func() { changes.Add(1) })()

		type answer struct {
			data []byte
			err  error
		}
		ask := func(n uint64) chan answer {
			a := make(chan answer, 1)
			go func() {
				b, err := f.Get(t.Context(), n)
				a <- answer{b, err}
			}()
			synctest.Wait()
			return a
		}
		one, nine := ask(1), ask(9)
		ready := make(chan error, 1)
		go func() { ready <- f.Ready(t.Context()) }()
		synctest.Wait()
		if got := f.Wants(nil); !slices.Equal(got, []uint64{1, 9}) || changes.Load() < 2 {
			t.Errorf("waiting for %v after %d changes", got, changes.Load())
		}
		if _, err := f.Deliver(t.Context(), []tree.Delivery{delivery(t, source, 1)}); err != nil {
			t.Fatal(err)
		}
		if a := <-one; a.err != nil || !bytes.Equal(a.data, someBlocks(3)[1]) {
			t.Errorf("block 1 is %q, %v", a.data, a.err)
		}
		if a := <-nine; !errors.Is(a.err, engine.ErrRange) {
			t.Errorf("block 9 of 3: %q, %v", a.data, a.err)
		}
		if err := <-ready; err != nil || f.Blocks() != 3 {
			t.Errorf("%d blocks, %v", f.Blocks(), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Get(ctx, 0); !errors.Is(err, context.DeadlineExceeded) || len(f.Wants(nil)) > 0 {
			t.Errorf("a get that nobody answers: %v, waiting %v", err, f.Wants(nil))
		}
		last := ask(0)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if a := <-last; !errors.Is(a.err, engine.ErrClosed) {
			t.Errorf("a get at the close: %v", a.err)
		}
		if _, err := f.Get(t.Context(), 1); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("a get after the close: %v", err)
		}
	})
}

func TestRead(t *testing.T) {
	c := openCore(t)
	blocks := someBlocks(10)
	id := put(t, c, blocks...)
	for _, o := range []*static.ReadOptions{nil, {Start: 3}, {Limit: 4}, {Start: 8, Limit: 4}, {Start: 10}, {Start: 99}} {
		want := blocks
		if o != nil {
			want = want[min(o.Start, 10):]
			if o.Limit > 0 {
				want = want[:min(o.Limit, uint64(len(want)))]
			}
		}
		var got [][]byte
		for b, err := range c.Read(t.Context(), id, o) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, bytes.Clone(b))
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%+v: %q, want %q", o, got, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range c.Read(ctx, static.ID{1}, nil) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("reading with an ended context: %v", err)
		}
	}
}

func TestWriter(t *testing.T) {
	c := openCore(t)
	w, err := c.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	for _, s := range []string{"hello", "world"} {
		copy(buf, s) // what was written is not kept
		if n, err := w.Write(buf); n != 5 || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := w.Close(); err != nil || w.ID().String() != helloWorld || w.Blocks() != 2 {
		t.Errorf("%v with %d blocks, %v", w.ID(), w.Blocks(), err)
	}
	if w, err = c.NewWriter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); !errors.Is(err, engine.ErrEmpty) {
		t.Errorf("a stream without blocks: %v", err)
	}
	if w, err = c.NewWriter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, static.MaxBlockSize+1)); !errors.Is(err, engine.ErrBlockTooLarge) {
		t.Errorf("a block that is too large: %v", err)
	}
	if err := w.Close(); !errors.Is(err, engine.ErrBlockTooLarge) {
		t.Errorf("the error does not stick: %v", err)
	}
}

func TestList(t *testing.T) {
	c := openCore(t)
	want := map[static.ID]uint64{}
	for n := 1; n < 20; n++ {
		want[put(t, c, someBlocks(n)...)] = uint64(n)
	}
	unfinished, err := c.Add()
	if err != nil {
		t.Fatal(err)
	}
	defer unfinished.Close()
	if _, err := unfinished.Append(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	get(t, c, static.ID{9}) // of which nothing is here
	got := map[static.ID]uint64{}
	for i, err := range c.List() {
		if err != nil {
			t.Fatal(err)
		}
		if !i.Complete() {
			t.Errorf("%v is not complete", i)
		}
		got[i.ID] = i.Blocks
	}
	if len(got) != len(want) {
		t.Errorf("%d feeds, want %d", len(got), len(want))
	}
	for id, n := range want {
		if got[id] != n {
			t.Errorf("%v has %d blocks, want %d", id, got[id], n)
		}
		if i, err := c.Find(id.String()[:16]); err != nil || i.ID != id {
			t.Errorf("find %v: %v, %v", id, i.ID, err)
		}
	}
	if _, err := c.Find(""); !errors.Is(err, engine.ErrNoFeed) {
		t.Errorf("find nothing: %v", err)
	}
}

func TestRemove(t *testing.T) {
	c := openCore(t)
	id := put(t, c, someBlocks(5)...)
	f, err := c.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Remove(id); !errors.Is(err, static.ErrInUse) {
		t.Errorf("removing an open feed: %v", err)
	}
	f.Close()
	if err := c.Remove(id); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Info(id); !errors.Is(err, engine.ErrNoFeed) {
		t.Errorf("after removing: %v", err)
	}
	if err := c.Remove(id); !errors.Is(err, engine.ErrNoFeed) {
		t.Errorf("removing again: %v", err)
	}
}

// TestInterest follows the events of the core.
func TestInterest(t *testing.T) {
	c := openCore(t)
	var heard []static.ID
	defer c.Watch(func(id static.ID) { heard = append(heard, id) })()
	s := c.Subscribe()
	defer s.Close()
	id := static.ID{7}
	first, second := get(t, c, id), get(t, c, id)
	<-s.Signal()
	if e := s.Take(); !slices.Equal(e.Interested, []static.ID{id}) || e.Uninterested != nil {
		t.Errorf("opened: %+v", e)
	}
	if got := slices.Collect(c.Interests()); !slices.Equal(got, []static.ID{id}) {
		t.Errorf("interests %v", got)
	}
	first.Close()
	if e := s.Take(); e.Interested != nil || e.Uninterested != nil || !second.Downloading() {
		t.Errorf("one of two closed: %+v", e)
	}
	second.Close()
	<-s.Signal()
	if e := s.Take(); e.Interested != nil || !slices.Equal(e.Uninterested, []static.ID{id}) {
		t.Errorf("closed: %+v", e)
	}
	get(t, c, id).Close()
	if e := s.Take(); e.Interested != nil || e.Uninterested != nil {
		t.Errorf("opened and closed: %+v", e)
	}
	if len(heard) != 4 {
		t.Errorf("watched %v", heard)
	}
	finalized := put(t, c, []byte("x"))
	if len(heard) != 6 || heard[4] != finalized {
		t.Errorf("watched %v", heard)
	}
	if _, ok, err := c.Lookup(static.ID{8}); ok || err != nil {
		t.Errorf("a feed that is not here was found: %v", err)
	}
	f, ok, err := c.Lookup(finalized)
	if !ok || err != nil || f.Downloading() || len(heard) != 6 {
		t.Errorf("looking up made a feed interesting: %v", err)
	}
	f.Close()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if e := s.Take(); !e.Closed {
		t.Error("no event of the close")
	}
	if _, err := c.Get(id); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("get of a closed core: %v", err)
	}
}

func TestSubscribe(t *testing.T) {
	from, c := openCore(t), openCore(t)
	f, err := from.Add()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := f.Subscribe()
	if _, err := f.Append(t.Context(), someBlocks(3)...); err != nil {
		t.Fatal(err)
	}
	id, err := f.Finalize(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-s.Signal()
	if e := s.Take(); !e.Ready || !e.Finalized || e.Synced || e.Downloaded != nil {
		t.Errorf("finalized: %+v", e)
	}
	s.Close()
	if e := s.Take(); !e.Closed {
		t.Error("no event of the close")
	}

	to := get(t, c, id)
	s = to.Subscribe()
	for _, n := range []uint64{2, 0} {
		if _, err := to.Deliver(t.Context(), []tree.Delivery{delivery(t, f, n)}); err != nil {
			t.Fatal(err)
		}
	}
	if e := s.Take(); !e.Ready || e.Synced || e.Downloaded.String() != bitmap.NewSet(bitmap.Run{Start: 0, End: 1}, bitmap.Run{Start: 2, End: 3}).String() {
		t.Errorf("two of three blocks: %+v", e)
	}
	if _, err := to.Deliver(t.Context(), []tree.Delivery{delivery(t, f, 1)}); err != nil {
		t.Fatal(err)
	}
	to.Uploaded(bitmap.NewSet(bitmap.Run{Start: 1, End: 2}))
	if e := s.Take(); e.Ready || !e.Synced || e.Downloaded.Len() != 1 || !e.Uploaded.Has(1) {
		t.Errorf("the last block: %+v", e)
	}
	to.Close()
	if e := s.Take(); !e.Closed {
		t.Error("no event of the close")
	}
}

// TestFinalizeWhatIsThere makes a feed whose content the store has already, whole, in part,
// and open.
func TestFinalizeWhatIsThere(t *testing.T) {
	blocks := someBlocks(9)
	from := openCore(t)
	id := put(t, from, blocks...)
	source := get(t, from, id)
	for _, there := range []uint64{0, 4, 9} {
		for _, open := range []bool{false, true} {
			c := openCore(t)
			f, err := c.Get(id)
			if err != nil {
				t.Fatal(err)
			}
			for n := range there {
				if _, err := f.Deliver(t.Context(), []tree.Delivery{delivery(t, source, n)}); err != nil {
					t.Fatal(err)
				}
			}
			if !open {
				f.Close()
			}
			if again := put(t, c, blocks...); again != id {
				t.Fatalf("id %v, want %v", again, id)
			}
			if open && !f.Complete() {
				t.Error("the open feed is not complete")
			}
			f.Close()
			f = get(t, c, id)
			for n, want := range blocks {
				if b, err := f.Get(t.Context(), uint64(n)); err != nil || !bytes.Equal(b, want) {
					t.Errorf("%d blocks there, open %v: block %d is %q, %v", there, open, n, b, err)
				}
				if _, err := f.AppendProof(nil, uint64(n)); err != nil {
					t.Errorf("proof: %v", err)
				}
			}
		}
	}
}

// TestLimits appends what is not allowed.
func TestLimits(t *testing.T) {
	c := openCore(t)
	f, err := c.Add()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.Append(t.Context(), []byte("a"), make([]byte, static.MaxBlockSize+1))
	if e, ok := errors.AsType[*engine.BlockError](err); !ok || e.Block != 1 || !errors.Is(err, engine.ErrBlockTooLarge) || f.Blocks() != 0 {
		t.Errorf("a block that is too large: %v, and %d blocks", err, f.Blocks())
	}
	if _, err := f.Append(t.Context(), make([]byte, static.MaxBlockSize)); err != nil {
		t.Errorf("the largest block: %v", err)
	}
}

// TestOneCore says that a store has one core, and that the next one removes what was left.
func TestOneCore(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, fs, nil)
	c := coreOf(t, s)
	if _, err := static.Open(s); !errors.Is(err, engine.ErrTableInUse) {
		t.Errorf("a second core: %v", err)
	}
	f, err := c.Add()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Append(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	id := put(t, c, []byte("y"))
	if err := s.Close(); err != nil { // before the core, which cannot remove the unfinished feed
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, fs, &engine.Options{ReadOnly: true})
	c = coreOf(t, s)
	if f, err := c.Add(); err != nil {
		t.Fatal(err)
	} else if _, err := f.Append(t.Context(), []byte("x")); !errors.Is(err, engine.ErrReadOnly) {
		t.Errorf("append to a store that is read-only: %v", err)
	}
	if i, err := c.Info(id); err != nil || !i.Complete() {
		t.Errorf("%+v, %v", i, err)
	}
	c.Close()
	s.Close()
	s = openStore(t, fs, nil)
	c = coreOf(t, s)
	c.Close()
	table, err := s.StaticTable()
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	rows := map[byte]int{}
	err = table.Scan(nil, nil, func(key, _ []byte) bool { rows[key[0]]++; return true })
	if err != nil || len(rows) != 3 || rows[1] != 1 || rows[2] != 1 || rows[0x40] != 2 {
		t.Errorf("rows by kind: %v, %v", rows, err)
	}
}
