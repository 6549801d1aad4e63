package protobuf

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Reader goes through the fields of one message, without allocating. Fields that nobody
// asks for are skipped. After an error it has no more fields.
//
//	r := protobuf.NewReader(b)
//	for r.Next() {
//		switch r.Number() {
//		case 1:
//			m.Start = r.Uint64()
//		case 3:
//			m.Bitfield = r.Bytes()
//		}
//	}
//	return r.Finish(1) // field 1 is required
//
// A field that comes several times is seen several times: the last one wins if it
// is assigned, all are kept if it is appended.
type Reader struct {
	size int    // of the message
	rest []byte // behind the current field
	seen uint64 // bit n: field n was there, for n < 64
	err  error

	number int
	kind   Type
	varint uint64 // value of a varint, fixed64 or fixed32 field
	bytes  []byte // content of a length-delimited field
}

// NewReader returns a Reader of the message that is all of b. It does not change b.
func NewReader(b []byte) Reader { return Reader{size: len(b), rest: b} }

// Next moves to the next field and reports whether there is one.
func (r *Reader) Next() bool {
	if r.err != nil || len(r.rest) == 0 {
		return false
	}
	number, kind, n := protowire.ConsumeTag(r.rest)
	if n < 0 {
		return r.malformed(0, n)
	}
	r.number, r.kind, r.varint, r.bytes = int(number), Type(kind), 0, nil
	value, size := r.rest[n:], 0
	switch kind {
	case protowire.VarintType:
		r.varint, size = protowire.ConsumeVarint(value)
	case protowire.BytesType:
		r.bytes, size = protowire.ConsumeBytes(value)
	case protowire.Fixed64Type:
		r.varint, size = protowire.ConsumeFixed64(value)
	case protowire.Fixed32Type:
		var v uint32
		v, size = protowire.ConsumeFixed32(value)
		r.varint = uint64(v)
	default: // groups, or no type at all
		size = protowire.ConsumeFieldValue(number, kind, value)
	}
	if size < 0 {
		return r.malformed(r.number, size)
	}
	r.rest = value[size:]
	if number < 64 {
		r.seen |= 1 << number
	}
	return true
}

func (r *Reader) malformed(number, code int) bool {
	r.err = &SyntaxError{Field: number, Offset: r.size - len(r.rest), Err: protowire.ParseError(code)}
	return false
}

// Number returns the number of the current field.
func (r *Reader) Number() int { return r.number }

// Uint64 returns the value of a varint field.
func (r *Reader) Uint64() uint64 {
	if !r.is(Varint) {
		return 0
	}
	return r.varint
}

// Bool returns the value of a varint field: anything but 0 is true.
func (r *Reader) Bool() bool { return r.Uint64() != 0 }

// Fixed64 returns the value of a field of eight bytes.
func (r *Reader) Fixed64() uint64 {
	if !r.is(Fixed64) {
		return 0
	}
	return r.varint
}

// Fixed32 returns the value of a field of four bytes.
func (r *Reader) Fixed32() uint32 {
	if !r.is(Fixed32) {
		return 0
	}
	return uint32(r.varint)
}

// Bytes returns the content of a length-delimited field: bytes or a message. It is
// part of the message, and never nil without an error, so that an empty field is told from
// an absent one.
func (r *Reader) Bytes() []byte {
	if !r.is(Bytes) {
		return nil
	}
	return r.bytes[:len(r.bytes):len(r.bytes)]
}

// Text returns the content of a length-delimited field that has to be UTF-8.
func (r *Reader) Text() string {
	b := r.Bytes()
	if !utf8.Valid(b) {
		r.Fail(ErrUTF8)
		return ""
	}
	return string(b)
}

func (r *Reader) is(want Type) bool {
	if r.err == nil && r.kind != want {
		r.err = &TypeError{Field: r.number, Want: want, Got: r.kind}
	}
	return r.err == nil
}

// Fail ends reading with an error about the value of the current field, unless an
// error came before. Finish then returns a [*ValueError] around err.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = &ValueError{Field: r.number, Err: err}
	}
}

// Finish returns the first error, or a [*MissingError] if one of the required fields, with
// numbers below 64, was not there. It is called when Next has returned false.
func (r *Reader) Finish(required ...int) error {
	if r.err != nil {
		return r.err
	}
	for _, number := range required {
		if r.seen&(1<<number) == 0 {
			return &MissingError{Field: number}
		}
	}
	return nil
}
