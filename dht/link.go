package dht

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/dht/secretstream"
	"github.com/cairn-feeds/cairn/dht/udx"
)

// path is a way to a peer: a socket of ours and an address.
type path struct {
	socket *udx.Socket
	addr   netip.AddrPort
}

// link is a connection in the making. Several ways to the peer are tried at the same
// time; the first one that works is taken, be it that we found it or that the peer's
// stream came through it. Only a way through a blind relay is left again for a direct
// one.
type link struct {
	node      *Node
	initiator bool
	stream    *udx.Stream
	connected chan struct{} // closed when there is a connection
	directWay chan struct{} // closed when a way that is not a relay's was taken

	mu       sync.Mutex
	keys     *secretstream.Keys // nil before the handshake
	remoteID uint32
	early    path  // where traffic came from before that
	conn     *Conn // nil until connected
	direct   bool  // directWay is closed
	closed   bool
	relay    path // of the connection to a blind relay
	relayed  *Conn
	passed   uint64 // packets that came from the relay, while they could be told apart
	hidden   bool   // what comes from the relay is dropped
}

func (n *Node) newLink(initiator bool) (*link, error) {
	l := &link{node: n, initiator: initiator, connected: make(chan struct{}), directWay: make(chan struct{})}
	stream, err := n.mux.NewStream(&udx.StreamOptions{Firewall: l.firewall})
	if errors.Is(err, net.ErrClosed) {
		return nil, ErrClosed
	}
	if err != nil {
		return nil, err
	}
	l.stream = stream
	return l, nil
}

// firewall sees the packets that do not come through the socket that the stream is
// connected through. It lets them pass, and takes the way that they came.
func (l *link) firewall(s *udx.Socket, from netip.AddrPort) (drop bool) {
	if from.Port() == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.relay == (path{s, from}) {
		l.passed++
		return l.hidden
	}
	l.takeLocked(path{s, from})
	return false
}

// handshaken makes the end of the handshake known.
func (l *link) handshaken(keys *secretstream.Keys, remoteID uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys, l.remoteID = keys, remoteID
	if l.early.socket != nil {
		l.takeLocked(l.early)
	}
}

// take takes a direct way, unless there is one already.
func (l *link) take(s *udx.Socket, addr netip.AddrPort) {
	if s == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.takeLocked(path{s, addr})
}

func (l *link) takeLocked(p path) {
	switch {
	case l.keys == nil:
		l.early = p
	case l.direct || l.closed:
	case l.conn != nil:
		l.moveLocked(p)
	default:
		if l.connectLocked(p, l.remoteID) {
			l.directLocked()
		}
	}
}

func (l *link) directLocked() {
	l.direct = true
	close(l.directWay)
}

// connectLocked connects the stream and starts the secret stream on it.
func (l *link) connectLocked(p path, remoteID uint32) bool {
	if l.stream.Connect(p.socket, udx.Remote{ID: remoteID, Addr: p.addr}) != nil {
		return false // the socket is closed, or the address no good: other ways may work
	}
	conn, err := newConn(l.stream, l.initiator, l.keys, l.node.opts.ConnectionKeepAlive)
	if err != nil {
		l.node.log.Error("secret stream cannot start", "error", err)
		l.stream.Destroy()
		return false
	}
	l.conn = conn
	close(l.connected)
	return true
}

// result returns the connection, nil if there is none.
func (l *link) result() *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// isDirect reports whether a direct way was taken.
func (l *link) isDirect() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.direct
}

// close gives up what is not connected.
func (l *link) close() {
	l.mu.Lock()
	unused := l.conn == nil
	l.closed = l.closed || unused
	l.mu.Unlock()
	if unused {
		l.stream.Destroy()
	}
}

// through takes the way through a blind relay, unless there is a way already. remoteID
// is what the relay calls its stream.
func (l *link) through(relay *Conn, remoteID uint32) bool {
	p := path{relay.stream.Socket(), relay.stream.Remote().Addr}
	if p.socket == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil || l.conn != nil || l.closed {
		return false
	}
	l.relay, l.relayed = p, relay
	return l.connectLocked(p, remoteID)
}

// moveLocked leaves the relay for a direct way.
func (l *link) moveLocked(p path) {
	changed, err := l.stream.ChangeRemote(p.socket, udx.Remote{ID: l.remoteID, Addr: p.addr})
	if err != nil {
		return
	}
	l.directLocked()
	if p.socket == l.relay.socket {
		return // both ways come through one socket, so that the relay cannot be told apart
	}
	l.node.spawn(func() { l.leaveRelay(changed) })
}

// leaveRelay ends the connection to the relay when packets come from the peer that
// are not the relay's. What the relay sends then, which may be the end of its stream,
// must not reach ours.
func (l *link) leaveRelay(changed <-chan struct{}) {
	select {
	case <-changed:
	case <-l.node.ctx.Done():
		return
	}
	direct := func() uint64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.stream.Stats().PacketsReceived - l.passed
	}
	before := direct()
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for direct() <= before {
		_ = l.stream.Send(nil) // so that the peer sees that there is a direct way
		select {
		case <-ticker.C:
		case <-l.stream.Done():
			return
		case <-l.node.ctx.Done():
			return
		}
	}
	l.mu.Lock()
	l.hidden = true
	l.mu.Unlock()
	_ = l.relayed.Close()
}
