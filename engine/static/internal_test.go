package static

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/tree"
)

// This file is about what is not exported.

func TestTooLong(t *testing.T) {
	l := newLive(&Core{}, &head{blocks: MaxBlocks - 1})
	if _, err := l.append(make([][]byte, 2)); !errors.Is(err, ErrTooLong) || l.head().blocks != MaxBlocks-1 {
		t.Errorf("more blocks than there can be: %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, &head{number: 7, blocks: 300, present: 20, bytes: 12345, prefix: 3, created: time.Unix(1454544000, 0)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseRecord(b)
		if err != nil {
			if h != nil {
				t.Fatalf("%x: %+v with an error", b, h)
			}
			return
		}
		again, err := parseRecord(appendRecord(nil, h))
		if err != nil || *again != *h {
			t.Fatalf("%x: %+v, encoded again %+v, %v", b, h, again, err)
		}
	})
}

func FuzzLevelFeed(f *testing.F) {
	id := ID{1, 2, 3}
	f.Add(append(append([]byte{0x0a, 0x20}, id[:]...), 0x10, 2))
	f.Add([]byte{0x10, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := parseLevelFeed(levelFeeds+id.String(), b)
		if err == nil && (rec.id != id || rec.blocks > MaxBlocks || !bytes.Contains(b, id[:])) {
			t.Fatalf("%x: %+v", b, rec)
		}
	})
}

// FuzzVerify gives a verifier of a feed of eleven blocks whatever nodes there are: it accepts
// none but the right block.
func FuzzVerify(f *testing.F) {
	nodes := map[tree.Index]ID{}
	var roots []tree.Node
	for n := range uint64(11) {
		block := []byte{byte(n)}
		node := tree.Node{Index: tree.LeafIndex(n), Hash: leafHash(block)}
		nodes[node.Index] = node.Hash
		for len(roots) > 0 && roots[len(roots)-1].Index == node.Index.Sibling() {
			node = parentOf(roots[len(roots)-1], node)
			nodes[node.Index] = node.Hash
			roots = roots[:len(roots)-1]
		}
		roots = append(roots, node)
	}
	id := idOf(roots)
	for n := range uint64(11) {
		var proof []byte
		for _, i := range appendProofIndexes(nil, n, 11) {
			proof = append(proof, byte(i))
		}
		f.Add(uint8(n), byte(n), proof)
	}
	f.Fuzz(func(t *testing.T, block uint8, content byte, indexes []byte) {
		v := newVerifier(id, &head{}, nil)
		var proof []tree.Node
		for _, i := range indexes {
			proof = append(proof, tree.Node{Index: tree.Index(i), Hash: nodes[tree.Index(i)]})
		}
		err := v.verify(uint64(block), []byte{content}, proof)
		if err == nil && (block >= 11 || content != block) {
			t.Fatalf("block %d with content %d was accepted with %v", block, content, indexes)
		}
		if err != nil && (!errors.Is(err, ErrProof) || len(v.fresh) > 0 || v.blocks > 0) {
			t.Fatalf("%v, and %d nodes are known", err, len(v.fresh))
		}
		for i, h := range v.fresh {
			if nodes[i] != h {
				t.Fatalf("node %d is taken for %v", i, h)
			}
		}
	})
}
