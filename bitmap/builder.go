package bitmap

import (
	"fmt"
	"math/bits"
)

// builder makes the content of a range of a set from bits that arrive in
// ascending order, page by page, and then puts it in place of what was there.
// Until then the set is unchanged.
type builder struct {
	s    *Set
	over Run // the range to replace
	// maxPages bounds the partial pages that are made, if it is not zero.
	maxPages, pages int

	chunks []chunk
	// number is the page whose bits are in w, if used. None of them is outside
	// [lo, hi).
	number uint64
	used   bool
	lo, hi uint32
	w      words

	// last is the last bit that was set, if any.
	last uint64
	any  bool
}

// newBuilder returns a builder for the blocks of over, which has no member yet.
func newBuilder(s *Set, over Run, maxPages int) (*builder, error) {
	b := &builder{s: s, over: over, maxPages: maxPages}
	if over.Len() == 0 || over.Start%PageSize == 0 {
		return b, nil
	}
	number, _ := pageOf(over.Start)
	return b, b.page(number)
}

// page makes w the bits of a page. Those outside of the range to replace come
// from the set.
func (b *builder) page(number uint64) error {
	if b.used && b.number == number {
		return nil
	}
	if err := b.flush(); err != nil {
		return err
	}
	b.number, b.used, b.lo, b.hi = number, true, PageSize, 0
	start, end := pageStart(number), pageStart(number+1)
	if start >= b.over.Start && end <= b.over.End {
		return nil
	}
	if at, ok := b.s.find(number); ok {
		if p := b.s.chunks[at].page; p != nil {
			p.fill(&b.w)
		} else {
			b.w.setRange(0, PageSize)
		}
		lo, hi := max(start, b.over.Start), min(end, b.over.End)
		b.w.clearRange(uint32(lo-start), uint32(hi-start))
		b.touch(0, PageSize)
	}
	return nil
}

// flush makes a chunk of w.
func (b *builder) flush() error {
	if !b.used {
		return nil
	}
	b.used = false
	if b.lo >= b.hi {
		return nil
	}
	p := newPageFromWords(&b.w, b.lo, b.hi)
	clear(b.w[b.lo/64 : (b.hi-1)/64+1])
	if p.Empty() {
		return nil
	}
	if p.Full() {
		b.full(b.number, b.number+1)
		return nil
	}
	if b.pages++; b.maxPages > 0 && b.pages > b.maxPages {
		return fmt.Errorf("%w: more than %d pages", ErrTooLarge, b.maxPages)
	}
	b.chunks = append(b.chunks, chunk{b.number, b.number + 1, b.s.own(p)})
	return nil
}

// touch says that bits within [lo, hi) of w are set.
func (b *builder) touch(lo, hi uint32) { b.lo, b.hi = min(b.lo, lo), max(b.hi, hi) }

// full appends full pages.
func (b *builder) full(first, end uint64) {
	if n := len(b.chunks); n > 0 && b.chunks[n-1].page == nil && b.chunks[n-1].end == first {
		b.chunks[n-1].end = end
		return
	}
	b.chunks = append(b.chunks, chunk{first: first, end: end})
}

// setRange sets the blocks [start, end), not empty.
func (b *builder) setRange(start, end uint64) (err error) {
	b.last, b.any = end-1, true
	part := func(number uint64, from, to uint32) {
		if err == nil {
			err = b.page(number)
			b.w.setRange(from, to)
			b.touch(from, to)
		}
	}
	whole := func(first, end uint64) {
		if err == nil {
			err = b.flush()
			b.full(first, end)
		}
	}
	eachPage(start, end, part, whole)
	return err
}

// setBits sets the blocks from start on, a multiple of 8, whose bits in v are
// set, the most significant bit first.
func (b *builder) setBits(start uint64, v []byte) error {
	for len(v) > 0 {
		number, off := pageOf(start)
		n := min(len(v), int(PageSize-off)/8)
		if err := b.page(number); err != nil {
			return err
		}
		b.w.orBits(int(off/8), v[:n])
		b.touch(off, off+8*uint32(n))
		for i := n - 1; i >= 0; i-- {
			if v[i] != 0 {
				b.last, b.any = start+8*uint64(i)+7-uint64(bits.TrailingZeros8(v[i])), true
				break
			}
		}
		v, start = v[n:], start+8*uint64(n)
	}
	return nil
}

// finish puts the result into the set.
func (b *builder) finish() error {
	if b.over.Len() == 0 {
		return nil
	}
	if b.over.End%PageSize != 0 {
		number, _ := pageOf(b.over.End)
		if err := b.page(number); err != nil {
			return err
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	first, _ := pageOf(b.over.Start)
	last, _ := pageOf(b.over.End - 1)
	b.s.replace(first, last+1, b.chunks...)
	return nil
}
