package udx

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
)

// maxReceive is the largest datagram that is received; the reference's limit.
const maxReceive = 2048

// packetIO is how a socket reads and writes. Reading is for one goroutine,
// writing for any number.
type packetIO interface {
	// read waits for datagrams, calls each for every one of them, with bytes that
	// are valid during the call, and then end.
	read(each func(b []byte, from netip.AddrPort), end func()) error
	// writeRuns sends what it can. Packets may get lost, so errors are not
	// reported.
	writeRuns(runs []run)
	writeTo(b []byte, to netip.AddrPort) error
	writeToTTL(b []byte, to netip.AddrPort, ttl int) error
	// fragments reports whether packets that are too large for the path may be
	// fragmented, so that the path's MTU cannot be probed.
	fragments() bool
}

// newPacketIO picks the best way to use conn.
func newPacketIO(conn net.PacketConn, log *slog.Logger) packetIO {
	if udp, ok := conn.(*net.UDPConn); ok {
		return newUDPIO(udp, log)
	}
	return &plainIO{conn: conn}
}

// plainIO uses nothing but the methods of net.PacketConn.
type plainIO struct {
	conn net.PacketConn
	buf  []byte
}

// ttlWriter is a net.PacketConn that can send with a time to live of its own.
type ttlWriter interface {
	WriteToTTL(b []byte, to net.Addr, ttl int) (int, error)
}

func (c *plainIO) read(each func(b []byte, from netip.AddrPort), end func()) error {
	if c.buf == nil {
		c.buf = make([]byte, maxReceive)
	}
	n, from, err := c.conn.ReadFrom(c.buf)
	if err != nil {
		return err
	}
	each(c.buf[:n], addrPort(from))
	end()
	return nil
}

func (c *plainIO) writeRuns(runs []run) {
	for _, r := range runs {
		for p := range r.packets {
			c.conn.WriteTo(p, r.via.netAddr)
		}
	}
}

func (c *plainIO) writeTo(b []byte, to netip.AddrPort) error {
	_, err := c.conn.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return err
}

func (c *plainIO) writeToTTL(b []byte, to netip.AddrPort, ttl int) error {
	w, ok := c.conn.(ttlWriter)
	if !ok {
		return fmt.Errorf("udx: time to live of a %T: %w", c.conn, errors.ErrUnsupported)
	}
	_, err := w.WriteToTTL(b, net.UDPAddrFromAddrPort(to), ttl)
	return err
}

// fragments is false: what is not a socket of the system is a simulation, or at
// least does not fragment.
func (c *plainIO) fragments() bool { return false }

// packets yields the packets of a run.
func (r *run) packets(yield func(p []byte) bool) {
	for b := r.b; len(b) > 0; {
		n := min(r.size, len(b))
		if !yield(b[:n]) {
			return
		}
		b = b[n:]
	}
}
