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

// readBits does what the function readBits says, without going through the runs
// of ragged pages.
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
