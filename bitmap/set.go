package bitmap

import (
	"iter"
	"math"
	"slices"
	"sync/atomic"
	"unsafe"
)

// Set is a sparse set of block numbers in memory. The zero value is empty. Any
// number below math.MaxUint64 can be a member; that last one, which no half-open
// range of uint64 reaches, never is.
//
// A set is a list of pages in which a range of full pages is one entry: adding
// 2^53 blocks takes as little memory as adding one, and every operation costs in
// proportion to the entries it meets. A caller who adds on behalf of others
// bounds the scattered rest by SizeInMemory.
//
// Reading and cloning may happen concurrently; everything else needs the set for
// itself. A Set must not be copied, other than with Clone.
type Set struct {
	// chunks are in ascending order and disjoint. A chunk is never empty, a
	// partial page is never full, and full chunks never touch: equal sets have
	// equal chunks.
	chunks []chunk
	// n is the number of members.
	n uint64
	// size is the memory of the pages.
	size int
	// id marks the pages that this set may change in place. Clone replaces it,
	// so that from then on both sides copy a page before they change it.
	id atomic.Pointer[owner]
}

// owner is an identity; it has a size so that two of them differ.
type owner struct{ _ byte }

// chunk is one partial page, or a range of full ones.
type chunk struct {
	first, end uint64 // page numbers, half-open
	page       *Page  // nil: all pages are full
}

// blocks returns the range of blocks that the chunk's pages cover.
func (c *chunk) blocks() Run { return Run{pageStart(c.first), pageStart(c.end)} }

// within returns the part of [start, end) that the chunk's pages cover, and false
// when they are behind it.
func (c *chunk) within(start, end uint64) (r Run, ok bool) {
	r = c.blocks()
	if r.Start >= end {
		return Run{}, false
	}
	return Run{max(start, r.Start), min(end, r.End)}, true
}

// offsets returns r, within the chunk's only page, as offsets.
func (c *chunk) offsets(r Run) (start, end uint32) {
	base := pageStart(c.first)
	return uint32(r.Start - base), uint32(r.End - base)
}

// count returns the number of members.
func (c *chunk) count() uint64 {
	if c.page != nil {
		return uint64(c.page.n)
	}
	return (c.end - c.first) * PageSize
}

// pageOf returns the page that block i is in, and its offset there.
func pageOf(i uint64) (number uint64, off uint32) { return i / PageSize, uint32(i % PageSize) }

// pageStart returns the first block of a page, MaxUint64 when there is none.
func pageStart(number uint64) uint64 {
	if number > math.MaxUint64/PageSize {
		return math.MaxUint64
	}
	return number * PageSize
}

// NewSet returns a set with the blocks of runs.
func NewSet(runs ...Run) *Set {
	s := new(Set)
	for _, r := range runs {
		s.Add(r.Start, r.End)
	}
	return s
}

// find returns the position of the first chunk that ends behind page number, and
// whether the page is in it.
func (s *Set) find(number uint64) (at int, ok bool) {
	lo, hi := 0, len(s.chunks)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if s.chunks[mid].end <= number {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(s.chunks) && s.chunks[lo].first <= number
}

// from returns the position of the first chunk with pages from block start on.
func (s *Set) from(start uint64) int {
	number, _ := pageOf(start)
	at, _ := s.find(number)
	return at
}

// Has reports whether block i is a member.
func (s *Set) Has(i uint64) bool {
	number, off := pageOf(i)
	at, ok := s.find(number)
	return ok && (s.chunks[at].page == nil || s.chunks[at].page.Has(off))
}

// HasRange reports whether all blocks of [start, end) are members, which is true
// of an empty range.
func (s *Set) HasRange(start, end uint64) bool {
	return start >= end || s.NextMissing(start) >= end
}

// Len returns the number of members.
func (s *Set) Len() uint64 { return s.n }

// Count returns the number of members in [start, end).
func (s *Set) Count(start, end uint64) uint64 {
	if start >= end {
		return 0
	}
	n := uint64(0)
	for at := s.from(start); at < len(s.chunks); at++ {
		c := &s.chunks[at]
		r, ok := c.within(start, end)
		switch {
		case !ok:
			return n
		case c.page == nil:
			n += r.Len()
		case r == c.blocks():
			n += uint64(c.page.n)
		default:
			n += uint64(c.page.CountRange(c.offsets(r)))
		}
	}
	return n
}

// NextPresent returns the first member at or after i.
func (s *Set) NextPresent(i uint64) (uint64, bool) {
	number, off := pageOf(i)
	at, ok := s.find(number)
	if ok {
		if s.chunks[at].page == nil {
			return i, true
		}
		if next, ok := s.chunks[at].page.NextPresent(off); ok {
			return pageStart(number) + uint64(next), true
		}
		at++
	}
	if at == len(s.chunks) {
		return 0, false
	}
	return s.chunks[at].min(), true
}

// min returns the first member of the chunk.
func (c *chunk) min() uint64 {
	if c.page == nil {
		return pageStart(c.first)
	}
	off, _ := c.page.NextPresent(0)
	return pageStart(c.first) + uint64(off)
}

// max returns the last member of the chunk.
func (c *chunk) max() uint64 {
	if c.page == nil {
		return pageStart(c.end) - 1
	}
	off, _ := c.page.PrevPresent(PageSize - 1)
	return pageStart(c.first) + uint64(off)
}

// NextMissing returns the first number at or after i that is not a member. There
// always is one, math.MaxUint64 if no other.
func (s *Set) NextMissing(i uint64) uint64 {
	number, off := pageOf(i)
	at, ok := s.find(number)
	for ok {
		c := &s.chunks[at]
		if c.page == nil {
			number, off = c.end, 0
		} else if off = c.page.NextMissing(off); off < PageSize {
			break
		} else {
			number, off = number+1, 0
		}
		at++
		ok = at < len(s.chunks) && s.chunks[at].first == number
	}
	return pageStart(number) + uint64(off)
}

// PrevPresent returns the last member at or before i.
func (s *Set) PrevPresent(i uint64) (uint64, bool) {
	number, off := pageOf(i)
	at, ok := s.find(number)
	if ok {
		if s.chunks[at].page == nil {
			return i, true
		}
		if prev, ok := s.chunks[at].page.PrevPresent(off); ok {
			return pageStart(number) + uint64(prev), true
		}
	}
	if at == 0 {
		return 0, false
	}
	return s.chunks[at-1].max(), true
}

// Max returns the largest member.
func (s *Set) Max() (uint64, bool) { return s.PrevPresent(math.MaxUint64) }

// Runs yields the maximal runs of members within [start, end) in order, cut to
// that range. The set must not change meanwhile.
func (s *Set) Runs(start, end uint64) iter.Seq[Run] {
	return func(yield func(Run) bool) {
		var pending Run
		for r := range s.pageRuns(start, end) {
			if r.Start == pending.End && pending.End > pending.Start {
				pending.End = r.End
				continue
			}
			if pending.End > pending.Start && !yield(pending) {
				return
			}
			pending = r
		}
		if pending.End > pending.Start {
			yield(pending)
		}
	}
}

// pageRuns is Runs with a cut at both ends of a partial page.
func (s *Set) pageRuns(start, end uint64) iter.Seq[Run] {
	return func(yield func(Run) bool) {
		for at := s.from(start); at < len(s.chunks); at++ {
			c := &s.chunks[at]
			r, ok := c.within(start, end)
			if !ok {
				return
			}
			if c.page == nil {
				if !yield(r) {
					return
				}
				continue
			}
			base := pageStart(c.first)
			for r := range c.page.Runs(c.offsets(r)) {
				if !yield(Run{base + r.Start, base + r.End}) {
					return
				}
			}
		}
	}
}

// Add adds the blocks [start, end) and returns how many of them were new.
func (s *Set) Add(start, end uint64) (added uint64) {
	if start >= end {
		return 0
	}
	before := s.n
	eachPage(start, end, s.addPart, func(first, end uint64) {
		s.replace(first, end, chunk{first: first, end: end})
	})
	return s.n - before
}

// Remove removes the blocks [start, end) and returns how many were members.
func (s *Set) Remove(start, end uint64) (removed uint64) {
	if start >= end {
		return 0
	}
	before := s.n
	eachPage(start, end, s.removePart, func(first, end uint64) {
		s.replace(first, end)
	})
	return before - s.n
}

// eachPage cuts the blocks [start, end), not empty, into parts of a page at the
// ends and whole pages between them.
func eachPage(start, end uint64, part func(number uint64, from, to uint32), whole func(first, end uint64)) {
	first, from := pageOf(start)
	last, to := pageOf(end)
	if first == last {
		part(first, from, to)
		return
	}
	if from > 0 {
		part(first, from, PageSize)
		first++
	}
	if first < last {
		whole(first, last)
	}
	if to > 0 {
		part(last, 0, to)
	}
}

// addPart adds the offsets [from, to) of a page, not all of it.
func (s *Set) addPart(number uint64, from, to uint32) {
	at, ok := s.find(number)
	if !ok {
		s.replace(number, number+1, chunk{number, number + 1, s.own(newRunPage(from, to))})
		return
	}
	if s.chunks[at].page == nil {
		return
	}
	p := s.writable(at)
	s.size -= p.SizeInMemory()
	s.n += uint64(p.Add(from, to))
	s.size += p.SizeInMemory()
	if p.Full() {
		s.replace(number, number+1, chunk{first: number, end: number + 1})
	}
}

// removePart removes the offsets [from, to) of a page, not all of it.
func (s *Set) removePart(number uint64, from, to uint32) {
	at, ok := s.find(number)
	if !ok {
		return
	}
	if s.chunks[at].page == nil {
		p := newRunPage(0, PageSize)
		p.Remove(from, to)
		s.replace(number, number+1, chunk{number, number + 1, s.own(p)})
		return
	}
	p := s.writable(at)
	s.size -= p.SizeInMemory()
	s.n -= uint64(p.Remove(from, to))
	s.size += p.SizeInMemory()
	if p.Empty() {
		s.replace(number, number+1)
	}
}

// writable returns the partial page of chunk at as one that may be changed in
// place.
func (s *Set) writable(at int) *Page {
	p := s.writablePage(s.chunks[at].page)
	if was := s.chunks[at].page; was != p {
		s.size += p.SizeInMemory() - was.SizeInMemory()
		s.chunks[at].page = p
	}
	return p
}

// writablePage returns p if s may change it in place, otherwise a copy that it
// may.
func (s *Set) writablePage(p *Page) *Page {
	if p.owner != nil && p.owner == s.id.Load() {
		return p
	}
	return s.own(p.Clone())
}

// own marks a page that nobody else has as one that s may change in place.
func (s *Set) own(p *Page) *Page {
	if s.id.Load() == nil {
		s.id.Store(new(owner))
	}
	p.owner = s.id.Load()
	return p
}

// replace puts the chunks of with, which lie within the pages [first, end), in
// place of what is there, and merges full chunks that come to touch.
func (s *Set) replace(first, end uint64, with ...chunk) {
	at, _ := s.find(first)
	to := at
	for to < len(s.chunks) && s.chunks[to].first < end {
		to++
	}
	var buf [5]chunk
	repl := buf[:0]
	// A chunk of full pages that reaches beyond the range keeps that part.
	if at < to && s.chunks[at].first < first {
		repl = append(repl, chunk{first: s.chunks[at].first, end: first})
	}
	repl = append(repl, with...)
	if at < to && s.chunks[to-1].end > end {
		repl = append(repl, chunk{first: end, end: s.chunks[to-1].end})
	}
	// Neighbours take part so that they can be merged.
	if at > 0 {
		at--
		repl = slices.Insert(repl, 0, s.chunks[at])
	}
	if to < len(s.chunks) {
		repl = append(repl, s.chunks[to])
		to++
	}
	repl = mergeFull(repl)
	for i := range s.chunks[at:to] {
		s.account(&s.chunks[at+i], false)
	}
	for i := range repl {
		s.account(&repl[i], true)
	}
	s.chunks = slices.Replace(s.chunks, at, to, repl...)
}

// mergeFull merges, in place, chunks of full pages that touch.
func mergeFull(chunks []chunk) []chunk {
	out := chunks[:0]
	for _, c := range chunks {
		if last := len(out) - 1; c.page == nil && last >= 0 && out[last].page == nil && out[last].end == c.first {
			out[last].end = c.end
			continue
		}
		out = append(out, c)
	}
	return out
}

// account adds a chunk to the totals, or takes it from them.
func (s *Set) account(c *chunk, in bool) {
	n, size := c.count(), 0
	if c.page != nil {
		size = c.page.SizeInMemory()
	}
	if in {
		s.n, s.size = s.n+n, s.size+size
	} else {
		s.n, s.size = s.n-n, s.size-size
	}
}

// Page returns a copy of a page: the blocks from number*PageSize on.
func (s *Set) Page(number uint64) *Page {
	at, ok := s.find(number)
	switch {
	case !ok:
		return NewPage()
	case s.chunks[at].page == nil:
		return newRunPage(0, PageSize)
	}
	return s.chunks[at].page.Clone()
}

// SetPage replaces the blocks from number*PageSize on by those of p, which the set
// keeps but does not change; nor must anyone else from now on. A number that is
// too large for blocks to exist there is ignored.
func (s *Set) SetPage(number uint64, p *Page) {
	switch last := uint64(math.MaxUint64 / PageSize); {
	case number > last:
		return
	case number == last && p.Has(PageSize-1):
		p = p.Clone()
		p.Remove(PageSize-1, PageSize) // MaxUint64 is never a member
	}
	switch {
	case p.Empty():
		s.replace(number, number+1)
	case p.Full():
		s.replace(number, number+1, chunk{first: number, end: number + 1})
	default:
		s.replace(number, number+1, chunk{number, number + 1, p})
	}
}

// Clone returns a set with the same members. It copies the list of pages but no
// page: each side copies a page when it first changes it.
func (s *Set) Clone() *Set {
	c := &Set{chunks: slices.Clone(s.chunks), n: s.n, size: s.size}
	s.id.Store(nil)
	return c
}

// Clear removes all members.
func (s *Set) Clear() {
	clear(s.chunks) // lets the pages go
	s.chunks, s.n, s.size = s.chunks[:0], 0, 0
}

// SizeInMemory returns about how many bytes the set takes. Pages that a clone
// still shares are counted on both sides.
func (s *Set) SizeInMemory() int {
	return int(unsafe.Sizeof(*s)) + cap(s.chunks)*int(unsafe.Sizeof(chunk{})) + s.size
}

// Equal reports whether both sets have the same members.
func (s *Set) Equal(o *Set) bool {
	return s.n == o.n && slices.EqualFunc(s.chunks, o.chunks, func(a, b chunk) bool {
		return a.first == b.first && a.end == b.end && (a.page == nil) == (b.page == nil) &&
			(a.page == nil || a.page == b.page || a.page.Equal(b.page))
	})
}

// String returns the runs, for tests and logs: "0..11 64..65".
func (s *Set) String() string { return runString(s.Runs(0, math.MaxUint64)) }
