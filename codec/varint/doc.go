// Package varint is the unsigned LEB128 integers of the wire formats: seven bits to a
// byte, the lowest first; the high bit says that another byte follows.
//
//	300 = 10 0101100b   +----------+----------+
//	                    | 10101100 | 00000010 |
//	                    +----------+----------+
//
// Frames of hypercore 9 allow [MaxFrame] bytes, so that JavaScript can hold the
// value in a double; protobuf fields allow [Max] bytes for 64 bits. Encodings with
// superfluous zero bits, such as 80 00 for 0, are taken, as everywhere in use.
package varint
