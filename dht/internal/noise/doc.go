// Package noise performs the Noise handshakes of hyperdht 6 and of
// @hyperswarm/secret-stream 6: IK between the ends of a DHT connection, XX (or
// XK) on a stream that nobody introduced.
//
// The protocol names are Noise_IK_Ed25519_ChaChaPoly_BLAKE2b and the same with
// XX or XK, as the Noise Protocol Framework (revision 34) defines them, with
// one invention: the keys are Ed25519 signing keys, and so is the DH.
//
// # Messages
//
// e is an ephemeral public key, s a static one, a tag is the 16 bytes of
// Poly1305; braces mark what is encrypted. Payloads may be empty.
//
//	IK  (the initiator knows the responder's static key)
//	  1 ->  e 32 | {s 32} tag 16 | {payload} tag 16
//	  2 <-  e 32 | {payload} tag 16
//
//	XX
//	  1 ->  e 32 | payload (in the clear)
//	  2 <-  e 32 | {s 32} tag 16 | {payload} tag 16
//	  3 ->  {s 32} tag 16 | {payload} tag 16
//
//	XK  (the initiator knows the responder's static key)
//	  1 ->  e 32 | {payload} tag 16
//	  2 <-  e 32 | {payload} tag 16
//	  3 ->  {s 32} tag 16 | {payload} tag 16
//
// A message has at most 65,535 bytes. The hash is BLAKE2b-512, HKDF runs over
// plain HMAC with its block of 128 bytes (never over BLAKE2b's own keyed mode),
// cipher keys are the first 32 bytes of its outputs, and nonces are four zero
// bytes and a little-endian u64. Of the two keys that the handshake ends with,
// the first encrypts what the initiator sends.
//
// # DH
//
// The private key is the seed of an Ed25519 key pair, the public key a
// compressed Edwards point:
//
//	scalar = clamp(SHA-512(seed)[:32])
//	shared = compress(scalar * decompress(public key))
//
// where clamp clears bits 0, 1, 2 and 255 and sets bit 254 (RFC 8032, section
// 5.1.5). The rules are those of libsodium's crypto_scalarmult_ed25519_noclamp:
// a public key is refused unless it is the canonical encoding of a point of the
// prime-order subgroup other than the identity. Points of small order would let
// anybody fix the shared secret beforehand; points with a component of small
// order would let a peer learn three bits of the scalar, and would give two
// encodings of one identity.
package noise
