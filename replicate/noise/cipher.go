package noise

import (
	"crypto/subtle"
	"encoding/binary"

	"golang.org/x/crypto/salsa20/salsa"
)

// salsaBlock is the length of a block of Salsa20 key stream in bytes.
const salsaBlock = 64

// Cipher is one direction's XSalsa20 key stream. Successive calls continue it,
// at any byte, so how the stream is cut into calls does not matter. It
// implements crypto/cipher's Stream. A Cipher is not safe for concurrent use
// and must be made by [NewCipher].
type Cipher struct {
	key [32]byte
	// counter is the Salsa20 input: the nonce's last 8 bytes, then the number
	// of the next block that has not been generated, little-endian.
	counter [16]byte
	// rest[used:] is key stream of the last generated block that is still to
	// be used; used == salsaBlock says that none is.
	rest [salsaBlock]byte
	used int
}

// NewCipher returns the key stream of key and nonce from its beginning.
func NewCipher(key *[32]byte, nonce *[NonceSize]byte) *Cipher {
	c := &Cipher{used: salsaBlock}
	salsa.HSalsa20(&c.key, (*[16]byte)(nonce[:16]), key, &salsa.Sigma)
	copy(c.counter[:8], nonce[16:])
	return c
}

// XORKeyStream sets dst to src XOR the next len(src) bytes of key stream. The
// two must be the same memory or not overlap; dst must not be shorter than src.
// It does not allocate.
func (c *Cipher) XORKeyStream(dst, src []byte) {
	dst = dst[:len(src)]

	// What the last call left of its last block.
	n := subtle.XORBytes(dst, src, c.rest[c.used:])
	c.used += n
	dst, src = dst[n:], src[n:]
	if len(src) == 0 {
		return
	}

	// Whole blocks, straight from src to dst.
	if whole := len(src) &^ (salsaBlock - 1); whole > 0 {
		salsa.XORKeyStream(dst[:whole], src[:whole], &c.counter, &c.key)
		c.advance(uint64(whole / salsaBlock))
		dst, src = dst[whole:], src[whole:]
	}

	// The beginning of one more block, whose end is kept for the next call.
	if len(src) > 0 {
		clear(c.rest[:])
		salsa.XORKeyStream(c.rest[:], c.rest[:], &c.counter, &c.key)
		c.advance(1)
		c.used = subtle.XORBytes(dst, src, c.rest[:])
	}
}

// advance adds blocks to the block counter.
func (c *Cipher) advance(blocks uint64) {
	n := binary.LittleEndian.Uint64(c.counter[8:])
	binary.LittleEndian.PutUint64(c.counter[8:], n+blocks)
}
