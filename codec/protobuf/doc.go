// Package protobuf reads and writes the messages of the wire formats field by field,
// without generated code or reflection. It holds the few lines that every message
// shares, on top of protowire.
//
// A message is its fields, one after the other:
//
//	+---------------------------+------------------------------------+
//	| varint: number << 3 | type | value                             |
//	+---------------------------+------------------------------------+
//	type 0  varint
//	type 1  eight bytes, little-endian
//	type 2  varint length, then that many bytes
//	type 5  four bytes, little-endian
//
// Varints have at most ten bytes. Fields with unknown numbers are skipped, groups
// (types 3 and 4) too. A known field of another type than expected is an error, though the
// JavaScript decoders do not look at the type: no peer writes that.
//
// Hypercore 9 writes fields in the order of their numbers, and zero and false values
// as well when it has them; the caller decides what is written.
package protobuf
