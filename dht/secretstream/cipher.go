package secretstream

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // deprecated as a building block, which is what is needed here
)

const (
	cipherHeaderSize = 24
	macSize          = poly1305.TagSize
	// blockSize is the length of a ChaCha20 block, and of the block that stands
	// before every message and carries its tag.
	blockSize = 64
	// scratch is how much room a region has before the bytes that travel.
	scratch = blockSize - 1
	// overhead is by how much a message grows: its tag and the MAC.
	overhead = 1 + macSize
)

// tag is the type that libsodium gives each message of a stream. Secret streams
// send tagMessage only and ignore what they receive, except that the key changes
// after those with the bit of tagRekey.
type tag byte

const (
	tagMessage tag = 0
	tagPush    tag = 1
	tagRekey   tag = 2
	tagFinal   tag = 3 // tagPush | tagRekey
)

// cipherState is one direction of crypto_secretstream_xchacha20poly1305. It
// works in place on a region, which holds a message and room around it:
//
//	+---------+-----+------------+-----+
//	| scratch | tag | message    | MAC |
//	| 63      | 1   | any length | 16  |
//	+---------+-----+------------+-----+
//
// From the tag on these are the bytes that travel. The scratch in front makes
// the tag's ChaCha20 block whole, so that block and message are contiguous as
// they are in the keystream: then a single call of the ChaCha20-Poly1305 of
// RFC 8439, which is fast assembly, encrypts them and computes nearly the right
// MAC. Nearly, because libsodium pads the message with len%16 zero bytes before
// its length where the RFC pads it to a multiple of 16. The two agree when the
// length is a multiple of 8; else the MAC is computed again.
type cipherState struct {
	aead  cipher.AEAD // ChaCha20-Poly1305 under key
	key   [chacha20.KeySize]byte
	nonce [chacha20.NonceSize]byte // message counter, u32le | inonce 8
}

// init derives the state of a direction from its key and random header.
func (s *cipherState) init(key *[32]byte, header *[cipherHeaderSize]byte) {
	subkey, err := chacha20.HChaCha20(key[:], header[:16])
	if err != nil {
		panic(err) // sizes are fixed
	}
	s.reset(subkey, header[16:])
}

// reset starts over with another key and inonce.
func (s *cipherState) reset(key, inonce []byte) {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic(err) // size is fixed
	}
	s.aead = aead
	copy(s.key[:], key)
	binary.LittleEndian.PutUint32(s.nonce[:4], 1)
	copy(s.nonce[4:], inonce)
}

// seal encrypts a region in place; the scratch before the tag is lost.
func (s *cipherState) seal(region []byte, t tag) {
	end := len(region) - macSize
	clear(region[:blockSize])
	region[0] = byte(t)
	s.aead.Seal(region[:0:len(region)], s.nonce[:], region[:end], nil)
	mac := (*[macSize]byte)(region[end:])
	if end%8 != 0 {
		var key [32]byte
		s.xorKeystream(key[:], 0)
		authenticate(mac, region[:end], &key)
	}
	region[scratch] = region[0]
	s.advance(t, mac)
}

// open decrypts a region in place; scratch and MAC are lost. It fails when the
// bytes are not what the other side sealed next. The state is of no use then.
func (s *cipherState) open(region []byte) (tag, error) {
	end := len(region) - macSize
	mac := [macSize]byte(region[end:])

	// The sender encrypted zeros after the tag, so the rest of its block is
	// keystream.
	var keystream [2 * blockSize]byte // blocks 0 (whose half is the MAC's key) and 1
	macKey, first := keystream[:32], keystream[blockSize:]
	rfc := end%8 == 0
	if rfc {
		s.xorKeystream(first, 1)
	} else {
		s.xorKeystream(keystream[:], 0)
	}
	encrypted := region[scratch]
	t := tag(encrypted ^ first[0])
	copy(region, first)
	region[0] = encrypted

	if rfc {
		if _, err := s.aead.Open(region[:0], s.nonce[:], region, nil); err != nil {
			return 0, ErrAuth
		}
	} else {
		var want [macSize]byte
		authenticate(&want, region[:end], (*[32]byte)(macKey))
		if subtle.ConstantTimeCompare(mac[:], want[:]) != 1 {
			return 0, ErrAuth
		}
		// A stream cipher decrypts by encrypting; the MAC that this makes goes
		// where the checked one was.
		s.aead.Seal(region[:0:len(region)], s.nonce[:], region[:end], nil)
	}
	s.advance(t, &mac)
	return t, nil
}

// authenticate computes the MAC of an encrypted block and message.
func authenticate(mac *[macSize]byte, data []byte, key *[32]byte) {
	var tail [macSize - 1 + 16]byte // padding, length of the (absent) additional data, length of data
	lengths := tail[len(data)%macSize:]
	binary.LittleEndian.PutUint64(lengths[8:], uint64(len(data)))
	m := poly1305.New(key)
	m.Write(data)
	m.Write(tail[:len(data)%macSize+16])
	m.Sum(mac[:0])
}

// advance prepares the state for the next message.
func (s *cipherState) advance(t tag, mac *[macSize]byte) {
	subtle.XORBytes(s.nonce[4:], s.nonce[4:], mac[:8])
	counter := binary.LittleEndian.Uint32(s.nonce[:]) + 1
	binary.LittleEndian.PutUint32(s.nonce[:], counter)
	if t&tagRekey != 0 || counter == 0 {
		s.rekey()
	}
}

// rekey replaces the key by one that does not lead back to it.
func (s *cipherState) rekey() {
	var next [chacha20.KeySize + 8]byte
	copy(next[:], s.key[:])
	copy(next[chacha20.KeySize:], s.nonce[4:])
	s.xorKeystream(next[:], 0)
	s.reset(next[:chacha20.KeySize], next[chacha20.KeySize:])
}

// xorKeystream encrypts b in place under the current nonce, from that ChaCha20
// block on; a zero b becomes the keystream.
func (s *cipherState) xorKeystream(b []byte, block uint32) {
	c, err := chacha20.NewUnauthenticatedCipher(s.key[:], s.nonce[:])
	if err != nil {
		panic(err) // sizes are fixed
	}
	c.SetCounter(block)
	c.XORKeyStream(b, b)
}
