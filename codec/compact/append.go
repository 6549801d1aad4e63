package compact

import (
	"encoding/binary"
	"fmt"
)

const (
	// MaxUint is the largest value of uint and uint64: 2^53-1, JavaScript's
	// Number.MAX_SAFE_INTEGER.
	MaxUint = 1<<53 - 1

	// MaxInt and MinInt bound int: their zig-zag forms are MaxUint-1 and MaxUint.
	MaxInt = 1<<52 - 1
	MinInt = -1 << 52
)

// First bytes of the longer forms of uint.
const (
	uint16Form = 0xfd
	uint32Form = 0xfe
	uint64Form = 0xff
)

// UintSize returns how many bytes AppendUint appends for v.
func UintSize(v uint64) int {
	switch {
	case v < uint16Form:
		return 1
	case v <= 0xffff:
		return 3
	case v <= 0xffffffff:
		return 5
	default:
		return 9
	}
}

// AppendUint appends v as a uint. It panics if v is above MaxUint.
func AppendUint(b []byte, v uint64) []byte {
	switch {
	case v < uint16Form:
		return append(b, byte(v))
	case v <= 0xffff:
		return append(b, uint16Form, byte(v), byte(v>>8))
	case v <= 0xffffffff:
		return AppendUint32(append(b, uint32Form), uint32(v))
	default:
		return AppendUint64(append(b, uint64Form), v)
	}
}

// AppendInt appends v as an int. It panics if v is outside MinInt..MaxInt.
func AppendInt(b []byte, v int64) []byte {
	if v < MinInt || v > MaxInt {
		panic(fmt.Sprintf("compact: int %d out of range", v))
	}
	return AppendUint(b, zigzag(v))
}

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// AppendUint16 appends v in two bytes.
func AppendUint16(b []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(b, v) }

// AppendUint24 appends v in three bytes. It panics if v needs more.
func AppendUint24(b []byte, v uint32) []byte {
	if v >= 1<<24 {
		panic(fmt.Sprintf("compact: uint24 %d out of range", v))
	}
	return append(b, byte(v), byte(v>>8), byte(v>>16))
}

// AppendUint32 appends v in four bytes.
func AppendUint32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }

// AppendUint64 appends v in eight bytes. It panics if v is above MaxUint.
func AppendUint64(b []byte, v uint64) []byte {
	if v > MaxUint {
		panic(fmt.Sprintf("compact: uint %d out of range", v))
	}
	return binary.LittleEndian.AppendUint64(b, v)
}

// AppendBool appends v as one byte.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// BufferSize returns how many bytes AppendBuffer and AppendString append for a
// value of n bytes.
func BufferSize(n int) int { return UintSize(uint64(n)) + n }

// AppendBuffer appends v with its length. As an optional buffer, a v of length 0
// is none.
func AppendBuffer(b, v []byte) []byte {
	return append(AppendUint(b, uint64(len(v))), v...)
}

// AppendString appends s with its length.
func AppendString(b []byte, s string) []byte {
	return append(AppendUint(b, uint64(len(s))), s...)
}

// AppendBitfield7 appends a bitfield of up to seven fields, bit i being field i.
// It panics if bit 7 is set.
func AppendBitfield7(b []byte, bits byte) []byte {
	if bits > 0x7f {
		panic("compact: bitfield of 7 has bit 7 set")
	}
	return append(b, bits)
}
