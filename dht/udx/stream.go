package udx

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/protocol"
	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

const (
	defaultReceiveBuffer = 4 << 20
	minReceiveBuffer     = 16 << 10
	maxReceiveBuffer     = 1 << 30
	defaultLinger        = 15 * time.Second
	// wakeWriters: writers that wait go on when there is room for this much.
	wakeWriters = 128 << 10
)

// StreamOptions are settings of a Stream. The zero value works.
type StreamOptions struct {
	// ID is our id of the stream, which the remote puts on its packets. Zero
	// means a random one.
	ID uint32
	// Seq is the first sequence number that we send; the remote must know it.
	// HyperDHT always uses zero.
	Seq uint32
	// Firewall decides about packets that arrive on another socket than that of
	// the stream, in particular before it is connected: it returns true to drop
	// the packet. It may connect the stream. It runs on the goroutine that reads
	// the socket and must not wait. Nil drops such packets.
	Firewall func(s *Socket, from netip.AddrPort) bool
	// ReceiveBuffer is how many bytes may wait to be read, which is also the
	// window offered to the remote. Zero means 4 MiB; it is kept within 16 KiB
	// and 1 GiB.
	ReceiveBuffer int
	// KeepAlive is how long everything may be acknowledged before a heartbeat is
	// sent. Zero means never. A remote that does not answer has no consequence;
	// the heartbeats keep mappings of NATs alive.
	KeepAlive time.Duration
	// Linger is how long Close waits in the background for the remote to end,
	// once it has acknowledged everything. Zero means 15 seconds.
	Linger time.Duration
	// MaxMTU is where path MTU discovery ends, as the size of an IP packet. Zero
	// means 1500, which also is the most; 1200 or less disables discovery.
	MaxMTU int
}

func (o *StreamOptions) withDefaults() StreamOptions {
	var d StreamOptions
	if o != nil {
		d = *o
	}
	if d.ReceiveBuffer == 0 {
		d.ReceiveBuffer = defaultReceiveBuffer
	}
	d.ReceiveBuffer = min(max(d.ReceiveBuffer, minReceiveBuffer), maxReceiveBuffer)
	if d.Linger <= 0 {
		d.Linger = defaultLinger
	}
	if d.MaxMTU == 0 || d.MaxMTU > protocol.MaxMTU {
		d.MaxMTU = protocol.MaxMTU
	}
	return d
}

// Remote says where the other end of a stream is.
type Remote struct {
	// ID is the remote's id of the stream.
	ID uint32
	// Addr is where packets go. Where they come from does not matter.
	Addr netip.AddrPort
	// Seq is the first sequence number that the remote sends. HyperDHT always
	// uses zero. ChangeRemote ignores it.
	Seq uint32
}

// route is a path of a stream. It is never changed.
type route struct {
	socket   *Socket
	remoteID uint32
	addr     netip.AddrPort
	netAddr  net.Addr
}

// Stream is one end of a stream: a net.Conn, with half-close and with unordered
// messages beside the ordered bytes. All methods may be called concurrently.
type Stream struct {
	id       uint32
	mux      *Mux
	firewall func(s *Socket, from netip.AddrPort) bool
	done     chan struct{}
	queued   bool // in the sender's queue; guarded by its lock

	mu       sync.Mutex
	proto    *protocol.Stream
	opts     StreamOptions
	route    *route // nil before Connect
	oldRoute *route // until a change is complete
	changed  chan struct{}
	over     bool // publish has seen the end
	err      error

	readable sync.Cond // data, EOF, messages, the end, deadlines
	writable sync.Cond // room, everything acked, the end, deadlines
	readBy   deadline
	writeBy  deadline
	ended    bool // CloseWrite or Close was called
	gone     bool // Close or Destroy was called

	timer *time.Timer
	armed time.Duration // when timer fires; 0 when it does not

	relay    *Stream              // packets go on to this one
	relayers map[*Stream]struct{} // streams that relay to this one
}

var _ net.Conn = (*Stream)(nil)

func newStream(m *Mux, o StreamOptions) *Stream {
	s := &Stream{id: o.ID, mux: m, firewall: o.Firewall, opts: o, done: make(chan struct{})}
	s.readable.L, s.writable.L = &s.mu, &s.mu
	s.readBy.cond, s.writeBy.cond = &s.readable, &s.writable
	s.proto = protocol.New(protocol.Config{
		Seq:           o.Seq,
		ReceiveBuffer: o.ReceiveBuffer,
		MaxMTU:        o.MaxMTU,
		Linger:        o.Linger,
		Seed:          uint64(o.ID),
	})
	return s
}

// ID is our id of the stream.
func (s *Stream) ID() uint32 { return s.id }

// Connect makes the remote known, through a socket. Nothing is sent yet, unless
// packets have arrived that must be acknowledged: whoever writes first is heard
// first. The errors are ErrConnected, ErrAddress, ErrForeignSocket, net.ErrClosed.
func (s *Stream) Connect(via *Socket, r Remote) error {
	rt, err := s.newRoute(via, r)
	if err != nil {
		return err
	}
	if err := via.attach(s); err != nil {
		return err
	}
	s.mu.Lock()
	switch {
	case s.over || s.gone:
		err = net.ErrClosed
	case s.route != nil:
		err = ErrConnected
	}
	if err != nil {
		s.mu.Unlock()
		via.detach(s)
		return err
	}
	now := s.mux.now()
	s.route = rt
	if via.io.fragments() {
		s.proto.DisableMTUDiscovery()
	}
	s.proto.Connect(now, rt.path(), r.Seq)
	s.proto.SetKeepAlive(now, s.opts.KeepAlive)
	s.leave(now)
	return nil
}

func (s *Stream) newRoute(via *Socket, r Remote) (*route, error) {
	if via.mux != s.mux {
		return nil, ErrForeignSocket
	}
	if !r.Addr.IsValid() || r.Addr.Port() == 0 {
		return nil, fmt.Errorf("%w: %v", ErrAddress, r.Addr)
	}
	addr := netip.AddrPortFrom(r.Addr.Addr().Unmap(), r.Addr.Port())
	return &route{socket: via, remoteID: r.ID, addr: addr, netAddr: net.UDPAddrFromAddrPort(addr)}, nil
}

func (r *route) path() protocol.Path {
	overhead := 20 + 8
	if r.addr.Addr().Is6() {
		overhead = 40 + 8
	}
	return protocol.Path{RemoteID: r.remoteID, Overhead: overhead, Via: r}
}

// ChangeRemote moves a connected stream: from now on packets go to r through via,
// which may be another socket. What was sent before and gets lost is repeated to
// the old place, which therefore should live until the channel returned is
// closed; that is when all of it was acknowledged, or the stream is over. The
// remote is not told; packets from it on the old socket pass the firewall. The
// errors are those of Connect, with ErrNotConnected, and ErrChanging while an
// earlier change is not complete.
func (s *Stream) ChangeRemote(via *Socket, r Remote) (<-chan struct{}, error) {
	rt, err := s.newRoute(via, r)
	if err != nil {
		return nil, err
	}
	if err := via.attach(s); err != nil {
		return nil, err
	}
	s.mu.Lock()
	switch {
	case s.over || s.gone:
		err = net.ErrClosed
	case s.route == nil:
		err = ErrNotConnected
	default:
		err = s.proto.ChangeRemote(rt.path())
	}
	if err != nil {
		s.mu.Unlock()
		via.detach(s)
		return nil, err
	}
	changed := make(chan struct{})
	old := s.route
	s.route, s.oldRoute, s.changed = rt, old, changed
	s.leave(s.mux.now())
	return changed, nil
}

// finishChange ends a change of the remote when the protocol has. It returns the
// route that the caller detaches the stream from once the lock is released.
func (s *Stream) finishChange() *route {
	if s.changed == nil || s.proto.Changing() && !s.over {
		return nil
	}
	old := s.oldRoute
	close(s.changed)
	s.oldRoute, s.changed = nil, nil
	return old
}

// publish tells those who wait what has changed and sets the timer, with the
// lock held. It reports true once: when the stream is over and finish must be
// called.
func (s *Stream) publish(now time.Duration) bool {
	if s.over {
		return false
	}
	if closed, err := s.proto.Closed(); closed {
		s.over, s.err = true, exported(err)
		if s.timer != nil {
			s.timer.Stop()
		}
		s.readable.Broadcast()
		s.writable.Broadcast()
		return true
	}
	if s.proto.Buffered() > 0 || s.proto.EOF() || s.proto.Messages() > 0 {
		s.readable.Broadcast()
	}
	if s.proto.Writable() >= wakeWriters || s.proto.Unacked() == 0 {
		s.writable.Broadcast()
	}
	s.setTimer(now)
	return false
}

// setTimer sees to it that tick runs no later than the protocol wants. A timer
// that is too early is left alone: most deadlines move on before they come.
func (s *Stream) setTimer(now time.Duration) {
	d := s.proto.Deadline()
	if d == 0 || s.armed != 0 && s.armed <= d {
		return
	}
	s.armed = d
	if s.timer == nil {
		s.timer = time.AfterFunc(d-now, s.tick)
	} else {
		s.timer.Reset(d - now)
	}
}

func (s *Stream) tick() {
	s.mu.Lock()
	now := s.mux.now()
	s.armed = 0
	s.proto.Tick(now)
	s.leave(now)
}

// finish follows the end of the stream, without its lock: the id is free, the
// sockets are told, and the streams that relay here end as well.
func (s *Stream) finish() {
	s.mu.Lock()
	via, clean := s.route, s.err == nil && s.proto.EOF()
	s.mux.forget(s, clean, via, s.proto)
	changed := s.finishChange()
	relayers := s.relayers
	s.relayers = nil
	relay := s.relay
	close(s.done)
	s.mu.Unlock()

	if changed != nil {
		changed.socket.detach(s)
	}
	if via != nil {
		via.socket.detach(s)
	}
	if relay != nil {
		relay.mu.Lock()
		delete(relay.relayers, s)
		relay.mu.Unlock()
	}
	for r := range relayers {
		r.shut(net.ErrClosed)
	}
}

// Done is closed when the stream is over, in whichever way; Err then says why.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Err is nil while the stream lives and after a clean end of both directions.
// Otherwise it is ErrReset, ErrTimedOut, or net.ErrClosed when it was destroyed
// here.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Destroy ends the stream at once: what was written and not acknowledged is
// lost, and the remote is told by a single packet.
func (s *Stream) Destroy() { s.destroy(net.ErrClosed) }

func (s *Stream) destroy(err error) {
	s.mu.Lock()
	s.gone, s.ended = true, true
	if s.relay != nil {
		s.proto.Close(err) // a relay ends in silence
	} else {
		s.proto.Destroy(err)
	}
	s.readable.Broadcast()
	s.writable.Broadcast()
	s.leave(s.mux.now())
}

// shut ends the stream without telling the remote.
func (s *Stream) shut(err error) {
	s.mu.Lock()
	s.proto.Close(err)
	s.leave(s.mux.now())
}

// RelayTo makes the stream a relay: every packet that arrives for it goes to the
// remote of dst, with nothing but the id replaced, so that the two remotes have
// one connection between them. Mostly two streams relay to each other. When
// either remote destroys the connection the stream it sent to ends with ErrReset;
// when dst is over so is this stream. An orderly end passes through unseen.
func (s *Stream) RelayTo(dst *Stream) error {
	dst.mu.Lock()
	if dst.over {
		dst.mu.Unlock()
		return net.ErrClosed
	}
	if dst.relayers == nil {
		dst.relayers = make(map[*Stream]struct{})
	}
	dst.relayers[s] = struct{}{}
	dst.mu.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return net.ErrClosed
	}
	s.relay = dst
	return nil
}

// forward passes a packet on to the remote of dst, which may not be known yet.
func (s *Stream) forward(dst *Stream, b []byte, p *wire.Packet) {
	dst.mu.Lock()
	via := dst.route
	dst.mu.Unlock()
	if via != nil {
		wire.SetStreamID(b, via.remoteID)
		via.socket.WriteTo(b, via.addr)
	}
	if p.Flags.Has(wire.Destroy) {
		s.shut(protocol.ErrReset)
	}
}

// Stats are counters and estimates of a stream.
type Stats = protocol.Stats

// Stats returns those of now.
func (s *Stream) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proto.Stats()
}

// SetKeepAlive changes the option of that name; 0 ends the heartbeats.
func (s *Stream) SetKeepAlive(d time.Duration) {
	s.mu.Lock()
	s.opts.KeepAlive = d
	now := s.mux.now()
	s.proto.SetKeepAlive(now, d)
	s.leave(now)
}

// Flush waits until everything that was written is acknowledged, or until ctx is
// done or the stream is over.
func (s *Stream) Flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.broadcast(&s.writable) })
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.proto.Unacked() == 0 && !s.over:
			return nil
		case s.over || s.gone:
			return s.endError()
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		s.writable.Wait()
	}
}

func (s *Stream) broadcast(c *sync.Cond) {
	s.mu.Lock()
	c.Broadcast()
	s.mu.Unlock()
}
