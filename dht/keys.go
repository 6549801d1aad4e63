package dht

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cairn-feeds/cairn/dht/internal/hash"
	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

// ErrKey marks what cannot be read as a public key, a key pair or an address.
var ErrKey = errors.New("dht: not a key")

// PublicKey is an Ed25519 public key: the name of a server, of a peer that is
// announced under a topic, or of a mutable record.
type PublicKey [32]byte

// ParsePublicKey reads a key of 64 hex characters or 52 of z-base-32, or a pear://
// URL of either, whose path is ignored. The error is an ErrKey.
func ParsePublicKey(text string) (PublicKey, error) {
	key, err := messages.ParseKey(text)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return key, nil
}

// String returns the key in hex.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// ZBase32 returns the key as 52 characters of z-base-32.
func (k PublicKey) ZBase32() string { return messages.FormatKey(k) }

// Target is the point of the DHT where the key's server is announced and its
// mutable record stored: BLAKE2b-256 of the key.
func (k PublicKey) Target() rpc.ID { return hash.Sum(k[:]) }

// KeyPair is an Ed25519 key pair.
type KeyPair struct {
	Public PublicKey
	Secret ed25519.PrivateKey // 64 bytes: the seed and the public key
}

// NewKeyPair makes a random key pair.
func NewKeyPair() KeyPair {
	var seed [32]byte
	rand.Read(seed[:]) // never fails
	return KeyPairFromSeed(seed)
}

// KeyPairFromSeed makes the key pair of a seed, which is as secret as the secret
// key.
func KeyPairFromSeed(seed [32]byte) KeyPair {
	secret := ed25519.NewKeyFromSeed(seed[:])
	return KeyPair{Public: PublicKey(secret[32:]), Secret: secret}
}

// check returns an error unless the two keys are a pair.
func (k *KeyPair) check() error {
	if len(k.Secret) != ed25519.PrivateKeySize || PublicKey(k.Secret[32:]) != k.Public {
		return fmt.Errorf("%w: secret and public key are no pair", ErrKey)
	}
	return nil
}

// Address is a public key with nodes that may know the way to its server.
type Address struct {
	Key   PublicKey
	Nodes []netip.AddrPort
}

// ParseAddress reads a key of 32 bytes, or the longer form that has nodes as well.
// The error is an ErrKey.
func ParseAddress(b []byte) (Address, error) {
	a, err := messages.ParseAddress(b)
	if err != nil {
		return Address{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return Address{Key: a.Key, Nodes: a.Nodes}, nil
}

// Append appends the address to b in the form that ParseAddress reads.
func (a Address) Append(b []byte) []byte {
	m := messages.Address{Key: a.Key, Nodes: a.Nodes}
	return m.Append(b)
}

// Hash is BLAKE2b-256, which makes targets of values.
func Hash(b []byte) [32]byte { return hash.Sum(b) }
