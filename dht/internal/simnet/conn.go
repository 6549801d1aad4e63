package simnet

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// ReceiveBuffer is how many bytes wait in a socket that is not read before more
// are dropped, counted with their headers.
const ReceiveBuffer = 4 << 20

// Conn is a socket of a host, a net.PacketConn.
type Conn struct {
	network *Network
	addr    netip.AddrPort

	mu       sync.Mutex
	readable sync.Cond
	queue    []Packet
	bytes    int
	closed   bool
	deadline time.Time
	timer    *time.Timer
}

var _ net.PacketConn = (*Conn)(nil)

func newConn(n *Network, addr netip.AddrPort) *Conn {
	c := &Conn{network: n, addr: addr}
	c.readable.L = &c.mu
	return c
}

// put enters a packet that has arrived.
func (c *Conn) put(p Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := len(p.Data) + headerBytes
	if c.closed || c.bytes+size > ReceiveBuffer {
		return
	}
	c.queue = append(c.queue, p)
	c.bytes += size
	c.readable.Signal()
}

// ReadFrom implements net.PacketConn. Its address is a *net.UDPAddr. What does
// not fit b is lost.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, nil, c.fail("read", net.ErrClosed)
		case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
			return 0, nil, c.fail("read", os.ErrDeadlineExceeded)
		case len(c.queue) > 0:
			p := c.queue[0]
			c.queue[0] = Packet{}
			if c.queue = c.queue[1:]; len(c.queue) == 0 {
				c.queue = nil
			}
			c.bytes -= len(p.Data) + headerBytes
			return copy(b, p.Data), net.UDPAddrFromAddrPort(p.Src), nil
		}
		c.readable.Wait()
	}
}

// WriteTo implements net.PacketConn for addresses of the type *net.UDPAddr. It
// never blocks.
func (c *Conn) WriteTo(b []byte, to net.Addr) (int, error) {
	return c.WriteToTTL(b, to, DefaultTTL)
}

// WriteToTTL is WriteTo with a time to live.
func (c *Conn) WriteToTTL(b []byte, to net.Addr, ttl int) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, c.fail("write", fmt.Errorf("cannot send to a %T", to))
	}
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return 0, c.fail("write", net.ErrClosed)
	}
	dst := udp.AddrPort()
	dst = netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port())
	c.network.Send(Packet{Src: c.addr, Dst: dst, TTL: ttl, Data: append([]byte(nil), b...)})
	return len(b), nil
}

// Close frees the address. Packets on their way to it are lost.
func (c *Conn) Close() error {
	c.network.mu.Lock()
	if c.network.conns[c.addr] == c {
		delete(c.network.conns, c.addr)
	}
	c.network.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.closed = true
	c.queue = nil
	if c.timer != nil {
		c.timer.Stop()
	}
	c.readable.Broadcast()
	return nil
}

// LocalAddr implements net.PacketConn; it is a *net.UDPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.addr) }

// AddrPort is LocalAddr in the other form.
func (c *Conn) AddrPort() netip.AddrPort { return c.addr }

// SetDeadline implements net.PacketConn.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn. Writing never waits.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.PacketConn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if !t.IsZero() {
		c.timer = time.AfterFunc(time.Until(t), c.readable.Broadcast)
	}
	c.readable.Broadcast()
	return nil
}

func (c *Conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "sim", Addr: c.LocalAddr(), Err: err}
}
