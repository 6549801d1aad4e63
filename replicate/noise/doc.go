// Package noise secures a byte stream the way hypercore-protocol 8 (the wire
// protocol of hypercore 9) does: a Noise handshake, a stream cipher for what
// follows it, and proofs that the remote knows a feed's key. It owns no socket
// and starts no goroutine: a [Handshake] is fed the bytes that arrived and
// answers with the bytes to send, or does so over a stream with Run, and ends in
// a [Transport].
//
// # Modes
//
// Both sides must have been told the same mode; nothing on the wire says it.
//
//	mode          handshake  frames      capabilities  in hypercore 9
//	Encrypted     yes        encrypted   yes           the default
//	NoiseOnly     yes        plain       yes           encrypted: false
//	Plain         no         plain       no            encrypted: false, noise: false
//
// # Handshake
//
// The protocol is Noise_XX_25519_ChaChaPoly_BLAKE2b with an empty prologue,
// exactly as the Noise specification (revision 34) defines it.
//
//	   initiator                                   responder
//	1  e, payload                       ------>
//	2                                   <------    e, ee, s, es, payload
//	3  s, se, payload                   ------>
//
// Every message travels behind its length, and every message has a payload,
// also the third, which repeats that of the first:
//
//	+----------------+---------------------------------+
//	| varint(length) | Noise message                   |
//	| 1 to 3         | length, 1 to 65535              |
//	+----------------+---------------------------------+
//
//	message 1  +---------------+---------+                            58 bytes
//	           | e             | payload |
//	           | 32            | 26      |
//	           +---------------+---------+
//	message 2  +---------------+------------+--------------+         122 bytes
//	           | e             | sealed s   | sealed       |
//	           |               |            | payload      |
//	           | 32            | 32 + 16    | 26 + 16      |
//	           +---------------+------------+--------------+
//	message 3  +------------+--------------+                          90 bytes
//	           | sealed s   | sealed       |
//	           |            | payload      |
//	           | 32 + 16    | 26 + 16      |
//	           +------------+--------------+
//
// The payload is the protobuf message NoisePayload, whose only field is the
// nonce with which its sender will encrypt:
//
//	+------+------+------------------------+
//	| 0x0a | 0x18 | nonce                  |
//	| 1    | 1    | 24                     |
//	+------+------+------------------------+
//
// Of several payloads the last one that is not empty counts. Unknown fields are
// skipped. The initiator knows the responder's static key after message 2 and
// the responder the initiator's after message 3; that is where each may refuse.
// Bytes behind the last message, also in the same read, belong to the
// transport.
//
// Static keys are X25519 keys. A pair from a seed of 32 bytes has the secret
// BLAKE2b-256(seed).
//
// # Transport cipher
//
// The two outputs of Noise's Split are the keys of the directions, the first
// for initiator to responder. Each direction is one XSalsa20 key stream, XORed
// over all bytes after the handshake: key = the direction's key, nonce = the
// sender's 24 bytes from its payload, block counter from 0. There is no
// authentication tag. A change on the way is noticed only where what is carried
// proves itself, as the blocks of a feed do.
//
// # Capabilities
//
// Whoever opens a channel for a feed shows, without telling the key, that it
// knows it and that the proof is for this very connection:
//
//	BLAKE2b-256, keyed with the sender's receive key, of
//	+------------------------+---------------------------+----------+
//	| "hypercore capability" | the sender's transmit key | feed key |
//	| 20                     | 32                        | 32       |
//	+------------------------+---------------------------+----------+
//
// where transmit and receive key are the direction keys as the sender sees them.
package noise
