package bitmap

// A change of blocks changes index bytes above them: usually in the same page, now
// and then in others. To find these without keeping an index, the lowest ancestor
// in another page is computed before and after. If it stayed the same, so did all
// above it; if not, they are taken as changed.

// change is a change of blocks within run, under way.
type change struct {
	run   Run
	pages uint64 // before the change
	above [2]ancestor
}

// ancestor is a node of the index and what its byte was.
type ancestor struct {
	node  uint64
	value byte
	ok    bool
}

// beginChange prepares a change of the blocks [start, end), not empty.
func (f *File) beginChange(start, end uint64) change {
	c := change{run: Run{start, end}, pages: f.pages}
	f.dirty.Add(start/FilePageBlocks, (end-1)/FilePageBlocks+1)
	f.markLeaves(c.run)
	first, last := indexLeaves(c.run)
	c.above[0] = f.cleanAncestor(first)
	c.above[1] = f.cleanAncestor(last)
	return c
}

// endChange marks the pages whose index has changed as dirty.
func (f *File) endChange(c change) {
	if f.pages > c.pages {
		f.markLeaves(c.run)
		first, last := indexLeaves(c.run)
		f.markAncestors(first)
		f.markAncestors(last)
		return
	}
	for _, a := range c.above {
		if a.ok && f.view().indexByte(a.node) != a.value {
			f.markAncestors(a.node)
		}
	}
}

// markLeaves marks the pages with the index bytes of r, and those between them,
// as dirty. In today's feeds these are the pages of the blocks.
func (f *File) markLeaves(r Run) {
	first, last := indexLeaves(r)
	if area := f.area(); first < area {
		size := uint64(f.indexSize)
		f.dirty.Add(first/size, min(last, area-1)/size+1)
	}
}

// indexLeaves returns the index bytes of the first and the last blocks of r.
func indexLeaves(r Run) (first, last uint64) {
	return r.Start / 32 * 2, (r.End - 1) / 32 * 2
}

// area returns the size of the index.
func (f *File) area() uint64 { return f.pages * uint64(f.indexSize) }

// cleanAncestor returns the lowest ancestor of node k in a clean page.
func (f *File) cleanAncestor(k uint64) ancestor {
	for area := f.area(); k < area; k = flatParent(k) {
		if !f.dirty.Has(k / uint64(f.indexSize)) {
			return ancestor{k, f.view().indexByte(k), true}
		}
	}
	return ancestor{}
}

// markAncestors marks the pages of index byte k and its ancestors as dirty, up to
// one beyond the pages: it counts as empty whatever is below it.
func (f *File) markAncestors(k uint64) {
	for area := f.area(); k < area; k = flatParent(k) {
		page := k / uint64(f.indexSize)
		f.dirty.Add(page, page+1)
	}
}

// grow makes page p part of the file, and with it a part of the index. There are
// bytes that begin to count: those that are now within it and are about blocks
// that were there before (in older feeds leaves, too), and those that now have a
// child within it. The latter are ancestors of the last leaf so far.
func (f *File) grow(p uint64) {
	if p < f.pages {
		return
	}
	before := f.area()
	f.pages = p + 1
	if before > 0 {
		f.markAncestors((before - 1) &^ 1)
	}
	for r := range f.blocks.Runs(16*before, 16*f.area()) {
		f.markLeaves(r)
		first, last := indexLeaves(r)
		f.markAncestors(first)
		f.markAncestors(last)
	}
}
