// Package wire is the language of hypercore-protocol 8, the wire protocol of
// hypercore 9: how a byte stream is cut into frames, and the messages in them.
// It sees plaintext only; package noise is what lies between it and a socket.
//
// Encoding appends to a slice of the caller's, in the field order of hypercore
// 9 and with the zeros that it writes, so that equal messages are equal bytes.
// Decoding meets every length with a limit before anything is allocated, and
// what is decoded refers to the frame's bytes wherever the message says so.
//
// # Frames
//
// A stream is a sequence of frames. All varints are unsigned LEB128, as in
// protobuf, of at most 8 bytes in a frame's head:
//
//	+-----------+-------------------------------+------------------+
//	| varint(L) | varint(channel << 4 | type)   | body             |
//	| 1 to 8    | 1 to 8, counts into L         | 0 to 8,388,608   |
//	+-----------+-------------------------------+------------------+
//
// L = 0 is a keep-alive: the one byte 00, no header, no body, no meaning beyond
// that the sender lives. An L that is shorter than the header, or longer than
// header and largest body, ends the connection.
//
// A channel belongs to one feed. Each side numbers the channels that it opens
// 1, 2, 3, ...; the number in a frame is of its sender's numbering. Number 0 is
// the connection itself, which has Options and extensions only. Peers ignore
// frames on channels that they do not know, and frames of the unknown types 11
// to 14.
//
// # Messages
//
// Bodies of the types 0 to 10 are protobuf messages:
//
//	type          fields                                     when absent
//	 0  Open      1 bytes discoveryKey (required, 32 bytes)
//	              2 bytes capability (32 bytes)              not proved
//	 1  Options   1 repeated string extensions               none
//	              2 bool ack                                 false
//	 2  Status    1 bool uploading                           false
//	              2 bool downloading                         false
//	 3  Have      1 uint64 start (required)
//	              2 uint64 length                            1
//	              3 bytes bitfield (run-length encoded)      not present
//	              4 bool ack                                 false
//	 4  Unhave    1 uint64 start (required)
//	              2 uint64 length                            1
//	 5  Want      1 uint64 start (required)
//	              2 uint64 length                            0, all that follows
//	 6  Unwant    as Want
//	 7  Request   1 uint64 index (required)
//	              2 uint64 bytes                             0
//	              3 bool hash                                false
//	              4 uint64 nodes                             0
//	 8  Cancel    1 uint64 index (required)
//	              2 uint64 bytes                             0
//	              3 bool hash                                false
//	 9  Data      1 uint64 index (required)
//	              2 bytes value                              answers with a hash
//	              3 repeated Node nodes                      none
//	              4 bytes signature (64 bytes)               not present
//	    Node      1 uint64 index (required)
//	              2 bytes hash (required, 32 bytes)
//	              3 uint64 size (required)
//	10  Close     1 bytes discoveryKey (32 bytes)            not present
//
// Type 15 is an extension message, not protobuf:
//
//	+--------------------+-----------+
//	| varint(extension)  | payload   |
//	+--------------------+-----------+
//
// As an example, a Request on channel 1 for block 3, of someone who has nothing
// yet:
//
//	09 17 08 03 10 00 18 00 20 00
//	|  |  |     |     |     nodes = 0
//	|  |  |     |     hash = false
//	|  |  |     bytes = 0
//	|  |  index = 3
//	|  channel 1, type 7
//	9 bytes follow
//
// # What is tolerated, and what is not
//
// Fields may come in any order; of several values of one field the last counts;
// fields with unknown numbers are skipped. A required field that is missing, a
// known field of another wire type, a group, and anything that ends early is an
// error, and so is a number over 2^53-1, which hypercore 9 could not hold: sums
// of two numbers never overflow. In two points this is stricter than hypercore
// 9, which takes a field of the wrong wire type for what it is not and a
// byte field that ends early for a shorter one; no peer sends either.
package wire
