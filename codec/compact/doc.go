// Package compact reads and writes compact-encoding, the value encoding of the
// hyperdht 6 family: dht-rpc messages, Noise payloads, secret-stream headers and
// protomux frames are all concatenations of the values below, without tags or
// padding. What follows what is known from the message alone.
//
// # Values
//
// Integers are little-endian.
//
//	uint8 16 24 32 64   that many bits; uint64 stops at MaxUint
//	uint                0x00..0xfc             the byte itself
//	                    0xfd | 2 bytes         up to 0xffff
//	                    0xfe | 4 bytes         up to 0xffffffff
//	                    0xff | 8 bytes         up to MaxUint
//	int                 zig-zag as a uint: 0, -1, 1, -2 ... become 0, 1, 2, 3 ...
//	bool                one byte; 1 is true, anything else false
//	buffer              uint length | bytes
//	optional buffer     as buffer, and length 0 means that there is none
//	string              as buffer, UTF-8
//	raw                 all that is left
//	fixed32, fixed64    32 or 64 bytes, no length
//	ipv4 address        4 address bytes in order | uint16 port
//	ipv6 address        16 address bytes in order | uint16 port
//	ip address          0x04 | ipv4 address   or   0x06 | ipv6 address
//	array of X          uint count | X | X ...; a count above MaxArray is refused
//	bitfield of 7       one byte, bit i is field i
//
// The largest uint is 2^53-1, the largest integer that a JavaScript number holds
// exactly; the encoders and decoders of the other implementations refuse more.
// A number may be written longer than necessary: decoders accept fd 01 00 for 1,
// encoders never write it.
//
// # Encoding
//
// Encoders append to a slice and return it, as the append built-in does; nothing
// is allocated if the slice has room. Size functions say how much a value needs.
// What cannot be expressed (a uint above MaxUint, an int outside MinInt..MaxInt,
// an address that is not IPv4) is a mistake of the caller and panics, as in
// encoding/binary's fixed-size functions: check what comes from a user before.
//
// # Decoding
//
// A [Decoder] walks over a byte slice. Its first error sticks: later calls return
// zero values, so that a message is read field by field and Err is asked once,
// at the end. Returned slices alias the input. Nothing is allocated from a length
// or a count before the input is known to be long enough to hold it, so memory is
// bounded by the size of the input. Bytes that nothing asked for are left alone;
// whether they are an error is up to the message.
package compact
