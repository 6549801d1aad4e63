package bitmap

import (
	"encoding/binary"
	"math/bits"
)

// pageBytes is the size of a page as plain bits.
const pageBytes = PageSize / 8

// words is a page as plain bits in the order roaring uses: offset o is bit o%64
// of word o/64, the least significant bit being bit 0.
type words [PageSize / 64]uint64

// setRange sets the offsets [start, end), which lie within the page.
func (w *words) setRange(start, end uint32) {
	if start >= end {
		return
	}
	first, last := start/64, (end-1)/64
	head := ^uint64(0) << (start % 64)
	tail := ^uint64(0) >> (63 - (end-1)%64)
	if first == last {
		w[first] |= head & tail
		return
	}
	w[first] |= head
	for i := first + 1; i < last; i++ {
		w[i] = ^uint64(0)
	}
	w[last] |= tail
}

// clearRange clears the offsets [start, end), which lie within the page.
func (w *words) clearRange(start, end uint32) {
	if start >= end {
		return
	}
	first, last := start/64, (end-1)/64
	head := ^uint64(0) << (start % 64)
	tail := ^uint64(0) >> (63 - (end-1)%64)
	if first == last {
		w[first] &^= head & tail
		return
	}
	w[first] &^= head
	clear(w[first+1 : last])
	w[last] &^= tail
}

// next returns the first set offset at or after off, or PageSize.
func (w *words) next(off uint32) uint32 {
	if off >= PageSize {
		return PageSize
	}
	i := off / 64
	if v := w[i] >> (off % 64); v != 0 {
		return off + uint32(bits.TrailingZeros64(v))
	}
	for i++; i < uint32(len(w)); i++ {
		if w[i] != 0 {
			return i*64 + uint32(bits.TrailingZeros64(w[i]))
		}
	}
	return PageSize
}

// nextMissing returns the first clear offset at or after off, or PageSize.
func (w *words) nextMissing(off uint32) uint32 {
	if off >= PageSize {
		return PageSize
	}
	i := off / 64
	if v := ^w[i] >> (off % 64); v != 0 {
		return off + uint32(bits.TrailingZeros64(v))
	}
	for i++; i < uint32(len(w)); i++ {
		if w[i] != ^uint64(0) {
			return i*64 + uint32(bits.TrailingZeros64(^w[i]))
		}
	}
	return PageSize
}

// runs returns the number of runs, counting the starts: set bits whose
// predecessor is clear.
func (w *words) runs() int {
	n, carry := 0, uint64(0)
	for _, v := range w {
		n += bits.OnesCount64(v &^ (v<<1 | carry))
		carry = v >> 63
	}
	return n
}

// appendBits appends the 8192 bytes of the page, most significant bit first.
func (w *words) appendBits(dst []byte) []byte {
	for _, v := range w {
		dst = binary.BigEndian.AppendUint64(dst, bits.Reverse64(v))
	}
	return dst
}

// copyBits sets dst to the bytes of the page from byte at on, most significant bit
// first. They do not reach beyond the page.
func (w *words) copyBits(dst []byte, at int) {
	for ; len(dst) >= 8 && at%8 == 0; at, dst = at+8, dst[8:] {
		binary.BigEndian.PutUint64(dst, bits.Reverse64(w[at/8]))
	}
	for i := range dst {
		dst[i] = bits.Reverse8(byte(w[(at+i)/8] >> (8 * ((at + i) % 8))))
	}
}

// orBits sets the bits of b, most significant bit first, from byte at of the
// page on. Together they do not reach beyond the page.
func (w *words) orBits(at int, b []byte) {
	for ; len(b) > 0 && at%8 != 0; at, b = at+1, b[1:] {
		w[at/8] |= uint64(bits.Reverse8(b[0])) << (8 * (at % 8))
	}
	for ; len(b) >= 8; at, b = at+8, b[8:] {
		w[at/8] |= bits.Reverse64(binary.BigEndian.Uint64(b))
	}
	for i, v := range b {
		w[at/8] |= uint64(bits.Reverse8(v)) << (8 * i)
	}
}
