package static

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"

	"github.com/cairn-feeds/cairn/tree"
)

// ID identifies a finalized feed by its content. As text it is lower-case hex. In this
// generation hashes are SHA-256.
type ID = tree.Hash

// ParseID decodes an id in hex.
func ParseID(s string) (ID, error) {
	var id ID
	if err := id.UnmarshalText([]byte(s)); err != nil {
		return ID{}, fmt.Errorf("static: id %q: %w", s, err)
	}
	return id, nil
}

// The first byte of what is hashed.
const (
	leafType   = 0
	parentType = 1
	rootsType  = 2
)

// leafHasher hashes leaves without copying or allocating.
type leafHasher struct {
	state  hash.Hash
	prefix [1]byte
	sum    ID
}

var leafHashers = sync.Pool{New: func() any { return &leafHasher{state: sha256.New(), prefix: [1]byte{leafType}} }}

// leafHash returns the hash of a block.
func leafHash(block []byte) ID {
	h := leafHashers.Get().(*leafHasher)
	h.state.Reset()
	h.state.Write(h.prefix[:])
	h.state.Write(block)
	h.state.Sum(h.sum[:0])
	sum := h.sum
	leafHashers.Put(h)
	return sum
}

// parentOf returns the parent of two siblings, given in either order.
func parentOf(a, b tree.Node) tree.Node {
	parent := a.Index.Parent()
	if a.Index > b.Index {
		a, b = b, a
	}
	var buf [1 + 2*tree.HashSize]byte
	buf[0] = parentType
	copy(buf[1:], a.Hash[:])
	copy(buf[1+tree.HashSize:], b.Hash[:])
	return tree.Node{Index: parent, Hash: sha256.Sum256(buf[:])}
}

// idOf returns the id of a feed with these full roots, given from left to right.
func idOf(roots []tree.Node) ID {
	const perRoot = tree.HashSize + 8
	var space [1 + maxRoots*perRoot]byte
	buf := append(space[:0], rootsType)
	for i := range roots {
		buf = append(buf, roots[i].Hash[:]...)
		buf = binary.BigEndian.AppendUint64(buf, uint64(roots[i].Index))
	}
	return sha256.Sum256(buf)
}
