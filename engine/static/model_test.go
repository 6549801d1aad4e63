package static_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/static"
	"github.com/cairn-feeds/cairn/tree"
)

// TestPartial downloads feeds of any length in any order, some of it mutated, and now and
// then reopens the store: what is there is what was delivered.
func TestPartial(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 70).Draw(rt, "blocks")
		blocks := someBlocks(n)
		from := openCore(t)
		defer from.Close()
		id := put(t, from, blocks...)
		source := get(t, from, id)
		fs := vfs.NewMem()
		s := openStore(t, fs, &engine.Options{Sync: engine.SyncNever})
		c := coreOf(t, s)
		put(t, c, someBlocks(n+1)...) // another feed, that has other nodes of the same numbers
		f := get(t, c, id)
		have := map[uint64]bool{}
		for range rapid.IntRange(0, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				f.Close()
				c.Close()
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				s = openStore(t, fs, &engine.Options{Sync: engine.SyncNever})
				c = coreOf(t, s)
				f = get(t, c, id)
			case 1:
				d := delivery(t, source, rapid.Uint64Range(0, uint64(n)-1).Draw(rt, "bad block"))
				if have[d.Block] {
					continue
				}
				mutate(rt, &d)
				accepted, err := f.Deliver(t.Context(), []tree.Delivery{d})
				if e, ok := errors.AsType[*tree.ProofError](err); !ok || e.Block != d.Block || !errors.Is(err, static.ErrProof) || accepted != 0 {
					rt.Fatalf("a mutated block was accepted: %v", err)
				}
			default:
				var ds []tree.Delivery
				for range rapid.IntRange(1, 5).Draw(rt, "batch") {
					ds = append(ds, delivery(t, source, rapid.Uint64Range(0, uint64(n)-1).Draw(rt, "block")))
				}
				if accepted, err := f.Deliver(t.Context(), ds); err != nil || accepted != len(ds) {
					rt.Fatalf("%d of %d accepted: %v", accepted, len(ds), err)
				}
				for _, d := range ds {
					have[d.Block] = true
				}
			}
			check(rt, f, blocks, have)
		}
		f.Close()
		c.Close()
		s.Close()
	})
}

// mutate changes a block or what proves it, so that it cannot be verified even by who knows
// all about the feed.
func mutate(t *rapid.T, d *tree.Delivery) {
	if len(d.Data) == 0 || rapid.Bool().Draw(t, "longer") {
		d.Data = append(bytes.Clone(d.Data), 0)
		return
	}
	d.Data = bytes.Clone(d.Data)
	d.Data[rapid.IntRange(0, len(d.Data)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
}

// check compares a feed with what it should have.
func check(t *rapid.T, f *static.Feed, blocks [][]byte, have map[uint64]bool) {
	if want := uint64(len(blocks)); len(have) > 0 && f.Blocks() != want || len(have) == 0 && f.Blocks() != 0 {
		t.Fatalf("%d blocks, want %d", f.Blocks(), want)
	}
	var bytesHere uint64
	for i, want := range blocks {
		n := uint64(i)
		got, err := f.AppendBlock(nil, n)
		if f.Has(n) != have[n] || f.Present().Has(n) != have[n] {
			t.Fatalf("block %d: has %v, want %v", n, f.Has(n), have[n])
		}
		if !have[n] {
			if !errors.Is(err, engine.ErrNotPresent) {
				t.Fatalf("block %d that is not here: %v", n, err)
			}
			continue
		}
		bytesHere += uint64(len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("block %d is %q, %v", n, got, err)
		}
		if _, err := f.AppendProof(nil, n); err != nil {
			t.Fatalf("proof of block %d: %v", n, err)
		}
	}
	if n, size := f.Downloaded(); n != uint64(len(have)) || size != bytesHere {
		t.Fatalf("%d blocks of %d bytes are here, want %d of %d", n, size, len(have), bytesHere)
	}
}

// TestBadProofs refuses every mutation of a proof by who knows nothing of the feed yet.
func TestBadProofs(t *testing.T) {
	from := openCore(t)
	id := put(t, from, someBlocks(11)...)
	source := get(t, from, id)
	f := get(t, openCore(t), id)
	for n := range uint64(11) {
		good := delivery(t, source, n)
		refuse := func(what string, proof []tree.Node) {
			t.Helper()
			err := f.Put(t.Context(), n, good.Data, proof)
			if !errors.Is(err, static.ErrProof) || f.Blocks() != 0 || f.Has(n) {
				t.Errorf("block %d, %s: %v", n, what, err)
			}
		}
		nodes := good.Proof.Nodes
		for i := range nodes {
			refuse(fmt.Sprint("without node ", i), slices.Delete(slices.Clone(nodes), i, i+1))
			bad := slices.Clone(nodes)
			bad[i].Hash[5] ^= 1
			refuse(fmt.Sprint("another hash ", i), bad)
			bad = slices.Clone(nodes)
			bad[i].Index += 2
			refuse(fmt.Sprint("another index ", i), bad)
		}
		refuse("no proof", nil)
		refuse("a node too far", append(slices.Clone(nodes), tree.Node{Index: 1 << 60}))
		refuse("a length too far", []tree.Node{{Index: 1<<40 - 1}})
		if err := f.Put(t.Context(), n+11, good.Data, nodes); !errors.Is(err, static.ErrProof) {
			t.Errorf("block %d in place of %d: %v", n, n+11, err)
		}
	}
	if err := f.Put(t.Context(), 1<<63, nil, delivery(t, source, 0).Proof.Nodes); !errors.Is(err, static.ErrProof) {
		t.Errorf("block 2^63: %v", err)
	}
}

// TestPages downloads a feed that has more blocks than a page of the map, in an order that
// leaves holes in each.
func TestPages(t *testing.T) {
	const n = bitmap.PageSize + 100
	from := openCore(t)
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = []byte{byte(i), byte(i >> 8), byte(i >> 16)}
	}
	id := put(t, from, blocks...)
	nodes := make(map[tree.Index]tree.Hash)
	for i, b := range blocks {
		at := tree.LeafIndex(uint64(i))
		for nodes[at] = leafOf(b); at.Sibling() < at; at = at.Parent() {
			left, right := nodes[at.Sibling()], nodes[at]
			nodes[at.Parent()] = sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
		}
	}
	fs := vfs.NewMem()
	s := openStore(t, fs, &engine.Options{Sync: engine.SyncNever})
	c := coreOf(t, s)
	f := get(t, c, id)
	deliver := func(first, last, step uint64) {
		var ds []tree.Delivery
		for i := first; i < last; i += step {
			var proof []tree.Node
			at := tree.LeafIndex(i).Sibling()
			for ; at.RightSpan() < 2*n; at = at.Parent().Sibling() {
				proof = append(proof, tree.Node{Index: at, Hash: nodes[at]})
			}
			for _, at := range tree.AppendFullRoots(nil, n) {
				proof = append(proof, tree.Node{Index: at, Hash: nodes[at]})
			}
			ds = append(ds, tree.Delivery{Block: i, Data: blocks[i], HasData: true, Proof: tree.Proof{Nodes: proof}})
		}
		if _, err := f.Deliver(t.Context(), ds); err != nil {
			t.Fatal(err)
		}
	}
	deliver(bitmap.PageSize-10, bitmap.PageSize+10, 1)
	deliver(n-50, n, 7)
	deliver(0, 500, 3)
	want := f.Present()
	reopen := func() {
		f.Close()
		c.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, fs, &engine.Options{Sync: engine.SyncNever})
		c = coreOf(t, s)
		f = get(t, c, id)
	}
	reopen()
	if got := f.Present(); !got.Equal(want) || want.Len() != 20+8+167 {
		t.Errorf("present %v, want %v", got, want)
	}
	deliver(0, 600, 1) // the prefix grows within a page
	reopen()
	if got := f.Present(); got.NextMissing(0) != 600 {
		t.Errorf("prefix %d", got.NextMissing(0))
	}
	deliver(0, n, 1)
	if !f.Complete() {
		t.Error("not complete")
	}
	reopen()
	if !f.Complete() || !f.Has(n-1) {
		t.Error("not complete any more")
	}
	c.Close()
	table, err := s.StaticTable()
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	err = table.Scan([]byte{0x40}, nil, func(key, _ []byte) bool {
		if key[9] == 1 {
			t.Errorf("a complete feed has the page row %x", key)
		}
		return key[9] == 1
	})
	if err != nil {
		t.Error(err)
	}
}

// TestCrash loses power between any two changes: what was answered is there.
func TestCrash(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fs := vfs.NewCrashableMem()
		c := coreOf(t, openStore(t, fs, nil))
		from := openCore(t)
		id := put(t, from, someBlocks(40)...)
		source := get(t, from, id)
		f := get(t, c, id)
		var finalized []static.ID
		unfinished, err := c.Add()
		if err != nil {
			t.Fatal(err)
		}
		for i := range rng.IntN(30) {
			if _, err := unfinished.Append(t.Context(), []byte("never")); err != nil {
				t.Fatal(err)
			}
			if i%3 == 0 {
				finalized = append(finalized, put(t, c, someBlocks(i+1)...))
				continue
			}
			if _, err := f.Deliver(t.Context(), []tree.Delivery{delivery(t, source, rng.Uint64N(40))}); err != nil {
				t.Fatal(err)
			}
		}
		want := f.Present()
		after := coreOf(t, openStore(t, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng}), nil))
		g := get(t, after, id)
		if !g.Present().Equal(want) {
			t.Errorf("seed %d: present %v, want %v", seed, g.Present(), want)
		}
		for _, id := range finalized {
			if n := len(slices.Collect(blocksOf(t, after, id))); n == 0 {
				t.Errorf("seed %d: %v has no blocks", seed, id)
			}
		}
		unfinished.Close()
	}
}

// blocksOf yields the blocks of a complete feed.
func blocksOf(t *testing.T, c *static.Core, id static.ID) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		if i, err := c.Info(id); err != nil || !i.Complete() {
			t.Errorf("%v: %+v, %v", id, i, err)
			return
		}
		for b, err := range c.Read(t.Context(), id, nil) {
			if err != nil {
				t.Error(err)
			}
			if err != nil || !yield(b) {
				return
			}
		}
	}
}
