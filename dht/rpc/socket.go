package rpc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
)

// Socket is what a node needs of a UDP socket. The node has two of them, and is
// asked to send from others with the options of a request; it compares them with
// ==, so a Socket should be a pointer.
//
// A socket may carry more than this protocol. UDX packets begin with ff 01 and
// probes of hole punching are a single byte 00, where messages begin with 03 or 13
// and have at least two bytes: whoever reads the socket passes to the node what is
// not its own, see [Node.Receive].
type Socket interface {
	// WriteTo sends b as one datagram. It does not keep b. It may be called by several
	// goroutines at once and while a datagram is being received. An error is not
	// more than a lost datagram.
	WriteTo(b []byte, to netip.AddrPort) error

	// AddrPort returns what the socket is bound to.
	AddrPort() netip.AddrPort

	// Close closes the socket. It must not wait for anything that is sent or answered
	// by other nodes.
	Close() error
}

// TTLSender is a Socket that can send a single datagram with a time to live of its
// own, without other datagrams going out with it.
type TTLSender interface {
	WriteToTTL(b []byte, to netip.AddrPort, ttl int) error
}

// BindFunc binds a UDP socket to a local address, whose port may be 0 for any. The
// socket calls receive for each datagram, from one goroutine or from several, with a
// slice that is valid until receive returns. It passes itself.
type BindFunc func(local netip.AddrPort, receive func(s Socket, b []byte, from netip.AddrPort)) (Socket, error)

// BindUDP is the default BindFunc: a UDP socket of the system that carries nothing
// but this protocol.
func BindUDP(local netip.AddrPort, receive func(s Socket, b []byte, from netip.AddrPort)) (Socket, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(local))
	if err != nil {
		return nil, err
	}
	return NewSocket(conn, receive), nil
}

// readPause is how long a socket rests after an error, so that one that persists
// does not keep a processor busy.
const readPause = 5 * time.Millisecond

// PacketSocket is a Socket on any net.PacketConn.
type PacketSocket struct {
	conn   net.PacketConn
	udp    *net.UDPConn // conn, if it is one: without allocations
	local  netip.AddrPort
	reader sync.WaitGroup

	// ttl is held for reading by ordinary sends, for writing while the time to live
	// of the socket is changed for one datagram.
	ttl sync.RWMutex
}

var _ interface {
	Socket
	TTLSender
} = (*PacketSocket)(nil)

// NewSocket starts to read conn, whose local address must be a *net.UDPAddr, and
// passes to receive what arrives. The socket owns conn.
func NewSocket(conn net.PacketConn, receive func(s Socket, b []byte, from netip.AddrPort)) *PacketSocket {
	s := &PacketSocket{conn: conn}
	s.udp, _ = conn.(*net.UDPConn)
	if addr, ok := conn.LocalAddr().(*net.UDPAddr); ok {
		s.local = plain(addr.AddrPort())
	}
	s.reader.Go(func() { s.read(receive) })
	return s
}

// read passes on what arrives until the socket is closed.
func (s *PacketSocket) read(receive func(s Socket, b []byte, from netip.AddrPort)) {
	// A datagram that fills the buffer is longer than any message may be, and was
	// possibly cut.
	b := make([]byte, MaxDatagram+1)
	for {
		n, from, err := s.readFrom(b)
		switch {
		case errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF):
			return
		case err != nil:
			// The system may report that an earlier datagram could not be delivered, or
			// be short of memory. Neither is the end of the socket.
			time.Sleep(readPause)
		case n <= MaxDatagram && from.IsValid():
			receive(s, b[:n], plain(from))
		}
	}
}

func (s *PacketSocket) readFrom(b []byte) (int, netip.AddrPort, error) {
	if s.udp != nil {
		return s.udp.ReadFromUDPAddrPort(b)
	}
	n, from, err := s.conn.ReadFrom(b)
	if addr, ok := from.(*net.UDPAddr); ok {
		return n, addr.AddrPort(), err
	}
	return n, netip.AddrPort{}, err
}

// WriteTo implements [Socket].
func (s *PacketSocket) WriteTo(b []byte, to netip.AddrPort) error {
	s.ttl.RLock()
	defer s.ttl.RUnlock()
	return s.send(b, to)
}

func (s *PacketSocket) send(b []byte, to netip.AddrPort) (err error) {
	if s.udp != nil {
		_, err = s.udp.WriteToUDPAddrPort(b, to)
	} else {
		_, err = s.conn.WriteTo(b, net.UDPAddrFromAddrPort(to))
	}
	return err
}

// WriteToTTL implements [TTLSender]. Where conn is not a socket of the system, it must
// have a method of that name itself.
func (s *PacketSocket) WriteToTTL(b []byte, to netip.AddrPort, ttl int) error {
	if s.udp == nil {
		conn, ok := s.conn.(interface {
			WriteToTTL(b []byte, to net.Addr, ttl int) (int, error)
		})
		if !ok {
			return fmt.Errorf("rpc: no time to live on a %T", s.conn)
		}
		_, err := conn.WriteToTTL(b, net.UDPAddrFromAddrPort(to), ttl)
		return err
	}
	s.ttl.Lock()
	defer s.ttl.Unlock()
	p := ipv4.NewPacketConn(s.udp)
	usual, err := p.TTL()
	if err != nil {
		return err
	}
	if err := p.SetTTL(ttl); err != nil {
		return err
	}
	err = s.send(b, to)
	if restoreErr := p.SetTTL(usual); err == nil {
		err = restoreErr
	}
	return err
}

// AddrPort implements [Socket].
func (s *PacketSocket) AddrPort() netip.AddrPort { return s.local }

// Close implements [Socket] and waits until nothing is received any more. It must not
// be called by receive.
func (s *PacketSocket) Close() error {
	err := s.conn.Close()
	s.reader.Wait()
	return err
}
