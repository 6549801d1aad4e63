package bitmap

import "iter"

// Sizes of the parts of a page of a bitfield file, in bytes and in this order.
const (
	fileDataBytes = 1024
	fileTreeBytes = 2048

	// FileIndexSize is the size of the index in a page of today's feeds, and
	// OldFileIndexSize that of older ones.
	FileIndexSize    = 512
	OldFileIndexSize = 256

	// FilePageBlocks and FilePageNodes say for how many blocks and tree nodes a
	// page has bits.
	FilePageBlocks = 8 * fileDataBytes
	FilePageNodes  = 8 * fileTreeBytes
)

// Bits is a set of numbers that can be read run by run: a Set, or one whose
// pages are somewhere else. Runs yields the runs within [start, end) in order,
// cut to that range; they may be cut elsewhere, too. What cannot be read is
// missing; an implementation that may fail keeps the error.
type Bits interface {
	Runs(start, end uint64) iter.Seq[Run]
}

// FileView makes the pages of a bitfield file of blocks and tree nodes that are
// held elsewhere, one page at a time and in any order. It reads the bits of the
// page and, for the index, where the first runs below certain nodes end; it keeps
// nothing.
type FileView struct {
	// Blocks are the blocks that are present, Nodes the tree nodes.
	Blocks, Nodes Bits
	// Pages is the number of pages of the file, see FilePages.
	Pages uint64
	// IndexSize is the size of a page's index in bytes, a power of two. Zero
	// means FileIndexSize.
	IndexSize int
}

// FilePages returns how many pages a file with bits for this many blocks and
// tree nodes has. (A feed of n blocks has 2n-1 nodes.)
func FilePages(blocks, nodes uint64) uint64 {
	pages := max(blocks/FilePageBlocks, nodes/FilePageNodes)
	if pages*FilePageBlocks < blocks || pages*FilePageNodes < nodes {
		pages++
	}
	return pages
}

// PageLen returns the size of a page in bytes.
func (v FileView) PageLen() int { return fileDataBytes + fileTreeBytes + v.indexSize() }

func (v FileView) indexSize() int {
	if v.IndexSize == 0 {
		return FileIndexSize
	}
	return v.IndexSize
}

// AppendPage appends page p, PageLen bytes. A page beyond the file is all zero.
func (v FileView) AppendPage(dst []byte, p uint64) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, v.PageLen())...)
	if p >= v.Pages {
		return dst
	}
	page := dst[at:]
	data, tree, index := page[:fileDataBytes], page[fileDataBytes:][:fileTreeBytes], page[fileDataBytes+fileTreeBytes:]
	readBits(data, v.Blocks, p*FilePageBlocks)
	readBits(tree, v.Nodes, p*FilePageNodes)
	v.fillIndex(index, p, data)
	return dst
}

// readBits sets the bits of dst, all clear, to those from start on, a multiple of
// 8.
func readBits(dst []byte, from Bits, start uint64) {
	if s, ok := from.(*Set); ok {
		s.readBits(dst, start)
		return
	}
	for r := range from.Runs(start, start+8*uint64(len(dst))) {
		setBits(dst, int(r.Start-start), int(r.End-start))
	}
}

// readBits is readBits of fileview's sets without going through the runs of ragged
// pages.
func (s *Set) readBits(dst []byte, start uint64) {
	end := start + 8*uint64(len(dst))
	for at := s.from(start); at < len(s.chunks); at++ {
		c := &s.chunks[at]
		r, ok := c.within(start, end)
		if !ok {
			return
		}
		switch {
		case c.page == nil:
			setBits(dst, int(r.Start-start), int(r.End-start))
		case c.page.dense():
			var w words
			c.page.fill(&w)
			from, _ := c.offsets(r)
			w.copyBits(dst[(r.Start-start)/8:(r.End-start)/8], int(from/8))
		default:
			base := pageStart(c.first) - start // may wrap around, as does the sum
			for r := range c.page.Runs(c.offsets(r)) {
				setBits(dst, int(base+r.Start), int(base+r.End))
			}
		}
	}
}

// setBits sets the bits [start, end) of dst, the most significant bit of a byte
// first.
func setBits(dst []byte, start, end int) {
	first, last := start/8, end/8
	head, tail := byte(0xff)>>(start%8), ^(byte(0xff) >> (end % 8))
	if first == last {
		dst[first] |= head & tail
		return
	}
	dst[first] |= head
	fill(dst[first+1:last], 0xff)
	if tail != 0 {
		dst[last] |= tail
	}
}

// The index is a flat tree of bytes. A byte has four states of two bits, one for
// each quarter of the blocks below its node, the first in the highest bits. All
// quarters of a leaf are of 8 blocks: a byte of the data.
const (
	stateEmpty = 0b00
	stateMixed = 0b01
	stateFull  = 0b11
)

// indexParent returns the byte of the node with these children.
func indexParent(left, right byte) byte {
	return halfState(left>>4)<<6 | halfState(left&15)<<4 | halfState(right>>4)<<2 | halfState(right&15)
}

// halfState returns the state of two quarters together.
func halfState(quarters byte) byte {
	switch quarters {
	case stateEmpty<<2 | stateEmpty:
		return stateEmpty
	case stateFull<<2 | stateFull:
		return stateFull
	}
	return stateMixed
}

// indexLeaf returns the byte of the leaf of these four bytes of data.
func indexLeaf(data []byte) (leaf byte) {
	for _, v := range data[:4] {
		leaf <<= 2
		switch v {
		case 0x00:
		case 0xff:
			leaf |= stateFull
		default:
			leaf |= stateMixed
		}
	}
	return leaf
}

// fillIndex sets the index bytes of page p, whose data bits are data.
func (v FileView) fillIndex(index []byte, p uint64, data []byte) {
	size := uint64(len(index))
	base := p * size
	// Where the index of a page is not about its own blocks, as in older feeds,
	// those that it is about are read.
	first := base + base&1 // the first leaf; its blocks begin at 16*first
	if leaves := (base + size + 1 - first) / 2; 16*first != p*FilePageBlocks || 4*leaves > uint64(len(data)) {
		data = make([]byte, 4*leaves)
		readBits(data, v.Blocks, 16*first)
	}
	for k := first; k < base+size; k += 2 {
		index[k-base] = indexLeaf(data)
		data = data[4:]
	}
	for half := uint64(1); 2*half-1 < base+size; half *= 2 {
		// The nodes of this depth are 2*half-1, and on in steps of 4*half.
		step := 4 * half
		k := base&^(step-1) + 2*half - 1
		if k < base {
			k += step
		}
		for ; k < base+size; k += step {
			if k-half >= base && k+half < base+size {
				index[k-base] = indexParent(index[k-half-base], index[k+half-base])
			} else {
				index[k-base] = v.indexByte(k)
			}
		}
	}
}

// indexByte returns byte k of the index, which is within the pages of the file.
//
// Children outside of the pages count as empty, though blocks below them may be
// present. Such children are found only down the right edge below a node, so that
// a node sees the blocks below it up to the first one below such a child.
func (v FileView) indexByte(k uint64) (b byte) {
	area := v.Pages * uint64(v.indexSize())
	half := uint64(1) << flatDepth(k) / 2 // from the node to its children
	start := 16 * (k + 1 - max(2*half, 1))
	quarter := 8 * max(2*half, 1)
	see := start + 4*quarter
	for child := k + half; half > 0; child += half {
		if child >= area {
			see = 16 * (child + 1 - half)
			break
		}
		half /= 2
	}
	for q := start; q < start+4*quarter; q += quarter {
		b = b<<2 | v.state(q, q+quarter, see)
	}
	return b
}

// state returns the state of the blocks [start, end), of which those from see on
// count as missing.
func (v FileView) state(start, end, see uint64) byte {
	see = max(start, min(end, see))
	present := start // up to here all are
	if s, ok := v.Blocks.(*Set); ok {
		if first, ok := s.NextPresent(start); ok && first < see {
			present = min(s.NextMissing(start), see)
			if present == start {
				return stateMixed
			}
		}
	} else {
		for r := range v.Blocks.Runs(start, see) {
			if r.Start != present {
				return stateMixed
			}
			present = r.End
		}
	}
	switch present {
	case start:
		return stateEmpty
	case end:
		return stateFull
	}
	return stateMixed
}
