package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

func TestGetBatch(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		blocks := testBlocks(100)
		writer, f := writerAndReplica(t, b, blocks)
		for _, r := range [][2]uint64{{0, 100}, {0, 0}, {7, 7}, {99, 100}, {31, 33}} {
			got, err := writer.GetBatch(t.Context(), r[0], r[1], nil)
			if err != nil || len(got) != int(r[1]-r[0]) {
				t.Fatalf("batch %v: %d blocks, %v", r, len(got), err)
			}
			for i := range got {
				mustBlock(t, outcome[[]byte]{value: got[i]}, blocks[int(r[0])+i])
			}
		}
		_, err := writer.GetBatch(t.Context(), 5, 4, nil)
		mustFail(t, err, engine.ErrRange)
		_, err = writer.GetBatch(t.Context(), 0, 1<<40, nil)
		mustFail(t, err, engine.ErrRange)

		transfer(t, writer, f, 10, false)
		_, err = f.GetBatch(t.Context(), 10, 12, &engine.GetOptions{NoWait: true})
		mustFail(t, err, engine.ErrNotPresent)
		if e, ok := errors.AsType[*engine.BlockError](err); !ok || e.Block != 11 {
			t.Errorf("%v does not name block 11", err)
		}
		waited := uint64(0)
		got := later(func() ([][]byte, error) {
			return f.GetBatch(t.Context(), 10, 13, &engine.GetOptions{OnWait: func(i uint64) { waited += i }})
		})
		whenWaiting(t, f, 1)
		transfer(t, writer, f, 12, false)
		transfer(t, writer, f, 11, false)
		o := receive(t, got)
		if o.err != nil || !bytes.Equal(bytes.Join(o.value, nil), bytes.Join(blocks[10:13], nil)) || waited != 11 {
			t.Errorf("batch %q, %v, waited for %d", o.value, o.err, waited)
		}
		if !f.Demand().Idle() {
			t.Error("the batch left something that waits")
		}
	})
}

func TestHead(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		writer, f := writerAndReplica(t, b, nil)
		_, err := writer.Head(t.Context(), nil)
		mustFail(t, err, engine.ErrEmpty)
		mustAppend(t, writer, []byte("a"))
		mustAppend(t, writer, []byte("b"), []byte("c"))
		head, err := writer.Head(t.Context(), nil)
		mustBlock(t, outcome[[]byte]{head, err}, []byte("c"))
		transfer(t, writer, f, 2, true)
		_, err = f.Head(t.Context(), &engine.GetOptions{NoWait: true})
		mustFail(t, err, engine.ErrNotPresent)
	})
}

// TestHas: presence of single blocks and ranges, at and behind the edges.
func TestHas(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		writer, f := writerAndReplica(t, b, testBlocks(70))
		for _, i := range []uint64{0, 1, 2, 31, 32, 33, 69} {
			transfer(t, writer, f, i, false)
		}
		for i, want := range map[uint64]bool{0: true, 3: false, 30: false, 31: true, 33: true, 34: false, 69: true, 70: false, 1 << 60: false} {
			if f.Has(i) != want {
				t.Errorf("has %d = %v", i, !want)
			}
		}
		for r, want := range map[[2]uint64]bool{
			{0, 3}: true, {0, 4}: false, {31, 34}: true, {30, 32}: false, {69, 70}: true, {69, 71}: false,
			{5, 5}: true, {9, 2}: true, {100, 100}: true, {100, 101}: false,
		} {
			if f.HasRange(r[0], r[1]) != want {
				t.Errorf("has %v = %v", r, !want)
			}
		}
		for r, want := range map[[2]uint64]uint64{
			{0, 0}: 7, {0, 70}: 7, {0, 1 << 60}: 7, {1, 0}: 6, {2, 32}: 2, {32, 2}: 0, {70, 0}: 0, {1 << 60, 0}: 0, {69, 1 << 60}: 1,
		} {
			if got := f.Downloaded(r[0], r[1]); got != want {
				t.Errorf("downloaded %v = %d, want %d", r, got, want)
			}
		}
		for at, want := range map[uint64]uint64{0: 3, 3: 3, 31: 34, 69: 70, 70: 70, 100: 100} {
			if got, err := f.NextMissing(at); err != nil || got != want {
				t.Errorf("next missing of %d = %d, %v, want %d", at, got, err, want)
			}
		}
		var runs []bitmap.Run
		for r, err := range f.Present(1, 33) {
			if err != nil {
				t.Fatal(err)
			}
			runs = append(runs, r)
		}
		if want := []bitmap.Run{{Start: 1, End: 3}, {Start: 31, End: 33}}; fmt.Sprint(runs) != fmt.Sprint(want) {
			t.Errorf("runs %v, want %v", runs, want)
		}
		if b, ok, err := f.Block([]byte("x"), 3); ok || err != nil || string(b) != "x" {
			t.Errorf("block 3 = %q, %v, %v", b, ok, err)
		}
		if b, ok, err := f.Block([]byte("x"), 1); !ok || err != nil || string(b) != "xblock 1;" {
			t.Errorf("block 1 = %q, %v, %v", b, ok, err)
		}
	})
}

func TestSignatures(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		writer, f := writerAndReplica(t, b, nil)
		_, _, err := writer.Signature(0)
		mustFail(t, err, tree.ErrNoSignature)
		_, err = writer.RootHashes(0)
		mustFail(t, err, tree.ErrMissingRoots)
		mustAppend(t, writer, testBlocks(5)...)
		mustAppend(t, writer, testBlocks(2)...)
		for i, want := range []uint64{4, 4, 4, 4, 4, 6, 6} {
			at, sig, err := writer.Signature(uint64(i))
			if err != nil || at != want {
				t.Fatalf("signature of %d covers %d, %v, want %d", i, at, err, want)
			}
			if err := writer.Verify(at, sig); err != nil {
				t.Errorf("verify %d: %v", at, err)
			}
			for _, wrong := range []uint64{at - 1, 10 - at} {
				mustFail(t, writer.Verify(wrong, sig), tree.ErrSignature)
			}
			sig[10] ^= 1
			mustFail(t, writer.Verify(at, sig), tree.ErrSignature)
			mustFail(t, writer.Verify(7, sig), tree.ErrMissingRoots)
		}
		_, _, err = writer.Signature(7)
		mustFail(t, err, tree.ErrNoSignature)

		builder, _ := tree.NewBuilder(0, nil)
		builder.Append(nil, testBlocks(3))
		roots, err := writer.RootHashes(2)
		if err != nil || fmt.Sprint(roots) != fmt.Sprint(builder.Roots()) {
			t.Errorf("roots %v, %v, want %v", roots, err, builder.Roots())
		}
		if roots[0].Index != 1 || roots[0].Size != uint64(len(testBlocks(2)[1])) || roots[1].Index != 4 {
			t.Errorf("roots %+v", roots)
		}
		_, err = writer.RootHashes(7)
		mustFail(t, err, tree.ErrMissingRoots)

		// A replica has the signatures and roots that it received.
		transfer(t, writer, f, 6, false)
		if at, _, err := f.Signature(0); err != nil || at != 6 {
			t.Errorf("signature of the replica covers %d, %v", at, err)
		}
		_, err = f.RootHashes(2)
		mustFail(t, err, tree.ErrMissingRoots)
		if _, err := f.RootHashes(6); err != nil {
			t.Error(err)
		}
	})
}

// TestProofAndPut: proofs in every form are accepted, and blocks, proofs and
// signatures that do not fit are refused without a trace.
func TestProofAndPut(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		blocks := testBlocks(40)
		writer, f := writerAndReplica(t, b, blocks)
		_, err := writer.Proof(40, 0, false)
		mustFail(t, err, tree.ErrNoProof)
		p, err := writer.Proof(17, 0, false)
		if err != nil || !p.HasSignature {
			t.Fatalf("proof %+v, %v", p, err)
		}
		refused := func(what string, data []byte, p tree.Proof) {
			t.Helper()
			err := f.Put(t.Context(), 17, data, p)
			if e, ok := errors.AsType[*tree.ProofError](err); !ok || e.Block != 17 {
				t.Errorf("%s: %v", what, err)
			}
			if f.Length() != 0 || f.Has(17) || f.Stats() != (engine.Stats{}) {
				t.Errorf("%s: length %d, has %v, %+v", what, f.Length(), f.Has(17), f.Stats())
			}
		}
		refused("another block", blocks[18], p)
		forged := p
		forged.Signature[0] ^= 1
		refused("another signature", blocks[17], forged)
		unsigned := p
		unsigned.HasSignature, unsigned.Signature = false, tree.Signature{}
		refused("no signature", blocks[17], unsigned)
		for i := range p.Nodes {
			for _, change := range []func(*tree.Node){
				func(n *tree.Node) { n.Hash[31] ^= 0x80 },
				func(n *tree.Node) { n.Size++ },
				func(n *tree.Node) { n.Index += 2 },
			} {
				forged := p
				forged.Nodes = append([]tree.Node(nil), p.Nodes...)
				change(&forged.Nodes[i])
				refused(fmt.Sprint("node ", i), blocks[17], forged)
			}
		}
		if err := f.Put(t.Context(), 17, blocks[17], p); err != nil {
			t.Fatal(err)
		}
		if err := f.Put(t.Context(), 17, blocks[17], p); err != nil {
			t.Errorf("put again: %v", err)
		}
		if s := f.Stats(); s.DownloadedBlocks != 1 || s.DownloadedBytes != uint64(len(blocks[17])) {
			t.Errorf("stats %+v: a block counts once", s)
		}
		if f.Length() != 40 {
			t.Errorf("length %d", f.Length())
		}
		// With the digest of what is known a proof is shorter.
		digest, err := f.Digest(16)
		if err != nil {
			t.Fatal(err)
		}
		short, err := writer.Proof(16, digest, false)
		if err != nil || len(short.Nodes) >= len(p.Nodes) {
			t.Errorf("proof for a digest has %d nodes, %v", len(short.Nodes), err)
		}
		if err := f.Put(t.Context(), 16, blocks[16], short); err != nil {
			t.Error(err)
		}
		// The replica proves what it has to a third one.
		third := b.replica(t, writer.Key())
		for _, i := range []uint64{17, 16} {
			transfer(t, f, third, i, false)
		}
		if !third.HasRange(16, 18) {
			t.Error("the third lacks what was put")
		}
		// Deliveries before a bad one count.
		good, _ := writer.Proof(20, 0, false)
		n, err := f.Deliver(t.Context(), nil, []tree.Delivery{
			{Block: 20, Data: blocks[20], HasData: true, Proof: good},
			{Block: 17, Data: []byte("wrong"), HasData: true, Proof: p},
			{Block: 20, Data: blocks[20], HasData: true, Proof: good},
		})
		if e, ok := errors.AsType[*tree.ProofError](err); n != 1 || !ok || e.Block != 17 || !f.Has(20) {
			t.Errorf("%d deliveries accepted, %v, has %v", n, err, f.Has(20))
		}
		if _, err := f.Deliver(t.Context(), nil, []tree.Delivery{{Block: 1 << 60, HasData: true}}); err == nil {
			t.Error("a block that cannot be was accepted")
		}
		if n, err := f.Deliver(t.Context(), nil, nil); n != 0 || err != nil {
			t.Errorf("deliver nothing: %d, %v", n, err)
		}
	})
}

// TestForkIsKept: a proof that the owner signed another history is refused, told
// and kept; nothing of it is mixed in.
func TestForkIsKept(t *testing.T) {
	pair := newPair(3)
	ours, theirs := backends()[0].create(t, pair), backends()[0].create(t, pair)
	mustAppend(t, ours, []byte("one"), []byte("two"))
	mustAppend(t, theirs, []byte("one"), []byte("2"), []byte("3"))
	s := openStore(t, nil)
	f, err := s.Open(t.Context(), pair.Public, &engine.FeedOptions{Sparse: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	events := f.Subscribe()
	transfer(t, ours, f, 1, false)
	p, err := theirs.Proof(2, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Put(t.Context(), 2, []byte("3"), p)
	fork, ok := errors.AsType[*tree.ForkError](err)
	if !ok || !errors.Is(err, tree.ErrFork) {
		t.Fatalf("a fork gave %v", err)
	}
	if f.Length() != 2 || f.Has(2) {
		t.Error("the fork is in the feed")
	}
	if e := events.Take(); !errors.Is(e.Err, tree.ErrFork) {
		t.Errorf("events %+v", e)
	}
	forks, err := s.Forks(t.Context(), f.DiscoveryKey())
	if err != nil || len(forks) != 1 || forks[0].Fork.Length != fork.Length || fmt.Sprint(forks[0].Fork.Theirs) != fmt.Sprint(fork.Theirs) {
		t.Errorf("forks %+v, %v, want %+v", forks, err, fork)
	}
	if info, err := s.Info(f.DiscoveryKey()); err != nil || !info.Forked {
		t.Errorf("info %+v, %v", info, err)
	}
	for range 40 { // the proofs that are kept are bounded
		if err := f.Put(t.Context(), 2, []byte("3"), p); !errors.Is(err, tree.ErrFork) {
			t.Fatal(err)
		}
	}
	if forks, err = s.Forks(t.Context(), f.DiscoveryKey()); err != nil || len(forks) > 16 {
		t.Errorf("%d forks are kept, %v", len(forks), err)
	}
	if err := deliver(t, ours, f, 0, false); err != nil {
		t.Errorf("the feed does not go on: %v", err)
	}
	checkClean(t, s)
}
