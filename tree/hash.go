package tree

import (
	"encoding/binary"
	"encoding/hex"
	"hash"
	"sync"

	"golang.org/x/crypto/blake2b"
)

// HashSize is the length of a hash in bytes.
const HashSize = blake2b.Size256

// The first byte of what is hashed keeps leaves, parents and root lists apart.
const (
	leafType   = 0
	parentType = 1
	rootType   = 2
)

// Hash is a BLAKE2b-256 hash.
type Hash [HashSize]byte

// String returns the hash in lower-case hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText encodes the hash in lower-case hex.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText decodes what MarshalText encodes.
func (h *Hash) UnmarshalText(text []byte) error { return parseHex(h[:], "hash", text) }

// LeafHash returns the hash of a leaf with the given content.
func LeafHash(data []byte) Hash {
	h := leafHashers.Get().(*leafHasher)
	sum := h.hash(data)
	leafHashers.Put(h)
	return sum
}

// ParentHash returns the hash of the parent of two siblings, given in either order.
func ParentHash(a, b Node) Hash {
	if a.Index > b.Index {
		a, b = b, a
	}
	var buf [1 + 8 + 2*HashSize]byte
	buf[0] = parentType
	binary.BigEndian.PutUint64(buf[1:], a.Size+b.Size)
	copy(buf[9:], a.Hash[:])
	copy(buf[9+HashSize:], b.Hash[:])
	return blake2b.Sum256(buf[:])
}

// TreeHash returns the hash of a whole feed, given its full roots from left to right.
func TreeHash(roots []Node) Hash {
	const perRoot = HashSize + 8 + 8
	var space [1 + maxRoots*perRoot]byte
	buf := append(space[:0], rootType)
	for i := range roots {
		buf = append(buf, roots[i].Hash[:]...)
		buf = binary.BigEndian.AppendUint64(buf, uint64(roots[i].Index))
		buf = binary.BigEndian.AppendUint64(buf, roots[i].Size)
	}
	return blake2b.Sum256(buf)
}

// leafHasher hashes leaves without copying and without allocating: its fields are
// what would escape to the heap through the hash.Hash interface.
type leafHasher struct {
	state  hash.Hash
	prefix [1 + 8]byte
	sum    Hash
}

var leafHashers = sync.Pool{New: func() any {
	state, err := blake2b.New256(nil)
	if err != nil {
		panic("tree: unkeyed BLAKE2b: " + err.Error()) // fails for oversized keys only
	}
	return &leafHasher{state: state, prefix: [1 + 8]byte{leafType}}
}}

func (h *leafHasher) hash(data []byte) Hash {
	binary.BigEndian.PutUint64(h.prefix[1:], uint64(len(data)))
	h.state.Reset()
	h.state.Write(h.prefix[:]) // a hash.Hash never returns an error
	h.state.Write(data)
	h.state.Sum(h.sum[:0])
	return h.sum
}
