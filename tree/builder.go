package tree

import (
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
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
		return nil, fmt.Errorf("tree: length %d: %w", length, ErrOutOfBounds)
	}
	var space [64]Index
	want := AppendFullRoots(space[:0], length)
	if len(roots) != len(want) {
		return nil, fmt.Errorf("tree: length %d has %d roots, got %d: %w", length, len(want), len(roots), ErrMissingRoots)
	}
	for i, root := range roots {
		if root.Index != want[i] {
			return nil, fmt.Errorf("tree: length %d has root %d, got %d: %w", length, want[i], root.Index, ErrMissingRoots)
		}
	}
	sum, ok := byteLength(roots)
	if !ok {
		return nil, fmt.Errorf("tree: length %d: %w", length, ErrSize)
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
	job.run()
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

// appendJob is one call of Append: blocks [start, end) and room for their nodes.
//
// The position of every node among nodes is known beforehand, so the blocks can be
// split in chunks that are aligned to a power of two and hashed in any order; a
// chunk computes its leaves and those parents that lie inside of it. What
// remains are the few parents across chunks, from left to right.
type appendJob struct {
	start, end uint64
	blocks     [][]byte
	nodes      []Node
	roots      []Node // the full roots of start

	chunkBits int           // a chunk is 2^chunkBits blocks
	next      atomic.Uint64 // the next chunk that no worker has taken
}

// Below these a batch is hashed by the caller alone: starting a goroutine and
// waiting for it costs as much as hashing some kilobytes (see BenchmarkAppend).
const (
	parallelBytes = 16 << 10
	perNodeBytes  = 256 // what a node costs in addition, in bytes of hashing
)

// chunksPerWorker is how finely work is cut, so that workers end at about the same time.
const chunksPerWorker = 8

func (j *appendJob) run() {
	workers := j.workers()
	if workers == 1 {
		h := leafHashers.Get().(*leafHasher)
		j.hashRange(h, j.start, j.end, 0)
		leafHashers.Put(h)
		return
	}
	j.chunkBits = max(0, bits.Len64((j.end-j.start)/uint64(workers*chunksPerWorker))-1)
	j.next.Store(j.start >> j.chunkBits)
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(j.hashChunks)
	}
	j.hashChunks()
	wg.Wait()
	j.joinChunks()
}

// workers returns how many goroutines are worth their start.
func (j *appendJob) workers() int {
	workers := min(runtime.GOMAXPROCS(0), len(j.blocks))
	if workers <= 1 {
		return 1
	}
	work := 0
	for _, data := range j.blocks {
		work += perNodeBytes + len(data)
		if work >= parallelBytes*workers {
			return workers
		}
	}
	return max(1, work/parallelBytes)
}

// hashChunks takes chunks until there are none left.
func (j *appendJob) hashChunks() {
	h := leafHashers.Get().(*leafHasher)
	defer leafHashers.Put(h)
	for {
		chunk := j.next.Add(1) - 1
		first := chunk << j.chunkBits
		if first >= j.end {
			return
		}
		j.hashRange(h, max(first, j.start), min(first+1<<j.chunkBits, j.end), max(first, j.start))
	}
}

// hashRange computes the leaves of blocks [first, end) and the parents they
// complete whose leftmost block is at or behind floor.
func (j *appendJob) hashRange(h *leafHasher, first, end, floor uint64) {
	for block := first; block < end; block++ {
		data := j.blocks[block-j.start]
		*j.node(0, block) = Node{Index: LeafIndex(block), Hash: h.leafHash(data), Size: uint64(len(data))}
		j.hashParents(block, 1, floor)
	}
}

// joinChunks computes the parents that hashChunks left out.
func (j *appendJob) joinChunks() {
	size := uint64(1) << j.chunkBits
	for end := j.start; end < j.end; {
		first := end
		end = min(j.end, (first>>j.chunkBits+1)<<j.chunkBits)
		// Only the last block of an aligned chunk completes trees beyond it;
		// blocks of the first chunk complete those that began before start.
		if first == j.start {
			for block := first; block < end; block++ {
				j.hashParentsAcross(block, first)
			}
		} else if end&(size-1) == 0 {
			j.hashParentsAcross(end-1, first)
		}
	}
}

// hashParents computes the parents that block completes, from depth on, as
// long as their leftmost block is at or behind floor.
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

// hashParentsAcross computes the parents that block completes whose leftmost
// block is before floor.
func (j *appendJob) hashParentsAcross(block, floor uint64) {
	for depth := 1; depth <= bits.TrailingZeros64(block+1); depth++ {
		if block+1-1<<depth < floor {
			j.hashParents(block, depth, 0)
			return
		}
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
