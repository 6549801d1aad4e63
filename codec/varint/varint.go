package varint

import (
	"errors"
	"math/bits"
)

const (
	// MaxFrame is the most bytes of the length and the header of a frame: 56 bits.
	MaxFrame = 8
	// Max is the most bytes of a 64-bit integer.
	Max = 10
)

var (
	// ErrTruncated means that the bytes end within an integer. More of them may
	// make it whole.
	ErrTruncated = errors.New("varint: truncated")
	// ErrTooLong means that an integer has more bytes than are allowed. More
	// bytes will not help.
	ErrTooLong = errors.New("varint: too long")
	// ErrOverflow means that an integer has more than 64 bits.
	ErrOverflow = errors.New("varint: overflows 64 bits")
)

// Append appends v in as few bytes as possible.
func Append(dst []byte, v uint64) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// Len returns the number of bytes that Append appends, from 1 to Max.
func Len(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// Consume reads the integer that b begins with, of at most limit bytes (at most Max), and
// returns how many bytes it has. With an error, one of those above, both are zero.
func Consume(b []byte, limit int) (v uint64, n int, err error) {
	limit = min(limit, Max)
	for n < limit {
		if n == len(b) {
			return 0, 0, ErrTruncated
		}
		c := b[n]
		if n == Max-1 && c > 1 {
			if c < 0x80 {
				return 0, 0, ErrOverflow
			}
			return 0, 0, ErrTooLong
		}
		v |= uint64(c&0x7f) << (7 * n)
		n++
		if c < 0x80 {
			return v, n, nil
		}
	}
	return 0, 0, ErrTooLong
}
