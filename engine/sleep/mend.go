package sleep

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/cairn-feeds/cairn/bitmap"
)

// A crash in the middle of writing pages of the bitfield leaves any mixture of
// old and new bits behind. Commit takes care that whatever a new bit speaks of
// is in the other files by then, so each bit that is set is true. What such a
// mixture may lack is what follows from other bits: mend adds it.

// mend makes the tree bits of complete pages (of pageBits+indexSize bytes each)
// closed under hashing: a node is known if both its children are. It returns the
// pages that it changed, in order, and the runs of blocks whose data bit is set
// though their leaf is not known.
func mend(pages []byte, indexSize int) (changed []uint64, orphans []bitmap.Run) {
	m := mender{pages: pages, stride: pageBits + indexSize}
	m.count = uint64(len(pages) / m.stride)
	for p := range m.count {
		m.closePage(p)
	}
	// The last node of a page is the root of a tree that is larger than the page.
	for depth := pageDepth + 1; uint64(1)<<depth <= m.count*bitmap.FilePageNodes; depth++ {
		for i := uint64(1)<<depth - 1; i < m.count*bitmap.FilePageNodes; i += 2 << depth {
			m.closeNode(i, depth)
		}
	}
	slices.Sort(m.changed)
	return slices.Compact(m.changed), m.orphans()
}

// pageDepth is the depth of the highest node whose whole tree lies in a page.
const pageDepth = 13

type mender struct {
	pages   []byte
	stride  int
	count   uint64
	changed []uint64 // pages, in any order
}

// treeBits returns the tree bits of a page.
func (m *mender) treeBits(page uint64) []byte {
	return m.pages[page*uint64(m.stride):][dataBits:pageBits]
}

// node returns the byte of a tree bit, and the bit in it.
func (m *mender) node(i uint64) (*byte, byte) {
	return &m.treeBits(i / bitmap.FilePageNodes)[i%bitmap.FilePageNodes/8], 0x80 >> (i % 8)
}

func (m *mender) has(i uint64) bool {
	if i >= m.count*bitmap.FilePageNodes {
		return false
	}
	at, bit := m.node(i)
	return *at&bit != 0
}

// closeNode sets node i of the given depth if both its children are set.
func (m *mender) closeNode(i uint64, depth int) {
	half := uint64(1) << (depth - 1)
	if !m.has(i) && m.has(i-half) && m.has(i+half) {
		at, bit := m.node(i)
		*at |= bit
		m.changed = append(m.changed, i/bitmap.FilePageNodes)
	}
}

// wordDepth is the depth of the highest node whose whole tree lies in 64 nodes
// that start at a multiple of 64.
const wordDepth = 5

// depthMask has the nodes of each depth in such 64 nodes; the first is the
// highest bit.
var depthMask = func() (mask [wordDepth + 1]uint64) {
	for depth := range mask {
		for i := 1<<depth - 1; i < 64; i += 2 << depth {
			mask[depth] |= 1 << (63 - i)
		}
	}
	return mask
}()

// closePage closes the trees that lie within a page.
func (m *mender) closePage(page uint64) {
	b := m.treeBits(page)
	changed := false
	for at := 0; at < len(b); at += 8 {
		old := binary.BigEndian.Uint64(b[at:])
		word := old
		for depth := 1; depth <= wordDepth; depth++ {
			half := 1 << (depth - 1)
			word |= (word >> half) & (word << half) & depthMask[depth]
		}
		if word != old {
			binary.BigEndian.PutUint64(b[at:], word)
			changed = true
		}
	}
	if changed {
		m.changed = append(m.changed, page)
	}
	for depth := wordDepth + 1; depth <= pageDepth; depth++ {
		for i := uint64(1)<<depth - 1; i < bitmap.FilePageNodes; i += 2 << depth {
			m.closeNode(page*bitmap.FilePageNodes+i, depth)
		}
	}
}

// evenBits has the even-numbered bits of a byte, the leaves among eight nodes,
// in its low half.
var evenBits = func() (even [256]byte) {
	for b := range even {
		for k := 0; k < 8; k += 2 {
			even[b] |= byte(b) << k & 0x80 >> (4 + k/2)
		}
	}
	return even
}()

// orphans returns the runs of blocks that have a data bit and no leaf.
func (m *mender) orphans() (runs []bitmap.Run) {
	for p := range m.count {
		page := m.pages[p*uint64(m.stride):]
		for at, data := range page[:dataBits] {
			leaves := page[dataBits+2*at:]
			without := data &^ (evenBits[leaves[0]]<<4 | evenBits[leaves[1]])
			for without != 0 {
				k := bits.LeadingZeros8(without)
				without &^= 0x80 >> k
				block := p*bitmap.FilePageBlocks + 8*uint64(at) + uint64(k)
				if n := len(runs); n > 0 && runs[n-1].End == block {
					runs[n-1].End++
				} else {
					runs = append(runs, bitmap.Run{Start: block, End: block + 1})
				}
			}
		}
	}
	return runs
}
