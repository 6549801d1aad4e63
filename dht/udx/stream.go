package udx

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/protocol"
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
