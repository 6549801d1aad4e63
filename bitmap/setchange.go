package bitmap

import (
	"math"
	"slices"
)

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
