// Package secretstream turns an ordered stream of bytes, a UDX stream or a TCP
// connection, into an encrypted one between two known keys that keeps the bounds
// of messages. It speaks the protocol of @hyperswarm/secret-stream 6, which is
// what connections of hyperdht 6 are made of.
//
// # Frames
//
// Everything on the raw stream is frames, in both directions:
//
//	+--------+----------------------+
//	| length | body                 |
//	| u24le  | 1 to 16,777,215      |
//	+--------+----------------------+
//
// How the bytes were chunked on the way means nothing. The bodies of a direction
// are, in this order:
//
//  1. its messages of the Noise handshake, unless keys were given (by the DHT,
//     whose peers shake hands before there is a stream);
//  2. one header;
//  3. messages, to the end of the raw stream.
//
// # Handshake
//
// Noise_XX_Ed25519_ChaChaPoly_BLAKE2b (or IK, XK) with an empty prologue and
// empty payloads, so for XX of 32, 96 and 64 bytes: see package
// dht/internal/noise for what is special about it. It yields a key for each
// direction and a handshake hash of 64 bytes.
//
// # Header
//
//	+-----------+---------------+
//	| stream id | cipher header |
//	| 32        | 24 random     |
//	+-----------+---------------+
//
// hash is BLAKE2b-256, hash(k; x) the same keyed, | concatenates:
//
//	ns(i)     = hash(hash("hyperswarm/secret-stream") | byte(i))
//	stream id = hash(handshake hash; ns(0))   sent by the initiator
//	            hash(handshake hash; ns(1))   sent by the responder
//
// A receiver that gets another id, or another length, ends the stream: two streams
// were crossed. A sender does not wait for the peer's header.
//
// # Messages
//
// The cipher is libsodium's crypto_secretstream_xchacha20poly1305 without
// additional data. A direction starts with
//
//	k      = HChaCha20(key of the direction, cipher header[0:16])
//	nonce  = counter u32le, 1 at first | inonce = cipher header[16:24]
//
// and seals a message under tag 0 as the body tag' | ct | mac, 17 bytes longer than
// the message. With the keystream of ChaCha20 (RFC 8439) under k and nonce in
// blocks of 64 bytes:
//
//	block 0         the first half is the Poly1305 key
//	block 1         encrypts tag | 63 zero bytes, to B; tag' is B[0]
//	blocks 2...     encrypt the message, to ct
//	mac             Poly1305(B | ct | len(ct)%16 zero bytes | u64le 0 | u64le 64+len(ct))
//
// The zero bytes do not fill up to 16, whatever was intended. After each message
//
//	inonce ^= mac[0:8];  counter += 1
//
// and, if the tag has bit 1 or the counter became 0, the next 40 bytes of key and
// inonce are these 40 bytes encrypted from block 0 on, with counter 1. Senders use
// tag 0 only; receivers honour the others, and tell their callers about none.
//
// The end of a direction is that of the raw stream and not authenticated.
//
// # Silence
//
// A side with a keep-alive sends an empty message whenever it was silent for that
// long (5 seconds in hyperdht). Both sides are assumed to do so or not, thus a side
// with a keep-alive does not deliver empty messages.
//
// # Unordered messages
//
// A raw stream that carries datagrams too can carry them sealed. They have their
// own keys, hash(handshake hash; ns(0) | ns(2)) from initiator to responder and
// hash(handshake hash; ns(1) | ns(2)) back:
//
//	+---------+------------------------------------+
//	| counter | XSalsa20-Poly1305 secretbox        |
//	| 8       | MAC 16, then as long as message    |
//	+---------+------------------------------------+
//
// The nonce is the counter followed by 16 zero bytes. The counter starts at a
// random value and grows by one, little-endian, before each message; a sender stops
// before it repeats. Receivers drop what is not authentic. They do not notice
// repetitions.
//
// # Memory
//
// A stream holds at most two batches of outgoing frames, of 256 KiB and one message
// each, and one buffer of incoming ones, of 128 KiB or one frame. A long frame gets
// its memory as its bytes arrive. At rest there are 4 KiB and a goroutine, two if
// the raw stream has no read deadlines.
package secretstream
