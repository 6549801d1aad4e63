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
