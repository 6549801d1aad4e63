package replicate

import (
	"log/slog"
	"time"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/replicate/noise"
	"github.com/cairn-feeds/cairn/tree"
)

// Options configure a Host and its sessions. Nil and the zero value work.
type Options struct {
	// Live keeps sessions open when there is nothing left to exchange. By default
	// they end when both sides are content.
	Live bool
	// EndComplete ends a session as soon as we have what we want and the remote,
	// as far as it tells, has what we have or does not download, even when the
	// remote is live. It excludes Live.
	EndComplete bool
	// Ack asks remotes to confirm each block that they stored; see Events.Ack.
	Ack bool

	// Mode is the security of the connections; both sides must use the same one.
	Mode noise.Mode
	// KeyPair is the static key pair that remotes know us by. The zero value is a
	// random one for each session.
	KeyPair noise.KeyPair
	// Authenticate, if set, may refuse a remote by its static key.
	Authenticate func(remote noise.PublicKey) error
	// AuthenticateFeed, if set, may refuse to replicate a feed with a remote. The
	// session stays. In mode noise.Plain remote is zero.
	AuthenticateFeed func(f Feed, remote noise.PublicKey) error

	// Timeout is how long a remote may be silent, not take what we send, or leave
	// requests unanswered, and how long a handshake may take. Half of it is the
	// pause after which we send a keep-alive. Zero means 20 seconds, negative
	// disables all of it.
	Timeout time.Duration
	// Limits bound what a remote can make us do.
	Limits Limits
	// Events are told what happens.
	Events Events
	// Logger receives the beginnings and ends of sessions. Nil discards them.
	Logger *slog.Logger
}

// Limits bound what a remote can make a session do. A remote that exceeds one is
// dropped with an error that matches ErrFlood. In all fields zero means the default.
type Limits struct {
	// Channels is the most feeds on a session, also those that only the remote has
	// opened. Default 65,536.
	Channels int
	// Requests is the most requests that we have under way to one peer. Default
	// 4,096.
	Requests int
	// Uploads is the most requests of one remote, on all feeds of the session, that
	// wait for their answer. Default 65,536.
	Uploads int
	// Buffered is how many bytes of received data may wait for the disk before the
	// session reads on. Default 16 MiB.
	Buffered int
	// Output is how many bytes of messages other than data may wait to be sent
	// before the session reads on. Default 1 MiB.
	Output int
	// Holdings is about how many bytes of memory may go into remembering which
	// blocks the remote has, over all feeds. Default 16 MiB.
	Holdings int
	// Handshakes is the most handshakes of a host that are under way; when there
	// are more the oldest ends with ErrHandshakes. Default 64.
	Handshakes int
}

// Events are called when something happens, each session's in order and never two
// at a time, except that Session, Handshake and DiscoveryKey are called by the one
// who reads: nothing is received until they return. All may be nil. A session does
// not end before they have returned.
type Events struct {
	// Session is called when a session begins, before its handshake: feeds that are
	// added here are the first to be opened.
	Session func(s *Session)
	// Handshake is called when the handshake is done.
	Handshake func(s *Session)
	// DiscoveryKey is called when the remote opens a feed that is not on the session.
	// To add the feed here answers. If it is not, and the store does not have it, the
	// remote is refused, unless keep is true: then it may be added later.
	DiscoveryKey func(s *Session, dk tree.DiscoveryKey) (keep bool)
	// PeerAdd, PeerOpen and PeerRemove are called when a feed is put on a session,
	// when both sides have opened it, and when it is gone.
	PeerAdd    func(p *Peer)
	PeerOpen   func(p *Peer)
	PeerRemove func(p *Peer, reason error)
	// RemoteUpdate is called with the first news of what a remote has and when it
	// turns out to be longer than was known.
	RemoteUpdate func(p *Peer)
	// Have is called when a remote says that it has blocks.
	Have func(p *Peer, blocks bitmap.Run)
	// Ack is called when a remote has confirmed that it stored blocks that we have;
	// see Options.Ack.
	Ack func(p *Peer, blocks bitmap.Run)
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Timeout == 0 {
		c.Timeout = 20 * time.Second
	}
	if c.EndComplete {
		c.Live = false
		c.Ack = true // tells what the remote has of what we sent
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for _, l := range []struct {
		field *int
		value int
	}{
		{&c.Limits.Channels, 65536},
		{&c.Limits.Requests, 4096},
		{&c.Limits.Uploads, 65536},
		{&c.Limits.Buffered, 16 << 20},
		{&c.Limits.Output, 1 << 20},
		{&c.Limits.Holdings, 16 << 20},
		{&c.Limits.Handshakes, 64},
	} {
		if *l.field == 0 {
			*l.field = l.value
		}
	}
	return c
}
