package bitmap

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
)

// AppendRLE appends the run-length encoding of a bitfield to dst, byte for byte
// what the reference encoder makes of it. Trailing zero bytes are not encoded.
func AppendRLE(dst, bitfield []byte) []byte {
	e := rleEncoder{dst: dst, literal: len(dst)}
	e.bytes(bitfield)
	return e.finish()
}

// AppendRLERuns appends what AppendRLE makes of a bitfield whose first bit is
// block start and which ends with block end-1. Its set bits are the parts of runs
// within [start, end); runs come in ascending order and do not overlap, as those
// of Set.Runs and Page.Runs do. It takes time in proportion to the number of
// runs, however long they are.
func AppendRLERuns(dst []byte, runs iter.Seq[Run], start, end uint64) []byte {
	e := rleEncoder{dst: dst, literal: len(dst)}
	for r := range runs {
		lo, hi := max(r.Start, start), min(r.End, end)
		if lo < hi {
			e.ones(lo-start, hi-start)
		}
	}
	e.flushPartial()
	return e.finish()
}

// AppendRLE appends what AppendRLERuns makes of the members in [start, end), in
// time that is bounded by the number of pages. Pages that are held elsewhere are
// best put into a Set for this: SetPage does not copy them.
func (s *Set) AppendRLE(dst []byte, start, end uint64) []byte {
	if start%8 != 0 {
		return AppendRLERuns(dst, s.pageRuns(start, end), start, end)
	}
	e := rleEncoder{dst: dst, literal: len(dst)}
	for at := s.from(start); at < len(s.chunks); at++ {
		c := &s.chunks[at]
		r, ok := c.within(start, end)
		if !ok {
			break
		}
		switch {
		case c.page == nil:
			e.ones(r.Start-start, r.End-start)
		case c.page.dense() && r.End%8 == 0:
			from, to := c.offsets(r)
			e.page(c.page, from, to, r.Start-start)
		default:
			base := pageStart(c.first) - start // may wrap around, as does the sum
			for r := range c.page.Runs(c.offsets(r)) {
				e.ones(base+r.Start, base+r.End)
			}
		}
	}
	e.flushPartial()
	return e.finish()
}

// rleEncoder encodes a bitfield that arrives as runs of equal bytes and other
// bytes, in order.
//
// A run of 00 or ff bytes becomes a run chunk if that makes the output smaller than
// leaving it in the literal before it. With two bytes it always does, so that long
// runs are never written out.
type rleEncoder struct {
	dst []byte
	// literal is where in dst the pending literal begins, whose header is not
	// yet written. It reaches to the end of dst.
	literal int
	// n bytes of the value run, not yet in dst, are the current run.
	n   uint64
	run byte

	// ones collects blocks into bytes: partial is byte number at, not yet passed
	// on if it has a bit. All bytes before at have been passed on.
	at      uint64
	partial byte
}

// add takes n bytes of the value v, which is 00 or ff.
func (e *rleEncoder) add(v byte, n uint64) {
	if v != e.run {
		e.endRun()
		e.run = v
	}
	e.n += n
}

// other takes bytes of which none is 00 or ff.
func (e *rleEncoder) other(b []byte) {
	e.endRun()
	e.dst = append(e.dst, b...)
}

// endRun decides what becomes of the current run, and leaves it empty.
func (e *rleEncoder) endRun() {
	n := e.n
	if e.n = 0; n == 0 {
		return
	}
	pending := uint64(len(e.dst) - e.literal)
	head := n<<2 | uint64(e.run&2) | 1
	asRun := uvarintLen(head)
	if pending > 0 {
		asRun += uvarintLen(2*pending) + pending
	}
	asLiteral := uvarintLen(2*(pending+n)) + pending + n
	if asRun >= asLiteral {
		for ; n > 0; n-- { // a single byte, see above
			e.dst = append(e.dst, e.run)
		}
		return
	}
	e.endLiteral()
	e.dst = binary.AppendUvarint(e.dst, head)
	e.literal = len(e.dst)
}

// endLiteral puts the header before the pending literal, if there is one.
func (e *rleEncoder) endLiteral() {
	pending := len(e.dst) - e.literal
	if pending == 0 {
		return
	}
	var head [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(head[:], 2*uint64(pending))
	e.dst = slices.Insert(e.dst, e.literal, head[:size]...)
	e.literal = len(e.dst)
}

// finish returns the output. A run of zeros at the end is dropped.
func (e *rleEncoder) finish() []byte {
	if e.run != 0 {
		e.endRun()
	}
	e.endLiteral()
	return e.dst
}

func uvarintLen(v uint64) uint64 { return uint64(bits.Len64(v|1)+6) / 7 }

// bytes takes bytes of any value.
func (e *rleEncoder) bytes(b []byte) {
	for len(b) > 0 {
		n := 1
		switch v := b[0]; v {
		case 0x00, 0xff:
			n = equalPrefix(b, v)
			e.add(v, uint64(n))
		default:
			for n < len(b) && b[n] != 0x00 && b[n] != 0xff {
				n++
			}
			e.other(b[:n])
		}
		b = b[n:]
	}
}

// equalPrefix returns how many bytes at the head of b are v, 00 or ff.
func equalPrefix(b []byte, v byte) int {
	n := 0
	for wide := uint64(int64(int8(v))); len(b)-n >= 8 && binary.LittleEndian.Uint64(b[n:]) == wide; {
		n += 8
	}
	for n < len(b) && b[n] == v {
		n++
	}
	return n
}

// ones takes the set bits [start, end), not empty and not before earlier ones.
func (e *rleEncoder) ones(start, end uint64) {
	first, last := start/8, end/8 // last: the byte in which the next bit is
	if first != e.at {
		e.flushPartial()
		e.skipTo(first)
	}
	head := byte(0xff) >> (start % 8)
	if first == last {
		e.partial |= head &^ (0xff >> (end % 8))
		return
	}
	e.partial |= head
	e.flushPartial()
	if e.at < last {
		e.add(0xff, last-e.at)
		e.at = last
	}
	e.partial = ^byte(0xff >> (end % 8))
}

// skipTo takes zero bytes up to byte number at.
func (e *rleEncoder) skipTo(at uint64) {
	if at > e.at {
		e.add(0x00, at-e.at)
		e.at = at
	}
}

// flushPartial passes the partial byte on.
func (e *rleEncoder) flushPartial() {
	switch e.partial {
	case 0x00:
		return
	case 0xff:
		e.add(0xff, 1)
	default:
		e.other([]byte{e.partial})
	}
	e.at, e.partial = e.at+1, 0
}

// page takes the offsets [from, to) of a page, multiples of 8, as bits from bit
// start on.
func (e *rleEncoder) page(p *Page, from, to uint32, start uint64) {
	e.flushPartial()
	e.skipTo(start / 8)
	var w words
	p.fill(&w)
	var buf [pageBytes]byte
	b := buf[:(to-from)/8]
	w.copyBits(b, int(from/8))
	e.bytes(b)
	e.at += uint64(len(b))
}

// rleChunk is one chunk of an encoding: a run of bytes of the value fill, 00 or
// ff, or a literal.
type rleChunk struct {
	size    uint64 // in bytes
	run     bool
	fill    byte
	literal []byte
}

// nextRLE cuts the chunk at the head of src off it. The error matches
// ErrInvalidRLE.
func nextRLE(src []byte) (c rleChunk, rest []byte, err error) {
	head, n := binary.Uvarint(src)
	if n <= 0 {
		return c, nil, fmt.Errorf("%w: bad varint %d bytes before the end", ErrInvalidRLE, len(src))
	}
	src = src[n:]
	if head&1 != 0 {
		c.size, c.run = head>>2, true
		if head&2 != 0 {
			c.fill = 0xff
		}
		return c, src, nil
	}
	if c.size = head >> 1; c.size > uint64(len(src)) {
		return c, nil, fmt.Errorf("%w: literal of %d bytes, %d are left", ErrInvalidRLE, c.size, len(src))
	}
	c.literal = src[:c.size]
	return c, src[c.size:], nil
}

// RLELen returns the number of bytes that a run-length encoded bitfield decodes
// to, without decoding it: the length that DecodeRLE would append. The error
// matches ErrInvalidRLE, or ErrTooLarge for one beyond math.MaxInt64/8 bytes.
func RLELen(src []byte) (int64, error) {
	const most = math.MaxInt64 / 8
	total := uint64(0)
	for len(src) > 0 {
		c, rest, err := nextRLE(src)
		if err != nil {
			return 0, err
		}
		if c.size > most-total {
			return 0, fmt.Errorf("%w: over %d bytes", ErrTooLarge, int64(most))
		}
		total += c.size
		src = rest
	}
	return int64(total), nil
}

// DecodeRLE appends the bitfield that src encodes to dst. What would decode to
// more than maxBytes bytes is refused with ErrTooLarge before anything is
// allocated; what is no encoding with ErrInvalidRLE. With an error the result is
// dst as it was.
//
// Zero bytes at the end belong to the result only if they are part of the
// encoding. (The reference pads with zeros to a multiple of 4 bytes; a bit that
// is not there is not set either way.)
func DecodeRLE(dst, src []byte, maxBytes int) ([]byte, error) {
	size, err := RLELen(src)
	if err != nil {
		return dst, err
	}
	if size > int64(maxBytes) {
		return dst, fmt.Errorf("%w: %d bytes, at most %d allowed", ErrTooLarge, size, maxBytes)
	}
	dst = slices.Grow(dst, int(size))
	for len(src) > 0 {
		c, rest, err := nextRLE(src)
		if err != nil {
			return dst, err // cannot happen: RLELen has seen it
		}
		if c.run {
			at := len(dst)
			dst = dst[:at+int(c.size)]
			fill(dst[at:], c.fill)
		} else {
			dst = append(dst, c.literal...)
		}
		src = rest
	}
	return dst, nil
}

// fill sets every byte of b to v.
func fill(b []byte, v byte) {
	if v == 0 {
		clear(b)
		return
	}
	for i := range b {
		b[i] = v
	}
}
