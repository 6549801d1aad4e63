package bitmap

import (
	"fmt"
	"iter"
	"unsafe"

	"github.com/RoaringBitmap/roaring/v2"
)

// PageSize is the number of blocks of a page: the range of one roaring
// container, so that a page never holds more than one of them.
const PageSize = 1 << 16

// Page is a set of offsets below PageSize. The zero value is empty.
//
// A page of a feed that its own writer appends to, or that is complete, is a
// single run; such a page is two numbers. Only with a second run it becomes a
// roaring bitmap.
//
// Readers may share a page as long as nobody changes it. Add, Remove and the
// like change the page in place: whoever has handed a page to others calls
// Clone first and changes the copy.
type Page struct {
	// bm holds the offsets when they form at least two runs, and is nil
	// otherwise. It has exactly one container, of key 0.
	bm *roaring.Bitmap
	// start and end are the only run when bm is nil, both 0 when empty.
	start, end uint32
	// n is the number of offsets in bm; end-start when bm is nil.
	n int
	// owner is the identity of the set that may change this page in place, if any.
	owner *owner
}

// NewPage returns an empty page.
func NewPage() *Page { return new(Page) }

// newRunPage returns a page with the offsets [start, end), a range within it.
func newRunPage(start, end uint32) *Page {
	return &Page{start: start, end: end, n: int(end - start)}
}

// Clone returns a copy that shares nothing with p.
func (p *Page) Clone() *Page {
	q := &Page{start: p.start, end: p.end, n: p.n}
	if p.bm != nil {
		q.bm = p.bm.Clone()
	}
	return q
}

// Equal reports whether p and q have the same offsets.
func (p *Page) Equal(q *Page) bool {
	if p.n != q.n || (p.bm == nil) != (q.bm == nil) {
		return false
	}
	if p.bm == nil {
		return p.start == q.start && p.end == q.end
	}
	return p.bm.AndCardinality(q.bm) == uint64(p.n)
}

// Count returns the number of offsets.
func (p *Page) Count() int { return p.n }

// Empty reports whether the page has no offset.
func (p *Page) Empty() bool { return p.n == 0 }

// Full reports whether the page has every offset below PageSize.
func (p *Page) Full() bool { return p.n == PageSize }

// Has reports whether off is present. No offset from PageSize on ever is.
func (p *Page) Has(off uint32) bool {
	if p.bm == nil {
		return off >= p.start && off < p.end
	}
	return p.bm.Contains(off)
}

// CountRange returns the number of offsets in [start, end).
func (p *Page) CountRange(start, end uint32) int {
	end = min(end, PageSize)
	if start >= end {
		return 0
	}
	if p.bm == nil {
		lo, hi := max(start, p.start), min(end, p.end)
		return int(max(lo, hi) - lo)
	}
	return int(p.bm.CardinalityInRange(uint64(start), uint64(end)))
}

// Add adds the offsets [start, end) and returns how many of them were new. An
// end beyond PageSize means PageSize.
func (p *Page) Add(start, end uint32) (added int) {
	end = min(end, PageSize)
	if start >= end {
		return 0
	}
	before := p.n
	switch {
	case p.n == 0:
		p.start, p.end = start, end
	case p.bm == nil && start <= p.end && p.start <= end:
		p.start, p.end = min(p.start, start), max(p.end, end)
	default:
		return p.addBitmap(start, end)
	}
	p.n = int(p.end - p.start)
	return p.n - before
}

func (p *Page) addBitmap(start, end uint32) (added int) {
	p.useBitmap()
	if end-start == 1 {
		if !p.bm.CheckedAdd(start) {
			return 0
		}
		added = 1
	} else {
		added = int(end-start) - p.CountRange(start, end)
		if added == 0 {
			return 0
		}
		p.bm.AddRange(uint64(start), uint64(end))
	}
	p.n += added
	p.normalize()
	return added
}

// Remove removes the offsets [start, end) and returns how many of them were
// present. An end beyond PageSize means PageSize.
func (p *Page) Remove(start, end uint32) (removed int) {
	removed = p.CountRange(start, end)
	if removed == 0 {
		return 0
	}
	end = min(end, PageSize)
	if p.bm == nil {
		switch {
		case start <= p.start:
			p.start = min(end, p.end)
		case end >= p.end:
			p.end = start
		default:
			p.useBitmap()
		}
	}
	if p.bm != nil {
		p.bm.RemoveRange(uint64(start), uint64(end))
	}
	p.n -= removed
	p.normalize()
	return removed
}

// useBitmap turns a page that is a run into the bitmap with that run, which is
// to get more of them or none: normalize follows.
func (p *Page) useBitmap() {
	if p.bm != nil {
		return
	}
	p.bm = roaring.New()
	p.bm.AddRange(uint64(p.start), uint64(p.end))
	p.start, p.end = 0, 0
}

// normalize restores what the fields promise after bm and n changed: one run or
// none is held without a bitmap, and a bitmap is no larger than plain bits.
// (roaring leaves a container of runs as such however many ranges it gets.)
func (p *Page) normalize() {
	if p.n == 0 {
		p.bm, p.start, p.end = nil, 0, 0
		return
	}
	if p.bm == nil {
		return
	}
	if first, last := p.bm.Minimum(), p.bm.Maximum(); int(last-first)+1 == p.n {
		p.bm, p.start, p.end = nil, first, last+1
		return
	}
	if p.bm.GetSizeInBytes() > pageBytes+containerOverhead {
		p.bm.RunOptimize()
	}
}

// NextPresent returns the first offset at or after off that is present.
func (p *Page) NextPresent(off uint32) (uint32, bool) {
	if p.bm == nil {
		off = max(off, p.start)
		return off, off < p.end
	}
	if off >= PageSize {
		return 0, false
	}
	next := p.bm.NextValue(off)
	return uint32(max(next, 0)), next >= 0
}

// NextMissing returns the first offset at or after off that is not present,
// PageSize when there is none in the page.
func (p *Page) NextMissing(off uint32) uint32 {
	if off >= PageSize {
		return PageSize
	}
	if p.bm == nil {
		if off >= p.start && off < p.end {
			return p.end
		}
		return off
	}
	for p.bm.Contains(off) {
		// Taken with care (seen in roaring 2.30.0): at the end of the range the
		// answer is -1 or wraps around, and from the middle of a word of ones
		// it may be the first offset of the next word, present or not.
		next := p.bm.NextAbsentValue(off)
		if next <= int64(off) || next >= PageSize {
			return PageSize
		}
		off = uint32(next)
	}
	return off
}

// PrevPresent returns the last offset at or before off that is present.
func (p *Page) PrevPresent(off uint32) (uint32, bool) {
	off = min(off, PageSize-1)
	if p.bm == nil {
		if p.n == 0 || off < p.start {
			return 0, false
		}
		return min(off, p.end-1), true
	}
	prev := p.bm.PreviousValue(off)
	return uint32(max(prev, 0)), prev >= 0
}

// dense reports whether the page has so many runs that looking at all of its bits
// is cheaper than searching for one run after the other.
func (p *Page) dense() bool {
	return p.bm != nil && p.bm.GetSizeInBytes() > pageBytes/8
}

// Runs yields the runs of offsets within [start, end) in order, cut to that
// range. The page must not change meanwhile.
func (p *Page) Runs(start, end uint32) iter.Seq[Run] {
	return func(yield func(Run) bool) {
		end := min(end, PageSize)
		if end > start && end-start > PageSize/8 && p.dense() {
			var w words
			p.bm.WriteDenseTo(w[:])
			for s := w.next(start); s < end; {
				e := min(w.nextMissing(s), end)
				if !yield(Run{uint64(s), uint64(e)}) {
					return
				}
				s = w.next(e)
			}
			return
		}
		for s, ok := p.NextPresent(start); ok && s < end; {
			e := min(p.NextMissing(s), end)
			if !yield(Run{uint64(s), uint64(e)}) {
				return
			}
			s, ok = p.NextPresent(e)
		}
	}
}

// containerOverhead is about what a roaring bitmap with one container takes
// besides the container's content: three slices with an element each, and the
// container's own header.
const containerOverhead = 160

// SizeInMemory returns about how many bytes the page takes, for caches that are
// bounded by bytes.
func (p *Page) SizeInMemory() int {
	size := int(unsafe.Sizeof(*p))
	if p.bm != nil {
		size += containerOverhead + int(p.bm.GetSizeInBytes())
	}
	return size
}

// String returns the runs, for tests and logs: "0..11 64..65".
func (p *Page) String() string {
	return runString(p.Runs(0, PageSize))
}

// runString prints at most 16 runs.
func runString(runs iter.Seq[Run]) string {
	var b []byte
	n := 0
	for r := range runs {
		if n > 0 {
			b = append(b, ' ')
		}
		if n++; n > 16 {
			return string(b) + "..."
		}
		b = fmt.Appendf(b, "%d..%d", r.Start, r.End)
	}
	return string(b)
}

// or, and, andNot combine q into p in place.
func (p *Page) or(q *Page) {
	if q.bm == nil {
		p.Add(q.start, q.end)
		return
	}
	if p.bm == nil {
		start, end := p.start, p.end
		*p = Page{bm: q.bm.Clone(), n: q.n, owner: p.owner}
		p.Add(start, end)
		return
	}
	p.bm.Or(q.bm)
	p.recount()
}

func (p *Page) and(q *Page) {
	if q.bm == nil {
		p.Remove(0, q.start)
		p.Remove(q.end, PageSize)
		return
	}
	if p.bm == nil {
		start, end := p.start, p.end
		*p = Page{bm: q.bm.Clone(), n: q.n, owner: p.owner}
		p.Remove(0, start)
		p.Remove(end, PageSize)
		return
	}
	p.bm.And(q.bm)
	p.recount()
}

func (p *Page) andNot(q *Page) {
	if q.bm == nil {
		p.Remove(q.start, q.end)
		return
	}
	p.useBitmap()
	p.bm.AndNot(q.bm)
	p.recount()
}

func (p *Page) recount() {
	p.n = int(p.bm.GetCardinality())
	p.normalize()
}
