package bitmap

import "math"

// And removes from s what is not in o.
func (s *Set) And(o *Set) {
	if s == o {
		return
	}
	s.combine(o, func(a, b operand) operand {
		switch {
		case !a.some || !b.some:
			return operand{}
		case b.page == nil:
			return a
		case a.page == nil:
			return s.borrow(o, b)
		}
		p := s.writablePage(a.page)
		p.and(b.page)
		return operand{some: true, page: p}
	})
}

// AndNot removes from s what is in o: of what a peer has, what we have.
func (s *Set) AndNot(o *Set) {
	if s == o {
		s.Clear()
		return
	}
	s.combine(o, func(a, b operand) operand {
		switch {
		case !a.some || !b.some:
			return a
		case b.page == nil:
			return operand{}
		}
		p := a.page
		if p == nil {
			p = newRunPage(0, PageSize)
		}
		p = s.writablePage(p)
		p.andNot(b.page)
		return operand{some: true, page: p}
	})
}

// Or adds what is in o to s.
func (s *Set) Or(o *Set) {
	if s == o {
		return
	}
	s.combine(o, func(a, b operand) operand {
		switch {
		case !b.some || a.some && a.page == nil:
			return a
		case !a.some || b.page == nil:
			return s.borrow(o, b)
		}
		p := s.writablePage(a.page)
		p.or(b.page)
		return operand{some: true, page: p}
	})
}

// operand is what a set has of some pages: nothing, one partial page, or, when
// page is nil, all blocks of them.
type operand struct {
	some bool
	page *Page
}

// combine sets s to what f makes of the pages of s and o. f is not asked about
// pages of which neither has anything.
func (s *Set) combine(o *Set, f func(a, b operand) operand) {
	out := make([]chunk, 0, len(s.chunks))
	a, b := s.chunks, o.chunks
	for at := uint64(0); ; {
		// Chunks that begin before at have been used up to there.
		for len(a) > 0 && a[0].end <= at {
			a = a[1:]
		}
		for len(b) > 0 && b[0].end <= at {
			b = b[1:]
		}
		if len(a) == 0 && len(b) == 0 {
			break
		}
		if next := min(firstPage(a), firstPage(b)); next > at {
			at = next
		}
		x, endA := operandAt(a, at)
		y, endB := operandAt(b, at)
		end := min(endA, endB)
		if r := f(x, y); r.some && (r.page == nil || !r.page.Empty()) {
			c := chunk{at, end, r.page}
			if r.page != nil && r.page.Full() {
				c.page = nil
			}
			out = append(out, c)
		}
		at = end
	}
	s.n, s.size = 0, 0
	s.chunks = mergeFull(out)
	for i := range s.chunks {
		s.account(&s.chunks[i], true)
	}
}

// firstPage returns the first page of the chunks.
func firstPage(chunks []chunk) uint64 {
	if len(chunks) == 0 {
		return math.MaxUint64
	}
	return chunks[0].first
}

// operandAt returns what the chunks, of which none ends by page at, have from
// there on, and the page before which that changes.
func operandAt(chunks []chunk, at uint64) (x operand, end uint64) {
	switch {
	case len(chunks) == 0:
		return operand{}, math.MaxUint64
	case chunks[0].first > at:
		return operand{}, chunks[0].first
	}
	return operand{some: true, page: chunks[0].page}, chunks[0].end
}

// borrow returns x, which is of o, as s may keep it.
func (s *Set) borrow(o *Set, x operand) operand {
	if x.page != nil && x.page.owner != nil && x.page.owner == o.id.Load() {
		x.page = s.own(x.page.Clone()) // o may change it in place
	}
	return x
}

// NextDifference returns the first member of s at or after i that is not a member
// of o: the next block that a peer has and we do not.
func (s *Set) NextDifference(i uint64, o *Set) (uint64, bool) {
	for {
		var ok bool
		if i, ok = s.NextPresent(i); !ok {
			return 0, false
		}
		missing := o.NextMissing(i)
		if missing == i {
			return i, true
		}
		number, off := pageOf(i)
		p, q := s.partial(number), o.partial(number)
		if p == nil || q == nil || !p.dense() || !q.dense() {
			i = missing
			continue
		}
		// Two ragged pages could send us to and fro: compare all bits.
		var w, v words
		p.fill(&w)
		q.fill(&v)
		for k := range w {
			w[k] &^= v[k]
		}
		if off = w.next(off); off < PageSize {
			return pageStart(number) + uint64(off), true
		}
		i = pageStart(number + 1)
	}
}

// partial returns a page of which some but not all blocks are present, otherwise
// nil.
func (s *Set) partial(number uint64) *Page {
	if at, ok := s.find(number); ok {
		return s.chunks[at].page
	}
	return nil
}
