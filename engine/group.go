package engine

import (
	"encoding/binary"
	"fmt"

	"github.com/cairn-feeds/cairn/tree"
)

// Blocks and nodes that arrive together are stored together: blockGroupSize
// consecutive blocks in one row of kindBlockGroup, the nodes of a subtree of
// nodeGroupSize blocks in one of kindNodeGroup. Whatever comes alone has a row of
// its own. Larger groups make bulk appends cheaper and single random reads dearer.
const (
	blockGroupSize = 16
	nodeGroupSize  = 32
	groupNodes     = 2*nodeGroupSize - 1 // of a complete subtree
	nodeSize       = 32 + 8              // hash, size
	// maxGroupData bounds the bytes of a block group. Larger blocks gain nothing
	// from being stored together.
	maxGroupData = 64 << 10
)

// A node belongs to the group index/groupSpan, unless it stands above the subtree.
const groupSpan = 2 * nodeGroupSize

// groupOfNode returns the group of a node; ok is false for nodes above groups.
func groupOfNode(i tree.Index) (group uint64, slot int, ok bool) {
	slot = int(i % groupSpan)
	return uint64(i / groupSpan), slot, slot < groupNodes
}

// putNode encodes hash and size of a node: as in the tree file of hypercore 9.
func putNode(dst []byte, n tree.Node) {
	copy(dst, n.Hash[:])
	binary.BigEndian.PutUint64(dst[len(n.Hash):], n.Size)
}

// getNode is the inverse of putNode.
func getNode(b []byte, i tree.Index) (tree.Node, error) {
	n := tree.Node{Index: i}
	if len(b) != nodeSize {
		return n, fmt.Errorf("node %d has %d bytes, not %d: %w", i, len(b), nodeSize, ErrCorrupt)
	}
	copy(n.Hash[:], b)
	n.Size = binary.BigEndian.Uint64(b[len(n.Hash):])
	if n == (tree.Node{Index: i}) {
		return n, tree.ErrUnknownNode
	}
	return n, nil
}

// node returns a node of the group.
func (g *nodeGroup) node(i tree.Index) (tree.Node, error) {
	slot := int(i % groupSpan)
	return getNode(g[slot*nodeSize:(slot+1)*nodeSize], i)
}

// blockGroup is the value of a row of kindBlockGroup:
//
//	per block: varint size+1, or 0 when the block is absent | the blocks
type blockGroup struct {
	offsets [blockGroupSize + 1]uint32 // of each block within data
	absent  uint32                     // bit per block
	data    []byte
}

// appendGroupSize encodes the size of a block that is present.
func appendGroupSize(dst []byte, size int) []byte {
	return binary.AppendUvarint(dst, uint64(size)+1)
}

// appendBlockGroup encodes a group; nil blocks are absent.
func appendBlockGroup(dst []byte, blocks *[blockGroupSize][]byte) []byte {
	for _, b := range blocks {
		if b == nil {
			dst = append(dst, 0)
		} else {
			dst = appendGroupSize(dst, len(b))
		}
	}
	for _, b := range blocks {
		dst = append(dst, b...)
	}
	return dst
}

// parse decodes a group. Its data aliases b.
func (g *blockGroup) parse(b []byte) error {
	g.absent = 0
	var sum uint64
	for i := range blockGroupSize {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > maxGroupData+1 {
			return fmt.Errorf("block group: bad size of block %d: %w", i, ErrCorrupt)
		}
		b = b[n:]
		if v == 0 {
			g.absent |= 1 << i
		} else {
			sum += v - 1
		}
		g.offsets[i+1] = uint32(sum)
	}
	if uint64(len(b)) != sum {
		return fmt.Errorf("block group: %d bytes of data, not %d: %w", len(b), sum, ErrCorrupt)
	}
	g.data = b
	return nil
}

// block returns a block of the group, ok false when it is absent.
func (g *blockGroup) block(slot int) (b []byte, ok bool) {
	return g.data[g.offsets[slot]:g.offsets[slot+1]], g.absent&(1<<slot) == 0
}
