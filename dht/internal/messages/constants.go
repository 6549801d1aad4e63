package messages

import (
	"errors"
	"fmt"

	"github.com/cairn-feeds/cairn/dht/internal/hash"
)

// ErrMalformed marks bytes that are not the message that they should be.
var ErrMalformed = errors.New("malformed message")

func malformed(what string, err error) error {
	return fmt.Errorf("dht: %s: %w: %w", what, ErrMalformed, err)
}

// Commands of requests.
const (
	PeerHandshake uint64 = iota
	PeerHolepunch
	FindPeer
	Lookup
	AnnouncePeer
	UnannouncePeer
	PutMutable
	GetMutable
	PutImmutable
	GetImmutable
	Plugin
)

// Error codes of replies to mutable puts.
const (
	SeqReused = 16 // another value was stored under this seq
	SeqTooLow = 17 // a later seq was stored
)

// Namespaces of what is signed and hashed.
var (
	NSHandshake  = namespace(PeerHandshake) // the prologue of Noise handshakes
	NSHolepunch  = namespace(PeerHolepunch)
	NSAnnounce   = namespace(AnnouncePeer)
	NSUnannounce = namespace(UnannouncePeer)
	NSMutable    = namespace(PutMutable)
	NSPlugin     = namespace(Plugin) // for plugins to use
)

func namespace(command uint64) [32]byte { return hash.Namespace("hyperswarm/dht", byte(command)) }

// Mode says where a relayed message comes from, and so what to do with it.
type Mode uint64

// The way of a handshake: client, relay, (second relay,) server, the last relay,
// client.
const (
	FromClient Mode = iota
	FromServer
	FromRelay
	FromSecondRelay
	Reply
)

// String returns the mode's name.
func (m Mode) String() string { return name(m, "client", "server", "relay", "second relay", "reply") }

// Firewall is what is known about the way to a socket.
type Firewall uint64

// A NAT is consistent if a socket has one public port whatever it sends to.
const (
	FirewallUnknown Firewall = iota
	FirewallOpen
	FirewallConsistent
	FirewallRandom
)

// String returns the firewall's name.
func (f Firewall) String() string { return name(f, "unknown", "open", "consistent", "random") }

// Error is the outcome that one end of a connection attempt tells the other.
type Error uint64

// The outcomes.
const (
	ErrorNone Error = iota
	ErrorAborted
	ErrorVersionMismatch
	ErrorTryLater
)

// String returns the outcome's name.
func (e Error) String() string {
	return name(e, "none", "aborted", "version mismatch", "try later")
}

func name[T ~uint64](v T, names ...string) string {
	if uint64(v) < uint64(len(names)) {
		return names[v]
	}
	return fmt.Sprintf("unknown (%d)", uint64(v))
}
