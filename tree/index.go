package tree

import "math/bits"

// MaxLength is the largest length in blocks that this package accepts from the
// outside. It keeps every index below 2^53, up to which hypercore 9 counts
// exactly: its numbers are IEEE 754 doubles.
const MaxLength = 1 << 52

// MaxSize is the largest number of bytes that a node may stand for, 2^53-1.
const MaxSize = 1<<53 - 1

// maxRoots is the number of full roots that a length of at most MaxLength can
// have, and the number of levels between a leaf and the highest root.
const maxRoots = 53

// Index is the number of a node in a flat tree: leaves are the even numbers
// (block n is 2n), parents the odd ones, counted in order from left to right.
//
//	depth 2:        3
//	depth 1:    1       5
//	depth 0:  0   2   4   6
//
// A node of depth d and offset o is (1+2o)*2^d - 1, hence its depth is its
// number of trailing one bits. The arithmetic is exact for every index below
// 2^63 and never panics; [MaxLength] keeps indexes far below that.
type Index uint64

// LeafIndex returns the leaf of a block.
func LeafIndex(block uint64) Index { return Index(block << 1) }

// At returns the node at a depth (0 for leaves) and an offset counted from the
// left within that depth.
func At(depth int, offset uint64) Index {
	return Index((2*offset+1)<<uint(depth) - 1)
}

// Depth returns the height of i above the leaves.
func (i Index) Depth() int { return bits.TrailingZeros64(^uint64(i)) }

// Offset returns the position of i within its depth, counted from the left.
func (i Index) Offset() uint64 { return uint64(i) >> uint(i.Depth()) >> 1 }

// IsLeaf reports whether i is the leaf of a block.
func (i Index) IsLeaf() bool { return i&1 == 0 }

// Block returns the block whose leaf i is. For a parent it returns the last
// block of its left half.
func (i Index) Block() uint64 { return uint64(i) >> 1 }

// Parent returns the node above i.
func (i Index) Parent() Index {
	bit := i.lowestZero()
	return (i | bit) &^ (bit << 1)
}

// Sibling returns the other child of the parent of i.
func (i Index) Sibling() Index { return i ^ i.lowestZero()<<1 }

// Left returns the left child of i; ok is false for leaves, which have none.
func (i Index) Left() (child Index, ok bool) {
	if i.IsLeaf() {
		return 0, false
	}
	return i - i.lowestZero()>>1, true
}

// Right returns the right child of i; ok is false for leaves, which have none.
func (i Index) Right() (child Index, ok bool) {
	if i.IsLeaf() {
		return 0, false
	}
	return i + i.lowestZero()>>1, true
}

// LeftSpan returns the leftmost leaf below i; a leaf is its own span.
func (i Index) LeftSpan() Index { return i & (i + 1) }

// RightSpan returns the rightmost leaf below i; a leaf is its own span.
func (i Index) RightSpan() Index { return i + i.lowestZero() - 1 }

// end returns the number of blocks up to and including the last one below i,
// in other words the length of the shortest feed that contains all of i.
func (i Index) end() uint64 { return uint64(i.RightSpan())>>1 + 1 }

// lowestZero returns 2^depth, the lowest zero bit of i.
func (i Index) lowestZero() Index { return ^i & (i + 1) }

// CountFullRoots returns the number of full roots of a feed of that length.
func CountFullRoots(length uint64) int { return bits.OnesCount64(length) }

// AppendFullRoots appends the full roots of a feed of that length from left to
// right: each binary digit 2^k of length, from the highest, stands for the root
// of the next 2^k blocks. They cover every block exactly once.
//
// The full roots of n blocks are also the left uncles of block n: all that lies
// to its left.
func AppendFullRoots(dst []Index, length uint64) []Index {
	for next := uint64(0); length != 0; {
		depth := bits.Len64(length) - 1
		dst = append(dst, At(depth, next>>uint(depth)))
		next += 1 << uint(depth)
		length &^= 1 << uint(depth)
	}
	return dst
}
