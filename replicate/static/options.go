package static

import (
	"crypto/rand"
	"log/slog"
	"time"
)

// Limits of the protocol.
const (
	// MaxFrame is the largest payload of a frame, in bytes.
	MaxFrame = 5 << 20
	// MaxExtensions is how many extensions a side may have.
	MaxExtensions = 64
	// MaxBlocks is the most blocks of a feed that this package deals in. Blocks from there
	// on are neither announced nor asked for.
	MaxBlocks = 4 << 20 * 8

	maxHandshake     = 64 << 10
	maxExtensionName = 256
)

// Options configure a Host. The zero value is ready to use.
type Options struct {
	// ID is what the host calls itself in handshakes. Zero means a random one.
	ID [32]byte
	// MaxRequests is how many requests of ours may be unanswered on a connection. Zero means
	// 20, as in the original.
	MaxRequests int
	// MaxChannels is how many feeds a remote may join on a connection. Zero means 16,384.
	MaxChannels int
	// MaxQueued is how many requests of a remote may be unanswered. Zero means 4,096.
	MaxQueued int
	// MaxMemory bounds, in bytes, what is kept of the Have messages of a connection. Zero
	// means 32 MiB.
	MaxMemory int
	// MaxHandshakes is how many connections may be without handshake; with one more the
	// oldest ends. Zero means 64.
	MaxHandshakes int
	// Silence is how long a connection may stand still where something is due: the
	// handshake, the rest of a frame, or the remote to read what we write. Zero means 20
	// seconds; negative disables it.
	Silence time.Duration
	// AnswerTimeout is how long all our requests may be without an answer. Zero means two
	// minutes; negative disables it.
	AnswerTimeout time.Duration
	// IdleTimeout ends a connection that brings nothing for so long, not even an empty frame.
	// Zero means never: the original is silent when it has nothing to say.
	IdleTimeout time.Duration
	// KeepAlive is how long we may be silent before an empty frame is sent. Zero means 10
	// seconds; negative disables it.
	KeepAlive time.Duration
	// OnHandshake, when not nil, is called when a handshake has arrived, before anything
	// behind it is read. It must not wait for anything else from the remote.
	OnHandshake func(*Stream)
	// Logger receives what the host reports. Nil discards it.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.ID == ([32]byte{}) {
		rand.Read(c.ID[:]) // never fails
	}
	for _, d := range []struct {
		v        *int
		standard int
	}{{&c.MaxRequests, 20}, {&c.MaxChannels, 16384}, {&c.MaxQueued, 4096}, {&c.MaxMemory, 32 << 20}, {&c.MaxHandshakes, 64}} {
		if *d.v <= 0 {
			*d.v = d.standard
		}
	}
	for _, d := range []struct {
		v        *time.Duration
		standard time.Duration
	}{{&c.Silence, 20 * time.Second}, {&c.AnswerTimeout, 2 * time.Minute}, {&c.KeepAlive, 10 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.standard
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
