package bitmap

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
)

// A roaring bitmap that is filled range by range takes time in proportion to the
// square of their number. Pages that arrive as a whole are instead written in
// roaring's portable format, which roaring then reads: one container, that of the
// three kinds which is smallest.

// pageScratch is what building a page needs. Those in use come from a pool.
type pageScratch struct {
	w    words
	runs [maxBuildRuns]pageRun
	buf  [16 + pageBytes]byte
}

var scratchPool = sync.Pool{New: func() any { return new(pageScratch) }}

// pageRun is a run of offsets.
type pageRun struct{ start, end uint32 }

// maxBuildRuns is the largest number of runs that a page is built of: as many as
// an array container has elements. With more of them plain bits are smaller.
const maxBuildRuns = 4096

// The values of roaring's portable format that are needed for one container of
// key 0 (https://github.com/RoaringBitmap/RoaringFormatSpec). Integers are
// little-endian.
const (
	roaringCookieRuns = 12347 // low half of the cookie; the high half is containers-1
	roaringCookie     = 12346
	roaringArrayMax   = 4096 // elements of an array container
)

// newPageFromRuns returns the page of runs that are ascending, not empty, do not
// touch and are maxBuildRuns at most; n offsets in all.
func (s *pageScratch) newPageFromRuns(runs []pageRun, n int) *Page {
	switch len(runs) {
	case 0:
		return NewPage()
	case 1:
		return newRunPage(runs[0].start, runs[0].end)
	}
	asRuns, asArray := 2+4*len(runs), 2*n
	b := s.buf[:0]
	switch {
	case asRuns < min(asArray, pageBytes):
		b = binary.LittleEndian.AppendUint32(b, roaringCookieRuns)
		b = append(b, 1)    // container 0 is one of runs
		b = append(b, 0, 0) // its key
		b = binary.LittleEndian.AppendUint16(b, uint16(n-1))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(runs)))
		for _, r := range runs {
			b = binary.LittleEndian.AppendUint16(b, uint16(r.start))
			b = binary.LittleEndian.AppendUint16(b, uint16(r.end-r.start-1))
		}
	case n <= roaringArrayMax:
		b = binary.LittleEndian.AppendUint32(b, roaringCookie)
		b = binary.LittleEndian.AppendUint32(b, 1) // containers
		b = append(b, 0, 0)                        // key
		b = binary.LittleEndian.AppendUint16(b, uint16(n-1))
		b = binary.LittleEndian.AppendUint32(b, 16) // where its content is
		for _, r := range runs {
			for off := r.start; off < r.end; off++ {
				b = binary.LittleEndian.AppendUint16(b, uint16(off))
			}
		}
	default:
		s.w = words{}
		for _, r := range runs {
			s.w.setRange(r.start, r.end)
		}
		return &Page{bm: roaring.FromDense(s.w[:], true), n: n}
	}
	p := &Page{bm: roaring.New(), n: n}
	if _, err := p.bm.ReadFrom(bytes.NewReader(b)); err != nil {
		panic(fmt.Sprintf("bitmap: roaring does not read its own format: %v", err))
	}
	return p
}

// newPageFromWords returns the page with the bits of w, none of which is outside
// [lo, hi), not empty. It does not keep w.
func newPageFromWords(w *words, lo, hi uint32) *Page {
	first, last := lo/64, (hi-1)/64
	n, count, carry := 0, 0, uint64(0)
	for _, v := range w[first : last+1] {
		n += bits.OnesCount64(v)
		count += bits.OnesCount64(v &^ (v<<1 | carry))
		carry = v >> 63
	}
	if count > maxBuildRuns {
		return &Page{bm: roaring.FromDense(w[:], true), n: n}
	}
	s := scratchPool.Get().(*pageScratch)
	defer scratchPool.Put(s)
	runs := s.runs[:0]
	for end := lo; len(runs) < count; {
		start := w.next(end)
		end = w.nextMissing(start)
		runs = append(runs, pageRun{start, end})
	}
	return s.newPageFromRuns(runs, n)
}
