package sleep

import (
	"context"
	"errors"

	"github.com/cairn-feeds/cairn/tree"
)

// salvage sets the bits of what the files hold of blocks from a length on.
type salvage struct {
	*Files
	ctx  context.Context
	from uint64
	buf  []byte

	// reached is the number of full roots of the length from that visit came to.
	reached int
}

// visit sets the bit of n, whose hash is known to be right and whose blocks start
// at offset, and goes on with what is below.
func (s *salvage) visit(n tree.Node, offset uint64) error {
	s.bits.SetNode(uint64(n.Index))
	if uint64(n.Index.RightSpan()) < 2*s.from {
		s.reached++
		return nil
	}
	if n.Index.IsLeaf() {
		ok, err := s.checkData(n, offset)
		if ok {
			s.bits.SetBlocks(n.Index.Block(), n.Index.Block()+1)
		}
		return err
	}
	left, right, ok, err := s.storedChildren(n)
	if err != nil || !ok {
		return err
	}
	if err := s.visit(left, offset); err != nil {
		return err
	}
	return s.visit(right, offset+left.Size)
}

// proveBlock looks for the leaf of a block in the tree, though its bit is not
// set. If the nodes above it hash to one that is known, and the data to the leaf,
// it sets their bits.
func (s *salvage) proveBlock(block uint64) (bool, error) {
	leaf, ok, err := s.storedNode(tree.LeafIndex(block))
	n, path := leaf, []uint64{uint64(leaf.Index)}
	for ok && err == nil && !s.bits.HasNode(uint64(n.Index)) && uint64(n.Index.RightSpan()) < 2*s.head.length {
		var sibling tree.Node
		if sibling, ok, err = s.storedNode(n.Index.Sibling()); ok {
			path = append(path, uint64(sibling.Index))
			n = tree.ParentNode(n, sibling)
		}
	}
	var known tree.Node
	if ok && err == nil {
		known, ok, err = s.storedNode(n.Index)
	}
	if ok = ok && err == nil && known.Hash == n.Hash && s.bits.HasNode(uint64(n.Index)); ok {
		var offset uint64
		if offset, err = tree.ByteOffset(storedTree{s.Files}, block); err == nil {
			ok, err = s.checkData(leaf, offset)
		}
	}
	if errors.Is(err, tree.ErrMissingRoots) || errors.Is(err, tree.ErrSize) {
		return false, nil
	}
	if ok && err == nil {
		s.bits.SetNodes(path...)
	}
	return ok, err
}

// checkData reports whether the block of a leaf is in the data at offset.
func (s *salvage) checkData(leaf tree.Node, offset uint64) (bool, error) {
	if s.buf == nil {
		s.buf = make([]byte, 1<<20)
	}
	hash, err := leafHashAt(s.ctx, s.Files, offset, leaf.Size, s.buf)
	if errors.Is(err, ErrDamaged) {
		return false, nil
	}
	return err == nil && hash == leaf.Hash, err
}
