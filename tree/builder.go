package tree

import (
	"fmt"
	"math/bits"
	"runtime"
)

// Builder computes the nodes that appended blocks add to a tree. It holds the
// full roots and nothing else. It is not safe for concurrent use, though one
// Append may itself hash on several goroutines, all of which end before it returns.
type Builder struct {
	length     uint64
	byteLength uint64
	roots      []Node // the full roots of length, from left to right
}

// NewBuilder returns a Builder for a feed of that length with these full roots,
// from left to right. It copies roots. Roots that are not those of length give an
// error matching ErrMissingRoots, sizes beyond MaxSize one matching ErrSize, a
// length beyond MaxLength one matching ErrOutOfBounds.
func NewBuilder(length uint64, roots []Node) (*Builder, error) {
	if length > MaxLength {
		return nil, fmt.Errorf("length %d: %w", length, ErrOutOfBounds)
	}
	var space [64]Index
	want := AppendFullRoots(space[:0], length)
	if len(roots) != len(want) {
		return nil, fmt.Errorf("length %d has %d roots, got %d: %w", length, len(want), len(roots), ErrMissingRoots)
	}
	for i, root := range roots {
		if root.Index != want[i] {
			return nil, fmt.Errorf("length %d has root %d, got %d: %w", length, want[i], root.Index, ErrMissingRoots)
		}
	}
	sum, ok := byteLength(roots)
	if !ok {
		return nil, fmt.Errorf("length %d: %w", length, ErrSize)
	}
	return &Builder{
		length:     length,
		byteLength: sum,
		roots:      append(make([]Node, 0, maxRoots), roots...),
	}, nil
}

// Length returns the number of blocks.
func (b *Builder) Length() uint64 { return b.length }

// ByteLength returns the number of bytes in all blocks.
func (b *Builder) ByteLength() uint64 { return b.byteLength }

// Roots returns a copy of the full roots, from left to right.
func (b *Builder) Roots() []Node { return b.AppendRoots(nil) }

// AppendRoots appends the full roots to dst, from left to right.
func (b *Builder) AppendRoots(dst []Node) []Node { return append(dst, b.roots...) }

// Append adds blocks to the tree and appends every new node to dst: block after
// block the leaf, then each parent that it completes from the bottom up. It
// keeps no reference to blocks. Apart from growing dst it does not allocate per block or node.
//
// The caller keeps the length at or below MaxLength and the byte length at or
// below MaxSize.
func (b *Builder) Append(dst []Node, blocks [][]byte) []Node {
	if len(blocks) == 0 {
		return dst
	}
	start := len(dst)
	end := b.length + uint64(len(blocks))
	dst = grow(dst, int(nodesBefore(end)-nodesBefore(b.length)))
	job := appendJob{start: b.length, end: end, blocks: blocks, nodes: dst[start:], roots: b.roots}
	if workers := job.workers(); workers > 1 {
		job.hashParallel(workers)
	} else {
		job.hash(job.start, job.end, 0)
	}
	b.roots = job.endRoots(b.roots)
	b.length = end
	b.byteLength, _ = byteLength(b.roots)
	return dst
}

// grow makes dst longer by n nodes of any content.
func grow(dst []Node, n int) []Node {
	if cap(dst)-len(dst) >= n {
		return dst[:len(dst)+n]
	}
	return append(dst, make([]Node, n)...)
}

// nodesBefore returns the number of nodes, leaves and complete parents, of a
// feed of that length. In the order of Append it is also the position of the
// leaf of block length: each set bit of the length is a root whose tree of 2^k
// leaves has 2^(k+1)-1 nodes.
func nodesBefore(length uint64) uint64 {
	return 2*length - uint64(bits.OnesCount64(length))
}

// appendJob is one call of Append: blocks [start, end) and room for their nodes,
// in which the position of every node is known beforehand.
type appendJob struct {
	start, end uint64
	blocks     [][]byte
	nodes      []Node
	roots      []Node // the full roots of start
}

// Below these a batch is hashed by the caller alone: starting a goroutine and
// waiting for it costs as much as hashing some kilobytes (see BenchmarkAppend).
const (
	parallelBytes = 16 << 10
	perNodeBytes  = 256 // what a block costs in addition, in bytes of hashing
)

// workers returns how many goroutines are worth their start.
func (j *appendJob) workers() int {
	workers := min(runtime.GOMAXPROCS(0), len(j.blocks))
	work := 0
	for _, data := range j.blocks {
		work += perNodeBytes + len(data)
		if work >= parallelBytes*workers {
			return workers
		}
	}
	return max(1, work/parallelBytes)
}

// hash computes the leaves of blocks [first, end) and the parents that they
// complete, except those that reach to the left of floor.
func (j *appendJob) hash(first, end, floor uint64) {
	h := leafHashers.Get().(*leafHasher)
	for block := first; block < end; block++ {
		data := j.blocks[block-j.start]
		*j.node(0, block) = Node{Index: LeafIndex(block), Hash: h.hash(data), Size: uint64(len(data))}
		j.hashParents(block, 1, floor)
	}
	leafHashers.Put(h)
}

// hashParents computes the parents that block completes, from depth on, except
// those that reach to the left of floor.
func (j *appendJob) hashParents(block uint64, depth int, floor uint64) {
	for ; depth <= bits.TrailingZeros64(block+1); depth++ {
		if block+1-1<<depth < floor {
			return
		}
		half := uint64(1) << (depth - 1)
		left, right := j.lookup(depth-1, block-half), j.node(depth-1, block)
		*j.node(depth, block) = ParentNode(*left, *right)
	}
}

// node returns the room of the node of a depth whose rightmost leaf is block.
func (j *appendJob) node(depth int, block uint64) *Node {
	return &j.nodes[nodesBefore(block)-nodesBefore(j.start)+uint64(depth)]
}

// lookup is node for a left child, which may be a root from before start.
func (j *appendJob) lookup(depth int, block uint64) *Node {
	if block >= j.start {
		return j.node(depth, block)
	}
	// The full roots of start are its binary digits from the highest: those
	// above depth come first.
	return &j.roots[bits.OnesCount64(j.start>>depth)-1]
}

// endRoots replaces roots, those of start, by those of end.
func (j *appendJob) endRoots(roots []Node) []Node {
	// Roots of start that are roots of end too are the common high digits.
	keep := bits.OnesCount64(j.start >> bits.Len64(j.start^j.end))
	roots = roots[:keep]
	for block := uint64(0); block != j.end; {
		depth := bits.Len64(j.end-block) - 1
		block += 1 << depth
		if block > j.start {
			roots = append(roots, *j.node(depth, block-1))
		}
	}
	return roots
}
