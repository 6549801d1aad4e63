package protobuf

import "google.golang.org/protobuf/encoding/protowire"

// The functions of this file write fields, whatever their value: a field that is to be
// absent is not written by the caller. Numbers are from 1 to 2^29-1.

// AppendUint64 appends a varint field.
func AppendUint64(dst []byte, number int, v uint64) []byte {
	dst = protowire.AppendTag(dst, protowire.Number(number), protowire.VarintType)
	return protowire.AppendVarint(dst, v)
}

// AppendBool appends a varint field of 0 or 1.
func AppendBool(dst []byte, number int, v bool) []byte {
	return AppendUint64(dst, number, protowire.EncodeBool(v))
}

// AppendFixed64 appends a field of eight bytes.
func AppendFixed64(dst []byte, number int, v uint64) []byte {
	dst = protowire.AppendTag(dst, protowire.Number(number), protowire.Fixed64Type)
	return protowire.AppendFixed64(dst, v)
}

// AppendFixed32 appends a field of four bytes.
func AppendFixed32(dst []byte, number int, v uint32) []byte {
	dst = protowire.AppendTag(dst, protowire.Number(number), protowire.Fixed32Type)
	return protowire.AppendFixed32(dst, v)
}

// AppendBytes appends a length-delimited field.
func AppendBytes(dst []byte, number int, v []byte) []byte {
	return append(AppendLength(dst, number, len(v)), v...)
}

// AppendString appends a length-delimited field.
func AppendString(dst []byte, number int, v string) []byte {
	return append(AppendLength(dst, number, len(v)), v...)
}

// AppendLength appends what comes before the content of a length-delimited field.
// The caller appends the content itself, which is how messages are put into
// messages and how large content is sent without copying it.
func AppendLength(dst []byte, number, length int) []byte {
	dst = protowire.AppendTag(dst, protowire.Number(number), protowire.BytesType)
	return protowire.AppendVarint(dst, uint64(length))
}

// SizeUint64 returns the number of bytes that AppendUint64 appends.
func SizeUint64(number int, v uint64) int {
	return protowire.SizeTag(protowire.Number(number)) + protowire.SizeVarint(v)
}

// SizeBool returns the number of bytes that AppendBool appends.
func SizeBool(number int) int { return SizeUint64(number, 1) }

// SizeBytes returns the number of bytes of a length-delimited field, content included.
func SizeBytes(number, length int) int {
	return protowire.SizeTag(protowire.Number(number)) + protowire.SizeBytes(length)
}
