package udx

import (
	"net"
	"net/netip"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Sizes asked for, largest first; systems cut them down, and some refuse what is
// too large instead. Those of the reference are 1 MiB and 208 KiB.
var (
	receiveBuffers = [...]int{4 << 20, 2 << 20, 1 << 20, 512 << 10, 256 << 10}
	sendBuffers    = [...]int{1 << 20, 512 << 10, 208 << 10}
)

// udpIO uses a UDP socket a datagram at a time.
type udpIO struct {
	conn  *net.UDPConn
	whole bool   // the don't-fragment bit is set
	buf   []byte // one byte more than may be received

	ttl struct { // for writeToTTL, which the Socket serialises
		once   sync.Once
		v4, v6 int
	}
}

func (c *udpIO) init(conn *net.UDPConn) {
	c.conn = conn
	for _, n := range receiveBuffers {
		if conn.SetReadBuffer(n) == nil {
			break
		}
	}
	for _, n := range sendBuffers {
		if conn.SetWriteBuffer(n) == nil {
			break
		}
	}
	c.whole = setDontFragment(conn) == nil
}

func (c *udpIO) read(each func(b []byte, from netip.AddrPort), end func()) error {
	if c.buf == nil {
		c.buf = make([]byte, maxReceive+1)
	}
	n, from, err := c.conn.ReadFromUDPAddrPort(c.buf)
	if err != nil {
		return err
	}
	if n <= maxReceive {
		each(c.buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		end()
	}
	return nil
}

func (c *udpIO) writeRuns(runs []run) {
	for _, r := range runs {
		for p := range r.packets {
			c.conn.WriteToUDPAddrPort(p, r.via.addr)
		}
	}
}

func (c *udpIO) writeTo(b []byte, to netip.AddrPort) error {
	_, err := c.conn.WriteToUDPAddrPort(b, to)
	return err
}

func (c *udpIO) writeToTTL(b []byte, to netip.AddrPort, ttl int) error {
	p4, p6 := ipv4.NewPacketConn(c.conn), ipv6.NewPacketConn(c.conn)
	c.ttl.once.Do(func() {
		c.ttl.v4, c.ttl.v6 = 64, 64
		if n, err := p4.TTL(); err == nil {
			c.ttl.v4 = n
		}
		if n, err := p6.HopLimit(); err == nil {
			c.ttl.v6 = n
		}
	})
	set, normal := p4.SetTTL, c.ttl.v4
	if to.Addr().Unmap().Is6() {
		set, normal = p6.SetHopLimit, c.ttl.v6
	}
	if err := set(ttl); err != nil {
		return err
	}
	err := c.writeTo(b, to)
	if e := set(normal); err == nil {
		err = e
	}
	return err
}

func (c *udpIO) fragments() bool { return !c.whole }
