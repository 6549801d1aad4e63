package noise

import (
	"crypto/ecdh"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/crypto/blake2b"
)

// KeySize is the length of a public or secret X25519 key in bytes.
const KeySize = 32

// PublicKey is a static X25519 public key: what a connection's other side is
// known by. It has nothing to do with the keys of feeds.
type PublicKey [KeySize]byte

// String returns the key in hexadecimal.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// SecretKey is a static X25519 secret key. However it is printed or logged, its
// bytes do not show.
type SecretKey [KeySize]byte

const redacted = "noise.SecretKey(redacted)"

// String returns a fixed text in place of the key.
func (SecretKey) String() string { return redacted }

// GoString returns a fixed text in place of the key.
func (SecretKey) GoString() string { return redacted }

// Format writes a fixed text in place of the key, whatever the verb.
func (SecretKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns a fixed text in place of the key.
func (SecretKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// KeyPair is a static X25519 key pair. The zero value means none.
type KeyPair struct {
	Public PublicKey
	Secret SecretKey
}

// GenerateKeyPair makes a key pair whose secret is the next 32 bytes of random,
// which should be crypto/rand's Reader everywhere but in tests.
func GenerateKeyPair(random io.Reader) (KeyPair, error) {
	var secret SecretKey
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return KeyPair{}, fmt.Errorf("noise: key pair: %w", err)
	}
	return NewKeyPair(secret), nil
}

// KeyPairFromSeed returns the key pair that hypercore 9 derives from seed: its
// secret is BLAKE2b-256 of the seed.
func KeyPairFromSeed(seed [32]byte) KeyPair {
	return NewKeyPair(blake2b.Sum256(seed[:]))
}

// NewKeyPair returns the pair of secret and the public key that belongs to it.
func NewKeyPair(secret SecretKey) KeyPair {
	priv, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		panic("noise: X25519 refused 32 bytes: " + err.Error()) // any 32 bytes are a key
	}
	return KeyPair{Public: PublicKey(priv.PublicKey().Bytes()), Secret: secret}
}
