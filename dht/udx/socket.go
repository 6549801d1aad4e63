package udx

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// SocketOptions are settings of a Socket. The zero value works.
type SocketOptions struct {
	// Handler gets every datagram that is not for a live stream, packets for
	// unknown streams included. It runs on the goroutine that reads the socket:
	// while it runs nothing is received. b is valid until it returns. IPv4
	// addresses mapped into IPv6 arrive as plain IPv4. Nil drops them.
	Handler func(s *Socket, b []byte, from netip.AddrPort)
	// OnBusy is called when the first stream attaches to the socket, OnIdle when
	// the last has left it. They must not wait for the socket or the Mux.
	OnBusy, OnIdle func()
}

// Socket is a packet socket that streams and raw datagrams share.
type Socket struct {
	mux  *Mux
	conn net.PacketConn
	io   packetIO
	opts SocketOptions

	// low serialises datagrams with a time to live of their own, which change an
	// option of the socket, with everything else that is sent.
	low sync.RWMutex

	mu struct {
		sync.Mutex
		streams map[*Stream]int // how often each is attached: once per path
		idle    chan struct{}   // closed when streams is empty; nil while nobody waits
		closing bool
	}
}

// Attach makes a socket of conn, which belongs to the Mux from then on, also
// when Attach fails. A *net.UDPConn gets large buffers, the don't-fragment bit
// and batched system calls where the system has them; any other net.PacketConn
// is used as it is. The error is net.ErrClosed.
func (m *Mux) Attach(conn net.PacketConn, opts *SocketOptions) (*Socket, error) {
	s := &Socket{mux: m, conn: conn, io: newPacketIO(conn, m.log)}
	if opts != nil {
		s.opts = *opts
	}
	s.mu.streams = make(map[*Stream]int)

	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	m.mu.sockets[s] = struct{}{}
	m.wg.Go(s.readLoop)
	return s, nil
}

// Mux is what the socket belongs to.
func (s *Socket) Mux() *Mux { return s.mux }

// LocalAddr is the address that the socket is bound to.
func (s *Socket) LocalAddr() net.Addr { return s.conn.LocalAddr() }

// AddrPort is LocalAddr in the other form; it is invalid when that is not an IP
// address.
func (s *Socket) AddrPort() netip.AddrPort { return addrPort(s.conn.LocalAddr()) }

// WriteTo sends a raw datagram.
func (s *Socket) WriteTo(b []byte, to netip.AddrPort) error {
	s.low.RLock()
	defer s.low.RUnlock()
	return s.io.writeTo(b, to)
}

// WriteToTTL sends a raw datagram that is to live for ttl hops. No other packet
// leaves with that ttl. The error wraps errors.ErrUnsupported when the socket
// cannot do that.
func (s *Socket) WriteToTTL(b []byte, to netip.AddrPort, ttl int) error {
	s.low.Lock()
	defer s.low.Unlock()
	return s.io.writeToTTL(b, to, ttl)
}

// Streams is how many streams are connected through the socket.
func (s *Socket) Streams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.streams)
}

// Shutdown refuses new streams, waits until the last one has left, and closes
// the socket. When ctx ends before, it returns its error and the socket stays
// open for the streams that are left; Close then destroys them.
func (s *Socket) Shutdown(ctx context.Context) error {
	select {
	case <-s.drained():
		return s.closeConn()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close destroys the streams that are connected through the socket and closes it.
func (s *Socket) Close() error {
	idle := s.drained()
	s.mu.Lock()
	streams := make([]*Stream, 0, len(s.mu.streams))
	for st := range s.mu.streams {
		streams = append(streams, st)
	}
	s.mu.Unlock()
	for _, st := range streams {
		st.destroy(net.ErrClosed)
	}
	<-idle
	return s.closeConn()
}

// drained refuses new streams and returns a channel that is closed when there
// are none any more.
func (s *Socket) drained() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.closing = true
	if s.mu.idle == nil {
		s.mu.idle = make(chan struct{})
		if len(s.mu.streams) == 0 {
			close(s.mu.idle)
		}
	}
	return s.mu.idle
}

func (s *Socket) closeConn() error {
	s.mux.mu.Lock()
	delete(s.mux.mu.sockets, s)
	s.mux.mu.Unlock()
	if err := s.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// attach counts a path of a stream through the socket.
func (s *Socket) attach(st *Stream) error {
	s.mu.Lock()
	if s.mu.closing {
		s.mu.Unlock()
		return net.ErrClosed
	}
	s.mu.streams[st]++
	busy := len(s.mu.streams) == 1 && s.mu.streams[st] == 1
	s.mu.Unlock()
	if busy && s.opts.OnBusy != nil {
		s.opts.OnBusy()
	}
	return nil
}

func (s *Socket) detach(st *Stream) {
	s.mu.Lock()
	if s.mu.streams[st]--; s.mu.streams[st] == 0 {
		delete(s.mu.streams, st)
	}
	idle := len(s.mu.streams) == 0
	if idle && s.mu.idle != nil {
		close(s.mu.idle)
	}
	s.mu.Unlock()
	if idle && s.opts.OnIdle != nil {
		s.opts.OnIdle()
	}
}

// addrPort is the address of a packet's source, with IPv4 as plain IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	if a, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
