package secretstream

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/noise"
)

// Pattern is the Noise handshake pattern of streams that come without keys.
type Pattern uint8

// Both ends must use the same pattern.
const (
	// XX is the default: no side knows the other's key beforehand.
	XX = Pattern(noise.XX)
	// IK has the initiator know the responder's key, and saves a round trip.
	IK = Pattern(noise.IK)
	// XK has the initiator know the responder's key, and shows its own to nobody
	// else.
	XK = Pattern(noise.XK)
)

// String returns the name that Noise has for the pattern.
func (p Pattern) String() string { return noise.Pattern(p).String() }

// Keys are what a handshake leaves behind.
type Keys struct {
	// TX encrypts what this side sends, RX what it receives.
	TX, RX [32]byte
	// Hash is the handshake hash, the same at both ends and unique to the
	// handshake.
	Hash [64]byte
	// PublicKey is the own key, RemotePublicKey the one that the peer has proven
	// to hold.
	PublicKey, RemotePublicKey ed25519.PublicKey
}

const (
	// DefaultHandshakeTimeout is the HandshakeTimeout of the zero Options.
	DefaultHandshakeTimeout = 20 * time.Second
	// DefaultLinger is the Linger of the zero Options.
	DefaultLinger = 5 * time.Second
)

// Options are the optional parts of a stream. The zero value is a stream that
// makes up a key pair and shakes hands with whoever is there.
type Options struct {
	// Keys are those of a handshake that has happened elsewhere, such as the one
	// between the ends of a DHT connection. None happens on the stream then, and
	// the next three fields are not used.
	Keys *Keys

	// Key is the own key pair. Nil means a new one.
	Key ed25519.PrivateKey
	// RemoteKey is the key that the peer must hold; the handshake fails if it
	// holds another. Initiators of IK and XK cannot do without, for others nil
	// means that any key will do.
	RemoteKey ed25519.PublicKey
	// Pattern is XX unless set.
	Pattern Pattern

	// HandshakeTimeout is how long the handshake may take. Zero means 20 seconds,
	// negative means forever.
	HandshakeTimeout time.Duration
	// Timeout ends the stream with ErrTimeout when a Read has waited that long
	// and not a byte came. Zero means never. Keep it well above the peer's
	// KeepAlive.
	Timeout time.Duration
	// KeepAlive is how long this side may be silent before it sends an empty
	// message. Zero means never; the DHT uses 5 seconds. With a KeepAlive, empty
	// messages are not delivered to ReadMessage: the peer is assumed to have one
	// too.
	KeepAlive time.Duration
	// DropEmpty keeps empty messages from ReadMessage without a KeepAlive.
	DropEmpty bool

	// MaxMessage is the longest message in bytes that the peer may send; a longer
	// one ends the stream with ErrFrame. Zero means the constant MaxMessage, and
	// so up to 16 MiB of memory for a stream whose peer sends such messages.
	MaxMessage int
	// Linger is how long Close may wait for the raw stream to take what was
	// written. Zero means 5 seconds, negative means not at all.
	Linger time.Duration
}

// withDefaults returns a copy with the defaults filled in, or says which field
// cannot be.
func (o *Options) withDefaults() (Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	if r.HandshakeTimeout == 0 {
		r.HandshakeTimeout = DefaultHandshakeTimeout
	}
	if r.Linger == 0 {
		r.Linger = DefaultLinger
	}
	if r.MaxMessage == 0 {
		r.MaxMessage = MaxMessage
	}
	switch {
	case r.MaxMessage < 0 || r.MaxMessage > MaxMessage:
		return Options{}, fmt.Errorf("secretstream: MaxMessage %d is not between 1 and %d", r.MaxMessage, MaxMessage)
	case r.KeepAlive < 0:
		return Options{}, fmt.Errorf("secretstream: negative KeepAlive %v", r.KeepAlive)
	case r.Timeout < 0:
		return Options{}, fmt.Errorf("secretstream: negative Timeout %v", r.Timeout)
	}
	return r, nil
}
