package tree_test

import (
	"errors"
	"testing"

	"github.com/cairn-feeds/cairn/tree"
)

// FuzzVerify sends answers that the fuzzer makes up out of true nodes, in any order and
// damaged or not, to replicas that know more or less. What is accepted has to be true:
// the block, every node and every length.
//
// The answer is the block's number, the flags below, and three bytes for each
// node: its number, what its hash is changed by, what its size is changed by.
func FuzzVerify(f *testing.F) {
	const (
		hashOnly = 1 << iota
		signed
		badSignature
		badData
		holding // and the two bits above: which replica
	)
	feed := smallFeed(f, 11)
	var replicas []*replica
	for _, have := range [][]uint64{nil, {10}, {0}, {5, 2}, {4, 8, 10}} {
		r := newReplica(feed.pair.Public)
		for _, block := range have {
			r.fetch(f, feed, block, false)
		}
		replicas = append(replicas, r)
	}
	young := newReplica(feed.pair.Public)
	early := newTestFeed([32]byte{9})
	early.append(f, feed.blocks[:7]...)
	young.fetch(f, early, 6, false)
	replicas = append(replicas, young)

	for block := range uint64(11) {
		for number, r := range replicas {
			for _, hash := range []bool{false, true} {
				for _, digest := range []uint64{r.digest(f, block), 0} {
					p := feed.prove(f, block, digest, hash)
					flags := byte(holding * number)
					if hash {
						flags |= hashOnly
					}
					if p.HasSignature {
						flags |= signed
					}
					var nodes []byte
					for _, n := range p.Nodes {
						nodes = append(nodes, byte(n.Index), 0, 0)
					}
					f.Add(block, flags, nodes)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, block uint64, flags byte, nodes []byte) {
		r := replicas[int(flags/holding)%len(replicas)]
		var p tree.Proof
		for ; len(nodes) >= 3; nodes = nodes[3:] {
			i := tree.Index(nodes[0])
			if i >= 200 {
				i <<= i - 200 // up to beyond what an index may be
			}
			n := feed.nodes[i]
			n.Index = i
			n.Hash[7] ^= nodes[1]
			n.Size += uint64(int8(nodes[2]))
			p.Nodes = append(p.Nodes, n)
		}
		if flags&signed != 0 {
			p.HasSignature, p.Signature = true, feed.signatures[10]
			if flags&badSignature != 0 {
				p.Signature[0] ^= 1
			}
		}
		data := []byte("forged")
		if block < 11 && flags&badData == 0 {
			data = feed.data(block)
		}
		var v tree.Verified
		var err error
		if flags&hashOnly != 0 {
			v, err = r.verifier().Hash(block, p)
		} else {
			v, err = r.verifier().Block(block, data, p)
		}
		if err != nil {
			if _, ok := errors.AsType[*tree.ProofError](err); !ok {
				t.Fatalf("%v is not a ProofError", err) // nothing was signed twice, nothing is damaged
			}
			return
		}
		if flags&hashOnly == 0 && (block >= 11 || flags&badData != 0) {
			t.Fatalf("forged block %d was accepted", block)
		}
		// All sizes are proved but those of a lone leaf and its sibling.
		lone := tree.LeafIndex(block)
		for _, n := range v.Nodes {
			want := feed.nodes[n.Index]
			if flags&hashOnly != 0 && (n.Index == lone || n.Index == lone.Sibling()) {
				want.Size = n.Size
			}
			if n != want {
				t.Fatalf("node %v was accepted, want %v", n, want)
			}
		}
		if v.HasSignature && (v.Signature != feed.signatures[10] || v.SignatureSlot != 10) {
			t.Fatalf("signature %v in slot %d was accepted", v.Signature, v.SignatureSlot)
		}
		if v.Length != r.length && (v.Length != 11 || v.ByteLength != feed.builder.ByteLength()) {
			t.Fatalf("length %d with %d bytes was accepted", v.Length, v.ByteLength)
		}
	})
}

// FuzzProve asks with any digest. Whatever the digest says, a reader that knows nothing
// of the feed is told the truth or not enough, and no request takes long.
func FuzzProve(f *testing.F) {
	feed := smallFeed(f, 11)
	for _, digest := range []uint64{0, 1, 4, 5, 6, 9, 0b10110, 0b10001, 1 << 63, 1<<64 - 1} {
		f.Add(uint64(2), digest, false)
		f.Add(uint64(10), digest, true)
	}
	f.Fuzz(func(t *testing.T, block, digest uint64, hash bool) {
		p, err := feed.proof(block, digest, hash)
		if err != nil {
			if block < 11 || !errors.Is(err, tree.ErrNoProof) {
				t.Fatal(err)
			}
			return
		}
		for _, n := range p.Nodes {
			if n != feed.nodes[n.Index] {
				t.Fatalf("node %v, want %v", n, feed.nodes[n.Index])
			}
		}
		r := newReplica(feed.pair.Public)
		_, err = r.verify(feed, block, hash, p)
		_, refused := errors.AsType[*tree.ProofError](err)
		if err != nil && !refused || errors.Is(err, tree.ErrMalformed) {
			t.Fatalf("nodes %v: %v", indexes(p.Nodes), err)
		}
		if digest == 0 && err != nil {
			t.Fatalf("full proof: %v", err)
		}
	})
}
