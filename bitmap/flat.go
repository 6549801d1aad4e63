package bitmap

import "math/bits"

// Nodes of a flat tree are numbered in order: leaves are even, a node of depth d
// ends in d one bits. Both the tree bits of a bitfield file and its index are
// numbered like this. All of it works up to depth 62.

// flatDepth returns the height of node i above the leaves.
func flatDepth(i uint64) int { return bits.TrailingZeros64(^i) }

// flatSibling returns the node that has the same parent.
func flatSibling(i uint64) uint64 { return i ^ 2<<flatDepth(i) }

// flatParent returns the parent: of i and its sibling the depth bits become one
// and the bit that tells them apart zero.
func flatParent(i uint64) uint64 {
	d := flatDepth(i)
	return (i | 1<<d) &^ (2 << d)
}

// flatLeftSpan and flatRightSpan return the first and the last leaf below i.
func flatLeftSpan(i uint64) uint64  { return i - (1<<flatDepth(i) - 1) }
func flatRightSpan(i uint64) uint64 { return i + (1<<flatDepth(i) - 1) }
