package compact

import "encoding/binary"

// Decoder reads values from a byte slice, front to back. The zero Decoder is at
// the end of an empty input. A Decoder is not safe for concurrent use; copying it
// marks a place to return to.
type Decoder struct {
	b   []byte // what is left
	n   int    // length of the whole input
	err error
}

// NewDecoder returns a decoder of b. Slices that it returns alias b.
func NewDecoder(b []byte) Decoder { return Decoder{b: b, n: len(b)} }

// Err returns nil, or the error of the first value that could not be read: always
// a [*DecodeError].
func (d *Decoder) Err() error { return d.err }

// Len returns the number of bytes that are left; 0 after an error.
func (d *Decoder) Len() int { return len(d.b) }

// Offset returns the number of bytes that were read; the length of the input after
// an error.
func (d *Decoder) Offset() int { return d.n - len(d.b) }

// fail records an error of the value that began where d was when it had left bytes
// left. Only the first one counts.
func (d *Decoder) fail(typ string, left int, err error) {
	if d.err == nil {
		d.err = &DecodeError{Type: typ, Offset: d.n - left, Err: err}
	}
	d.b = nil
}

// take returns the next n bytes, or nil and an error in d. left is what was left
// where the value began.
func (d *Decoder) take(n int, typ string, left int) []byte {
	if len(d.b) < n {
		d.fail(typ, left, ErrOutOfBounds)
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// Uint reads a uint, in its shortest form or a longer one.
func (d *Decoder) Uint() uint64 { return d.uint("uint", len(d.b)) }

func (d *Decoder) uint(typ string, left int) uint64 {
	first := d.take(1, typ, left)
	if first == nil {
		return 0
	}
	switch first[0] {
	case uint16Form:
		if v := d.take(2, typ, left); v != nil {
			return uint64(binary.LittleEndian.Uint16(v))
		}
		return 0
	case uint32Form:
		if v := d.take(4, typ, left); v != nil {
			return uint64(binary.LittleEndian.Uint32(v))
		}
		return 0
	case uint64Form:
		return d.uint64(typ, left)
	default:
		return uint64(first[0])
	}
}

func (d *Decoder) uint64(typ string, left int) uint64 {
	v := d.take(8, typ, left)
	if v == nil {
		return 0
	}
	u := binary.LittleEndian.Uint64(v)
	if u > MaxUint {
		d.fail(typ, left, ErrTooBig)
		return 0
	}
	return u
}

// Int reads an int.
func (d *Decoder) Int() int64 { return unzigzag(d.uint("int", len(d.b))) }

// Uint8 reads one byte.
func (d *Decoder) Uint8() uint8 {
	v := d.take(1, "uint8", len(d.b))
	if v == nil {
		return 0
	}
	return v[0]
}

// Uint16 reads two bytes.
func (d *Decoder) Uint16() uint16 { return d.uint16("uint16", len(d.b)) }

func (d *Decoder) uint16(typ string, left int) uint16 {
	v := d.take(2, typ, left)
	if v == nil {
		return 0
	}
	return binary.LittleEndian.Uint16(v)
}

// Uint24 reads three bytes.
func (d *Decoder) Uint24() uint32 {
	v := d.take(3, "uint24", len(d.b))
	if v == nil {
		return 0
	}
	return uint32(v[0]) | uint32(v[1])<<8 | uint32(v[2])<<16
}

// Uint32 reads four bytes.
func (d *Decoder) Uint32() uint32 {
	v := d.take(4, "uint32", len(d.b))
	if v == nil {
		return 0
	}
	return binary.LittleEndian.Uint32(v)
}

// Uint64 reads eight bytes; more than MaxUint is an error.
func (d *Decoder) Uint64() uint64 { return d.uint64("uint64", len(d.b)) }

// Bool reads one byte; only 1 is true.
func (d *Decoder) Bool() bool {
	v := d.take(1, "bool", len(d.b))
	return v != nil && v[0] == 1
}

// Buffer reads a buffer. The result aliases the input and is nil only after an
// error.
func (d *Decoder) Buffer() []byte { return d.buffer("buffer") }

func (d *Decoder) buffer(typ string) []byte {
	left := len(d.b)
	n := d.uint(typ, left)
	if n > uint64(len(d.b)) {
		d.fail(typ, left, ErrOutOfBounds)
	}
	if d.err != nil {
		return nil
	}
	return d.take(int(n), typ, left)
}

// OptionalBuffer reads an optional buffer: nil if its length is 0. The result
// aliases the input.
func (d *Decoder) OptionalBuffer() []byte {
	if v := d.buffer("optional buffer"); len(v) > 0 {
		return v
	}
	return nil
}

// String reads a string. The bytes are taken as they are, UTF-8 or not.
func (d *Decoder) String() string { return string(d.buffer("string")) }

// Raw reads all that is left, aliasing the input.
func (d *Decoder) Raw() []byte { return d.take(len(d.b), "raw", len(d.b)) }

// Fixed reads n bytes, aliasing the input; nil after an error.
func (d *Decoder) Fixed(n int) []byte { return d.take(n, "fixed", len(d.b)) }

// Fixed32 reads 32 bytes.
func (d *Decoder) Fixed32() (v [32]byte) {
	copy(v[:], d.take(len(v), "fixed32", len(d.b)))
	return v
}

// Fixed64 reads 64 bytes.
func (d *Decoder) Fixed64() (v [64]byte) {
	copy(v[:], d.take(len(v), "fixed64", len(d.b)))
	return v
}

// Bitfield7 reads a bitfield of up to seven fields. Wider bitfields begin with the
// form byte of a uint of their width; of those the first eight fields are returned,
// as the original does.
func (d *Decoder) Bitfield7() byte {
	const typ = "bitfield"
	left := len(d.b)
	first := d.take(1, typ, left)
	if first == nil {
		return 0
	}
	width := 0
	switch first[0] {
	case uint16Form:
		width = 2
	case uint32Form:
		width = 4
	case uint64Form:
		width = 8
	default:
		return first[0]
	}
	v := d.take(width, typ, left)
	if v == nil {
		return 0
	}
	return v[0]
}
