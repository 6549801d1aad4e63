package wire

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// MaxNumber is the largest number that a message may carry: hypercore 9 counts
// in IEEE 754 doubles.
const MaxNumber = 1<<53 - 1

// A tag as it stands before a field's value: its number and its wire type. All
// fields of the protocol have tags of one byte.
const (
	varint1 = 1<<3 | byte(protowire.VarintType)
	varint2 = 2<<3 | byte(protowire.VarintType)
	varint3 = 3<<3 | byte(protowire.VarintType)
	varint4 = 4<<3 | byte(protowire.VarintType)
	bytes1  = 1<<3 | byte(protowire.BytesType)
	bytes2  = 2<<3 | byte(protowire.BytesType)
	bytes3  = 3<<3 | byte(protowire.BytesType)
	bytes4  = 4<<3 | byte(protowire.BytesType)
)

// fieldNames are the names of each message's fields, by number from 1.
var fieldNames = [...][]string{
	TypeOpen:    {"discoveryKey", "capability"},
	TypeOptions: {"extensions", "ack"},
	TypeStatus:  {"uploading", "downloading"},
	TypeHave:    {"start", "length", "bitfield", "ack"},
	TypeUnhave:  {"start", "length"},
	TypeWant:    {"start", "length"},
	TypeUnwant:  {"start", "length"},
	TypeRequest: {"index", "bytes", "hash", "nodes"},
	TypeCancel:  {"index", "bytes", "hash"},
	TypeData:    {"index", "value", "nodes", "signature"},
	TypeClose:   {"discoveryKey"},

	TypeExtension: {"id"}, // not a field, but named in errors like one
}

// fields walks over the fields of a body:
//
//	d := fields{rest: body, known: 2}
//	for tag := d.next(); tag != 0; tag = d.next() {
//		switch tag {
//		case varint1:
//			m.Start = d.number()
//		...
//		default:
//			d.fail(ErrMalformed) // a known field of another wire type
//		}
//	}
//	return d.done(TypeHave, 1)
//
// After an error there are no more fields, and err is the error.
type fields struct {
	rest  []byte
	known protowire.Number // fields up to this number have a meaning
	at    protowire.Number // the field that next found
	seen  uint             // bit n is set when field n was there
	err   error
}

// next returns the tag of the next known field, whose value is to be taken with
// one of the other methods. Unknown fields are skipped. At the end it returns 0.
func (d *fields) next() byte {
	for len(d.rest) > 0 {
		if num := protowire.Number(d.rest[0] >> 3); 0 < num && num <= d.known { // the usual tag, of one byte
			tag := d.rest[0]
			d.rest, d.at = d.rest[1:], num
			d.seen |= 1 << num
			return tag
		}
		num, typ, n := protowire.ConsumeTag(d.rest)
		if n < 0 {
			d.fail(ErrMalformed)
			return 0
		}
		d.rest, d.at = d.rest[n:], num
		if num <= d.known {
			d.seen |= 1 << num
			return byte(num)<<3 | byte(typ)
		}
		if typ == protowire.StartGroupType { // groups could nest, and the protocol has none
			d.fail(ErrMalformed)
			return 0
		}
		if n = protowire.ConsumeFieldValue(num, typ, d.rest); n < 0 {
			d.fail(ErrMalformed)
			return 0
		}
		d.rest = d.rest[n:]
	}
	return 0
}

// fail ends the walk with err, if nothing has ended it before.
func (d *fields) fail(err error) {
	d.rest = nil
	if d.err == nil {
		d.err = err
	}
}

// done returns the error of the walk through a message of type t, of which the
// first required fields must have been there.
func (d *fields) done(t Type, required protowire.Number) error {
	if d.err == nil {
		if d.at = d.missing(required); d.at == 0 {
			return nil
		}
		d.err = ErrMissing
	}
	e := &MessageError{Type: t, Err: d.err}
	if names := fieldNames[t]; 0 < d.at && int(d.at) <= len(names) {
		e.Field = names[d.at-1]
	}
	return e
}

// missing returns the number of the first of the required fields that was not
// there, or 0.
func (d *fields) missing(required protowire.Number) protowire.Number {
	for num := protowire.Number(1); num <= required; num++ {
		if d.seen&(1<<num) == 0 {
			return num
		}
	}
	return 0
}

// varint takes a number of any size.
func (d *fields) varint() uint64 {
	v, n := protowire.ConsumeVarint(d.rest)
	if n < 0 {
		d.fail(ErrMalformed)
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// number takes a number that must not be over MaxNumber.
func (d *fields) number() uint64 {
	v := d.varint()
	if v > MaxNumber {
		d.fail(ErrNumber)
		return 0
	}
	return v
}

// flag takes a bool.
func (d *fields) flag() bool { return d.varint() != 0 }

// bytes takes a byte string, which refers to the body.
func (d *fields) bytes() []byte {
	v, n := protowire.ConsumeBytes(d.rest)
	if n < 0 {
		d.fail(ErrMalformed)
		return nil
	}
	d.rest = d.rest[n:]
	return v[:len(v):len(v)]
}

// fixed copies a byte string that must have the length of dst.
func (d *fields) fixed(dst []byte) {
	if v := d.bytes(); len(v) != len(dst) {
		d.fail(ErrLength)
	} else {
		copy(dst, v)
	}
}

// appendNumber appends a field that is a number.
func appendNumber(dst []byte, tag byte, v uint64) []byte {
	return protowire.AppendVarint(append(dst, tag), v)
}

// sizeNumber is the length of what appendNumber appends.
func sizeNumber(v uint64) int { return 1 + protowire.SizeVarint(v) }

// appendFlag appends a field that is a bool.
func appendFlag(dst []byte, tag byte, v bool) []byte {
	if v {
		return append(dst, tag, 1)
	}
	return append(dst, tag, 0)
}

// sizeFlag is the length of what appendFlag appends.
const sizeFlag = 2

// appendBytes appends a field that is a byte string.
func appendBytes[T ~string | ~[]byte](dst []byte, tag byte, v T) []byte {
	dst = protowire.AppendVarint(append(dst, tag), uint64(len(v)))
	return append(dst, v...)
}

// sizeBytes is the length of what appendBytes appends for n bytes.
func sizeBytes(n int) int { return 1 + protowire.SizeBytes(n) }
