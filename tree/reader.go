package tree

import (
	"errors"
	"fmt"
)

// Reader gives access to the nodes that are known locally: for the writer of a
// feed all of them, for a sparse replica whatever was verified so far.
//
// A Reader is closed under hashing: when two siblings are known, so is their
// parent. Storing all of [Verified].Nodes and all that [Builder.Append] returns
// keeps it so.
type Reader interface {
	// Has reports whether a node is known. A node that is not known is not an error.
	Has(i Index) (bool, error)

	// Node returns a node. For a node that is not known the error matches
	// ErrUnknownNode.
	Node(i Index) (Node, error)
}

// NodeMap is a Reader in memory, for tests and small trees. A nil map is an
// empty Reader. It is not safe for use while it is written to.
type NodeMap map[Index]Node

// Add stores nodes, replacing those of the same index.
func (m NodeMap) Add(nodes ...Node) {
	for _, n := range nodes {
		m[n.Index] = n
	}
}

// Has implements Reader.
func (m NodeMap) Has(i Index) (bool, error) {
	_, ok := m[i]
	return ok, nil
}

// Node implements Reader.
func (m NodeMap) Node(i Index) (Node, error) {
	n, ok := m[i]
	if !ok {
		return Node{}, fmt.Errorf("node %d: %w", i, ErrUnknownNode)
	}
	return n, nil
}

// Roots returns the full roots of a feed of that length, from left to right. If
// one is not known the error matches ErrMissingRoots.
func Roots(r Reader, length uint64) ([]Node, error) {
	if length == 0 {
		return nil, nil
	}
	return AppendRoots(make([]Node, 0, CountFullRoots(length)), r, length)
}

// AppendRoots is Roots for a buffer of the caller.
func AppendRoots(dst []Node, r Reader, length uint64) ([]Node, error) {
	var space [64]Index
	for _, i := range AppendFullRoots(space[:0], length) {
		n, err := r.Node(i)
		if err != nil {
			return nil, rootError(i, err)
		}
		dst = append(dst, n)
	}
	return dst, nil
}

// ByteOffset returns the position of a block in the concatenation of all
// blocks: the sum of the sizes of the full roots of block blocks. If one is not
// known the error matches ErrMissingRoots.
func ByteOffset(r Reader, block uint64) (uint64, error) {
	var space [64]Index
	sum := uint64(0)
	for _, i := range AppendFullRoots(space[:0], block) {
		n, err := r.Node(i)
		if err != nil {
			return 0, rootError(i, err)
		}
		if n.Size > MaxSize-sum {
			return 0, fmt.Errorf("byte offset of block %d: %w", block, ErrSize)
		}
		sum += n.Size
	}
	return sum, nil
}

func rootError(i Index, err error) error {
	if errors.Is(err, ErrUnknownNode) {
		return fmt.Errorf("root %d: %w", i, ErrMissingRoots)
	}
	return fmt.Errorf("root %d: %w", i, err)
}
