package tree

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// SignatureSize is the length of a signature in bytes.
const SignatureSize = ed25519.SignatureSize

// Signature is a detached Ed25519 signature of a [Signable].
type Signature [SignatureSize]byte

// String returns the signature in lower-case hex.
func (s Signature) String() string { return hex.EncodeToString(s[:]) }

// MarshalText encodes the signature in lower-case hex.
func (s Signature) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText decodes what MarshalText encodes. The error is a [*KeyError].
func (s *Signature) UnmarshalText(text []byte) error { return parseHex(s[:], "signature", text) }

// ParseSignature copies a signature from exactly 64 bytes. The error is a [*KeyError].
func ParseSignature(b []byte) (Signature, error) {
	var s Signature
	return s, parse(s[:], "signature", b)
}

// Signable is what is signed: the tree hash, then the length as eight bytes, big-endian.
type Signable [HashSize + 8]byte

// NewSignable returns the signable of a feed of the given length in blocks.
func NewSignable(h Hash, length uint64) Signable {
	var s Signable
	copy(s[:], h[:])
	binary.BigEndian.PutUint64(s[HashSize:], length)
	return s
}

// Crypto replaces how feeds are signed; hashes stay BLAKE2b-256. A nil *Crypto
// and nil fields mean Ed25519.
type Crypto struct {
	// Sign signs the 40 bytes of a Signable. It must not keep the slice.
	Sign func(signable []byte, secret SecretKey) (Signature, error)

	// Verify reports whether a signature is valid. It is called with the 40
	// bytes of a Signable and, when it rejects those, once more with their first
	// 32 (see [Crypto.VerifyRoots]). It must not keep the slice. An error means
	// that the check could not be made.
	Verify func(signable []byte, sig Signature, key PublicKey) (bool, error)
}

// SignRoots signs the full roots, from left to right, of a feed of that length.
func (c *Crypto) SignRoots(roots []Node, length uint64, secret SecretKey) (Signature, error) {
	s := NewSignable(TreeHash(roots), length)
	if c == nil || c.Sign == nil {
		return Signature(ed25519.Sign(secret[:], s[:])), nil
	}
	sig, err := c.Sign(s[:], secret)
	if err != nil {
		return Signature{}, fmt.Errorf("sign length %d: %w", length, err)
	}
	return sig, nil
}

// VerifyRoots checks a signature over the full roots, from left to right, of a
// feed of that length. Beside the signable it accepts the legacy form, which
// early versions of hypercore wrote: a signature of the 32-byte tree hash alone.
// An invalid signature gives [ErrSignature].
func (c *Crypto) VerifyRoots(roots []Node, length uint64, sig Signature, key PublicKey) error {
	s := NewSignable(TreeHash(roots), length)
	for _, form := range [...][]byte{s[:], s[:HashSize]} {
		valid, err := c.verify(form, sig, key)
		if err != nil {
			return fmt.Errorf("verify signature of length %d: %w", length, err)
		}
		if valid {
			return nil
		}
	}
	return ErrSignature
}

func (c *Crypto) verify(signable []byte, sig Signature, key PublicKey) (bool, error) {
	if c == nil || c.Verify == nil {
		return ed25519.Verify(key[:], signable, sig[:]), nil
	}
	return c.Verify(signable, sig, key)
}
