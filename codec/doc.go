// Package codec turns the values of an application into the blocks of a feed and
// back, by one [Encoding] for each kind of value:
//
//	[Binary]    []byte   the bytes themselves
//	[UTF8]      string   the text, which has to be valid UTF-8
//	[JSON]      any T    JSON text and a newline byte 0x0a
//	[JSONText]  any T    JSON text alone
//	[Msgpack]   any T    one MessagePack value, nothing after it
//	[New]       any T    whatever two functions do
//
// [ByName] finds them by the names that hypercore 9 has for them.
//
// A block holds exactly one value, so that no length is stored. Bytes come from
// strangers: decoding them never panics, takes memory in proportion to their number,
// and fails with a [*DecodeError].
//
// The packages below hold what wire formats have in common: varint, protobuf and
// compact integers and messages, zbase32 the text form of keys.
package codec
