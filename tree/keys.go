package tree

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/crypto/blake2b"
)

// PublicKey is the Ed25519 public key of a feed. It names the feed, and whoever
// knows it may read the feed: treat it as a read capability.
//
// The key of a static feed is the tree hash of its content instead.
type PublicKey [ed25519.PublicKeySize]byte

// DiscoveryKey names a feed towards those who may not read it. It is the
// BLAKE2b-256 of the nine bytes "hypercore", keyed with the public key.
type DiscoveryKey [blake2b.Size256]byte

// SecretKey is the Ed25519 secret key of a feed, seed and public key one after
// the other. It never shows itself: fmt, log/slog and text encodings get a
// placeholder or an error. To store one, slice it.
type SecretKey [ed25519.PrivateKeySize]byte

// KeyPair is the pair of keys of a feed that is written here.
type KeyPair struct {
	Public PublicKey
	Secret SecretKey
}

// ErrKeyMismatch is returned by [SecretKey.Check].
var ErrKeyMismatch = errors.New("tree: secret key does not belong to its public key")

// KeyError reports bytes or text that cannot be a key, hash or signature.
type KeyError struct {
	Kind string // what was expected: "public key", "signature", ...
	Len  int    // length in bytes of what was found, after decoding hex
	Want int    // length in bytes of the kind
	Err  error  // what is wrong with the text; nil when it is the length
}

// Error implements error.
func (e *KeyError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("tree: %s: %v", e.Kind, e.Err)
	}
	return fmt.Sprintf("tree: %s of %d bytes, want %d", e.Kind, e.Len, e.Want)
}

// Unwrap returns Err.
func (e *KeyError) Unwrap() error { return e.Err }

// GenerateKeyPair makes a new random key pair.
func GenerateKeyPair() (KeyPair, error) {
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(rand.Reader, seed[:]); err != nil {
		return KeyPair{}, fmt.Errorf("generate key pair: %w", err)
	}
	return KeyPairFromSeed(seed), nil
}

// KeyPairFromSeed makes the key pair of a seed by the standard expansion of RFC
// 8032. Equal seeds give equal key pairs.
func KeyPairFromSeed(seed [ed25519.SeedSize]byte) KeyPair {
	secret := SecretKey(ed25519.NewKeyFromSeed(seed[:]))
	return KeyPair{Public: secret.Public(), Secret: secret}
}

// ParsePublicKey copies a public key from exactly 32 bytes. The error is a [*KeyError].
func ParsePublicKey(b []byte) (PublicKey, error) {
	var k PublicKey
	return k, parse(k[:], "public key", b)
}

// ParsePublicKeyHex decodes a public key from 64 hexadecimal digits of either
// case. The error is a [*KeyError].
func ParsePublicKeyHex(s string) (PublicKey, error) {
	var k PublicKey
	if err := k.UnmarshalText([]byte(s)); err != nil {
		return PublicKey{}, err
	}
	return k, nil
}

// ParseSecretKey copies a secret key from exactly 64 bytes and checks it (see
// [SecretKey.Check]). The error is a [*KeyError] or matches [ErrKeyMismatch].
func ParseSecretKey(b []byte) (SecretKey, error) {
	var k SecretKey
	if err := parse(k[:], "secret key", b); err != nil {
		return SecretKey{}, err
	}
	if err := k.Check(); err != nil {
		return SecretKey{}, err
	}
	return k, nil
}

// String returns the key in lower-case hex.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// MarshalText encodes the key in lower-case hex.
func (k PublicKey) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText decodes what MarshalText encodes. The error is a [*KeyError].
func (k *PublicKey) UnmarshalText(text []byte) error { return parseHex(k[:], "public key", text) }

// DiscoveryKey returns the discovery key of the feed that k names.
func (k PublicKey) DiscoveryKey() DiscoveryKey {
	h, err := blake2b.New256(k[:])
	if err != nil {
		panic("tree: keyed BLAKE2b: " + err.Error()) // fails for keys over 64 bytes only
	}
	io.WriteString(h, "hypercore")
	var d DiscoveryKey
	h.Sum(d[:0])
	return d
}

// String returns the key in lower-case hex.
func (k DiscoveryKey) String() string { return hex.EncodeToString(k[:]) }

// MarshalText encodes the key in lower-case hex.
func (k DiscoveryKey) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText decodes what MarshalText encodes. The error is a [*KeyError].
func (k *DiscoveryKey) UnmarshalText(text []byte) error {
	return parseHex(k[:], "discovery key", text)
}

// Public returns the public key that is part of k.
func (k SecretKey) Public() PublicKey { return PublicKey(k[ed25519.SeedSize:]) }

// Check reports whether the two halves of k belong together, as ErrKeyMismatch
// if not. Signing with a key whose halves do not match reveals its seed, so a
// key from a file or from a user is checked before use.
func (k SecretKey) Check() error {
	want := ed25519.NewKeyFromSeed(k[:ed25519.SeedSize])
	if subtle.ConstantTimeCompare(want, k[:]) != 1 {
		return ErrKeyMismatch
	}
	return nil
}

const redacted = "[secret key]"

// String returns a placeholder.
func (k SecretKey) String() string { return redacted }

// GoString returns a placeholder.
func (k SecretKey) GoString() string { return redacted }

// LogValue returns a placeholder.
func (k SecretKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format prints a placeholder for every verb.
func (k SecretKey) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText refuses: a secret key is written out on purpose or not at all.
func (k SecretKey) MarshalText() ([]byte, error) {
	return nil, errors.New("tree: a secret key has no text form")
}

// parse copies b, which has to fill dst exactly.
func parse(dst []byte, kind string, b []byte) error {
	if len(b) != len(dst) {
		return &KeyError{Kind: kind, Len: len(b), Want: len(dst)}
	}
	copy(dst, b)
	return nil
}

// parseHex decodes text, which has to fill dst exactly. On error dst is unchanged.
func parseHex(dst []byte, kind string, text []byte) error {
	if len(text)%2 == 0 && len(text) != hex.EncodedLen(len(dst)) {
		return &KeyError{Kind: kind, Len: hex.DecodedLen(len(text)), Want: len(dst)}
	}
	b, err := hex.AppendDecode(make([]byte, 0, len(dst)), text)
	if err != nil {
		return &KeyError{Kind: kind, Len: hex.DecodedLen(len(text)), Want: len(dst), Err: err}
	}
	copy(dst, b)
	return nil
}
