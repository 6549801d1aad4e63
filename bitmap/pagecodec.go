package bitmap

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// The first byte of an encoded page: the version of the encoding in the high
// half, its form in the low one.
const (
	pageRuns = 0x10 // version 1: the runs follow
	pageBits = 0x11 // version 1: 8192 bytes follow, a bit for each offset
)

// maxEncodedRuns is the largest number of runs that are written as runs. They take
// two bytes each more often than not, so here both forms are about as long.
const maxEncodedRuns = maxBuildRuns

// MaxPageLen is a length that no encoded page exceeds. (A run takes two bytes, and
// one more at most for each 64 offsets that it has or skips.)
const MaxPageLen = 1 + 2*maxEncodedRuns + PageSize/64

// AppendBinary appends the encoding of the page that doc.go describes, and never
// fails. Equal pages have equal encodings, however they came about.
func (p *Page) AppendBinary(dst []byte) ([]byte, error) {
	if p.dense() {
		var w words
		p.fill(&w)
		if w.runs() > maxEncodedRuns {
			return w.appendBits(append(dst, pageBits)), nil
		}
	}
	dst = append(dst, pageRuns)
	from := uint64(0) // the first offset that the next run may begin with
	for r := range p.Runs(0, PageSize) {
		dst = appendRun(dst, r.Start-from, r.Len())
		from = r.End + 1
	}
	return dst, nil
}

// appendRun appends the gap before a run and the run's length, which is at least
// one: a single offset is common enough to be a bit of the gap.
func appendRun(dst []byte, gap, length uint64) []byte {
	if length == 1 {
		return binary.AppendUvarint(dst, gap<<1)
	}
	dst = binary.AppendUvarint(dst, gap<<1|1)
	return binary.AppendUvarint(dst, length-2)
}

// ParsePage decodes a page that AppendBinary wrote. It accepts no other bytes:
// the error, matching ErrCorrupt, says what is wrong with them. The page does
// not keep b.
func ParsePage(b []byte) (*Page, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: page of no bytes", ErrCorrupt)
	}
	switch form, body := b[0], b[1:]; form {
	case pageRuns:
		return parsePageRuns(body)
	case pageBits:
		p, err := PageFromBits(body)
		if err == nil && p.runs() <= maxEncodedRuns {
			return nil, fmt.Errorf("%w: page of %d runs written as bits", ErrCorrupt, p.runs())
		}
		return p, err
	default:
		return nil, fmt.Errorf("%w: page of unknown form %#02x", ErrCorrupt, form)
	}
}

// runs returns the number of runs.
func (p *Page) runs() int {
	if p.bm == nil {
		return min(p.n, 1)
	}
	var w words
	p.bm.WriteDenseTo(w[:])
	return w.runs()
}

func parsePageRuns(b []byte) (*Page, error) {
	s := scratchPool.Get().(*pageScratch)
	defer scratchPool.Put(s)
	runs, n, from := s.runs[:0], 0, uint32(0)
	for len(b) > 0 {
		if len(runs) == maxEncodedRuns {
			return nil, fmt.Errorf("%w: page of more than %d runs", ErrCorrupt, maxEncodedRuns)
		}
		start, end, rest, err := parseRun(b, from)
		if err != nil {
			return nil, err
		}
		runs = append(runs, pageRun{start, end})
		n += int(end - start)
		b, from = rest, end+1
	}
	return s.newPageFromRuns(runs, n), nil
}

// parseRun decodes the run at the head of b, which starts at from or later.
func parseRun(b []byte, from uint32) (start, end uint32, rest []byte, err error) {
	gap, b, err := parsePageVarint(b)
	if err != nil {
		return 0, 0, nil, err
	}
	length := uint32(1)
	if gap&1 != 0 {
		if length, b, err = parsePageVarint(b); err != nil {
			return 0, 0, nil, err
		}
		length += 2
	}
	start = from + gap>>1
	if end = start + length; end > PageSize {
		return 0, 0, nil, fmt.Errorf("%w: run %d..%d ends beyond the page", ErrCorrupt, start, end)
	}
	return start, end, b, nil
}

// parsePageVarint decodes a varint of at most 21 bits that has no needless byte.
func parsePageVarint(b []byte) (v uint32, rest []byte, err error) {
	for i := 0; i < 3 && i < len(b); i++ {
		v |= uint32(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			if b[i] == 0 && i > 0 {
				return 0, nil, fmt.Errorf("%w: number in a page is padded", ErrCorrupt)
			}
			return v, b[i+1:], nil
		}
	}
	if len(b) < 3 {
		return 0, nil, fmt.Errorf("%w: page ends within a number", ErrCorrupt)
	}
	return 0, nil, fmt.Errorf("%w: number in a page is too large", ErrCorrupt)
}

// AppendBits appends the page as 8192 bytes, a bit for each offset, the most
// significant bit of a byte first, as bitfields have them on the wire and in
// files.
func (p *Page) AppendBits(dst []byte) []byte {
	var w words
	p.fill(&w)
	return w.appendBits(dst)
}

// PageFromBits returns the page with the bits of b, which are as AppendBits has
// them: 8192 bytes, otherwise the error matches ErrCorrupt. The page does not
// keep b.
func PageFromBits(b []byte) (*Page, error) {
	if len(b) != pageBytes {
		return nil, fmt.Errorf("%w: page of %d bytes of bits, want %d", ErrCorrupt, len(b), pageBytes)
	}
	s := scratchPool.Get().(*pageScratch)
	defer scratchPool.Put(s)
	for i := range s.w {
		s.w[i] = bits.Reverse64(binary.BigEndian.Uint64(b[8*i:]))
	}
	return newPageFromWords(&s.w, 0, PageSize), nil
}

// fill sets the bits of the page in w.
func (p *Page) fill(w *words) {
	if p.bm == nil {
		w.setRange(p.start, p.end)
	} else {
		p.bm.WriteDenseTo(w[:])
	}
}
