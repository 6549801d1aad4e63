package static

import "github.com/cairn-feeds/cairn/bitmap"

const pageBytes = bitmap.PageSize / 8

// parseBits returns the set that a bitfield has, most significant bit of a byte first, as far
// as blocks can be.
func parseBits(b []byte) *bitmap.Set {
	set := bitmap.NewSet()
	b = b[:min(len(b), MaxBlocks/8)]
	var padded [pageBytes]byte
	for number := uint64(0); len(b) > 0; number++ {
		chunk := b[:min(len(b), pageBytes)]
		b = b[len(chunk):]
		if len(chunk) < pageBytes {
			clear(padded[copy(padded[:], chunk):])
			chunk = padded[:]
		}
		page, err := bitmap.PageFromBits(chunk)
		if err != nil {
			panic("static: " + err.Error()) // the length is right
		}
		if !page.Empty() {
			set.SetPage(number, page)
		}
	}
	return set
}

// appendBits appends the bitfield of a set: as long as its last member needs, at least one
// byte.
func appendBits(dst []byte, set *bitmap.Set) []byte {
	last, ok := set.Max()
	if !ok {
		return append(dst, 0)
	}
	end := len(dst) + int(last/8) + 1
	for number := uint64(0); len(dst) < end; number++ {
		dst = set.Page(number).AppendBits(dst)
	}
	return dst[:end]
}
