package bitmap

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
)

// File is the content of a bitfield file of hypercore 9 in memory: which blocks
// are present and which tree nodes are known. The index is not stored but made
// with a page, so that it always fits the blocks. Not safe for concurrent use.
type File struct {
	blocks, nodes Set
	pages         uint64
	indexSize     int
	dirty         Set // pages
}

// checkIndexSize returns the size meant by indexSize, or an error. The reference
// takes powers of two.
func checkIndexSize(indexSize int) (int, error) {
	if indexSize == 0 {
		return FileIndexSize, nil
	}
	if most := math.MaxUint16 - fileDataBytes - fileTreeBytes; indexSize < 0 || indexSize > most || indexSize&(indexSize-1) != 0 {
		return 0, fmt.Errorf("%w: bitfield index of %d bytes a page", ErrCorrupt, indexSize)
	}
	return indexSize, nil
}

// NewFile returns a file without pages. The index of a page has indexSize bytes:
// FileIndexSize, also meant by zero, or OldFileIndexSize; NewFile panics if that
// is no power of two that the header of a file can express.
func NewFile(indexSize int) *File {
	size, err := checkIndexSize(indexSize)
	if err != nil {
		panic(err)
	}
	return &File{indexSize: size}
}

// ParseFile reads the pages of a bitfield file, which follow its 32-byte header.
// The header says how large the index of a page is: its entry size less 3072. If
// the last page is incomplete the rest of it is zero. ParseFile does not keep
// pages. The error, matching ErrCorrupt, is about the index size.
//
// The stored index is not used. Pages in which it is not as it should be are
// dirty from the start.
func ParseFile(pages []byte, indexSize int) (*File, error) {
	size, err := checkIndexSize(indexSize)
	if err != nil {
		return nil, err
	}
	f := &File{indexSize: size}
	pageLen := f.PageLen()
	f.pages = uint64((len(pages) + pageLen - 1) / pageLen)
	if rest := len(pages) % pageLen; rest > 0 {
		pages = append(pages[:len(pages):len(pages)], make([]byte, pageLen-rest)...)
	}
	if err := parseBits(&f.blocks, pages, pageLen, 0, fileDataBytes); err != nil {
		return nil, err
	}
	if err := parseBits(&f.nodes, pages, pageLen, fileDataBytes, fileTreeBytes); err != nil {
		return nil, err
	}
	var page []byte
	for p := range f.pages {
		page = f.AppendPage(page[:0], p)
		if stored := pages[int(p)*pageLen:][:pageLen]; !bytes.Equal(page, stored) {
			f.dirty.Add(p, p+1)
		}
	}
	return f, nil
}

// parseBits sets in s, empty, the bits that each page has size bytes of at off.
func parseBits(s *Set, pages []byte, pageLen, off, size int) error {
	n := uint64(len(pages) / pageLen)
	b, err := newBuilder(s, Run{0, n * 8 * uint64(size)}, 0)
	if err != nil {
		return err
	}
	for p := range n {
		if err := b.setBits(p*8*uint64(size), pages[int(p)*pageLen+off:][:size]); err != nil {
			return err
		}
	}
	return b.finish()
}

// PageLen returns the size of a page in bytes, 3072 + the index.
func (f *File) PageLen() int { return f.view().PageLen() }

// Pages returns the number of pages. It grows with the highest block or node
// that was ever set.
func (f *File) Pages() uint64 { return f.pages }

// AppendPage appends page p, PageLen bytes. A page beyond the file is all zero.
func (f *File) AppendPage(dst []byte, p uint64) []byte { return f.view().AppendPage(dst, p) }

func (f *File) view() FileView {
	return FileView{Blocks: &f.blocks, Nodes: &f.nodes, Pages: f.pages, IndexSize: f.indexSize}
}

// Dirty returns the pages whose bytes may have changed since MarkClean, in
// ascending order. A page that became part of the file and is all zero is not
// among them: whoever writes a later one leaves a hole, which reads as zeros.
func (f *File) Dirty() []uint64 {
	pages := make([]uint64, 0, f.dirty.Len())
	for r := range f.dirty.Runs(0, math.MaxUint64) {
		for p := r.Start; p < r.End; p++ {
			pages = append(pages, p)
		}
	}
	return pages
}

// MarkClean says that all dirty pages have been written.
func (f *File) MarkClean() { f.dirty.Clear() }

// Blocks returns the blocks that are present. It is the file's own set: to be
// read only, and until the next change.
func (f *File) Blocks() *Set { return &f.blocks }

// Nodes returns the tree nodes that are known, like Blocks.
func (f *File) Nodes() *Set { return &f.nodes }

// HasBlock reports whether block i is present.
func (f *File) HasBlock(i uint64) bool { return f.blocks.Has(i) }

// CountBlocks returns how many of the blocks [start, end) are present.
func (f *File) CountBlocks(start, end uint64) uint64 { return f.blocks.Count(start, end) }

// NextBlock returns the first block at or after i that is present.
func (f *File) NextBlock(i uint64) (uint64, bool) { return f.blocks.NextPresent(i) }

// NextMissingBlock returns the first block at or after i that is not present.
func (f *File) NextMissingBlock(i uint64) uint64 { return f.blocks.NextMissing(i) }

// HasNode reports whether tree node i is known.
func (f *File) HasNode(i uint64) bool { return f.nodes.Has(i) }

// SetBlocks marks the blocks [start, end) as present and returns how many were
// not. Blocks from 2^53 on, which no feed has, are left out.
func (f *File) SetBlocks(start, end uint64) (added uint64) {
	end = min(end, maxBlock)
	start = f.blocks.NextMissing(start)
	if start >= end {
		return 0
	}
	c := f.beginChange(start, end)
	f.grow((end - 1) / FilePageBlocks)
	added = f.blocks.Add(start, end)
	f.endChange(c)
	return added
}

// ClearBlocks marks the blocks [start, end) as missing and returns how many were
// present. The nodes stay known.
func (f *File) ClearBlocks(start, end uint64) (removed uint64) {
	if start >= end {
		return 0
	}
	first, ok := f.blocks.NextPresent(start)
	if !ok || first >= end {
		return 0
	}
	last, _ := f.blocks.PrevPresent(end - 1)
	c := f.beginChange(first, last+1)
	removed = f.blocks.Remove(first, last+1)
	f.endChange(c)
	return removed
}

// SetNode marks tree node i as known and with it all parents of which both
// children are: they have been computed on the way to the node. It reports
// whether the node was not known. Nodes from 2^54 on, which no feed has, are left
// out.
func (f *File) SetNode(i uint64) bool {
	if i >= 2*maxBlock || f.nodes.Has(i) {
		return false
	}
	f.addNodes(i, i+1)
	for f.nodes.Has(flatSibling(i)) {
		i = flatParent(i)
		if i >= 2*maxBlock || f.nodes.Has(i) {
			break
		}
		f.addNodes(i, i+1)
	}
	return true
}

// SetNodes is SetNode for each of nodes.
func (f *File) SetNodes(nodes ...uint64) {
	for _, i := range nodes {
		f.SetNode(i)
	}
}

// SetLeaves is SetNode for the leaf of each of the blocks [start, end), in time
// that does not depend on their number: what an append does.
func (f *File) SetLeaves(start, end uint64) {
	for end = min(end, maxBlock); start < end; {
		// The largest tree that begins with block start and ends by end is known
		// as a whole, and only its root can make parents known.
		depth := min(bits.TrailingZeros64(start), bits.Len64(end-start)-1)
		size := uint64(1) << depth
		root := 2*start + size - 1
		f.addNodes(2*start, root)
		f.addNodes(root+1, 2*(start+size)-1)
		f.SetNode(root)
		start += size
	}
}

func (f *File) addNodes(start, end uint64) {
	if start >= end {
		return
	}
	f.grow((end - 1) / FilePageNodes)
	f.nodes.Add(start, end)
	f.dirty.Add(start/FilePageNodes, (end-1)/FilePageNodes+1)
}

// Truncate forgets the blocks from length on and all nodes that are not about
// earlier blocks alone. The number of pages stays.
func (f *File) Truncate(length uint64) {
	length = min(length, maxBlock)
	f.ClearBlocks(length, maxBlock)
	f.removeNodes(2*length, 2*maxBlock)
	if length == 0 {
		return
	}
	// What remains too many are ancestors of the last block.
	for i := 2*length - 2; i < 2*length || flatLeftSpan(i) > 0; i = flatParent(i) {
		if i < 2*length && flatRightSpan(i) >= 2*length {
			f.removeNodes(i, i+1)
		}
	}
}

// removeNodes forgets the nodes [start, end).
func (f *File) removeNodes(start, end uint64) {
	for r := range f.nodes.Runs(start, end) {
		f.dirty.Add(r.Start/FilePageNodes, (r.End-1)/FilePageNodes+1)
	}
	f.nodes.Remove(start, end)
}
