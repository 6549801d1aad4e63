package udx

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	// A socket begins with room for readBatch datagrams. When that was filled
	// busyReads times in a row, it gets as many buffers for whole trains of
	// datagrams that the system has put together (UDP_GRO).
	readBatch  = 8
	busyReads  = 3
	trainBytes = 64 << 10
	// maxSegment is the most that one message for segmentation may hold.
	maxSegment = 65507
)

// batchIO reads and writes many datagrams per system call, and hands trains of
// packets of one size to the system in one piece (UDP_SEGMENT).
type batchIO struct {
	udpIO
	pc  *ipv4.PacketConn
	log *slog.Logger

	// Reading.
	in   []ipv4.Message
	full int  // consecutive reads that filled the batch
	gro  bool // buffers are for trains

	segments atomic.Bool // the system takes trains
}

func newUDPIO(conn *net.UDPConn, log *slog.Logger) packetIO {
	c := &batchIO{pc: ipv4.NewPacketConn(conn), log: log}
	c.init(conn)
	c.segments.Store(c.control(func(fd int) error {
		_, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		return err
	}) == nil)
	c.in = messages(readBatch, maxReceive, 0)
	return c
}

func messages(n, size, control int) []ipv4.Message {
	ms := make([]ipv4.Message, n)
	for i := range ms {
		ms[i].Buffers = [][]byte{make([]byte, size)}
		if control > 0 {
			ms[i].OOB = make([]byte, control)
		}
	}
	return ms
}

func (c *batchIO) control(f func(fd int) error) error {
	rc, err := c.conn.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	err = rc.Control(func(fd uintptr) { ferr = f(int(fd)) })
	return errors.Join(err, ferr)
}

func (c *batchIO) read(each func(b []byte, from netip.AddrPort), end func()) error {
	n, err := c.pc.ReadBatch(c.in, 0)
	if err != nil {
		return err
	}
	for i := range c.in[:n] {
		m := &c.in[i]
		if m.Flags&unix.MSG_TRUNC != 0 {
			continue // larger than anything that may be sent
		}
		b, size := m.Buffers[0][:m.N], m.N
		if c.gro {
			size = segmentSize(m.OOB[:m.NN], m.N)
		}
		if size > maxReceive {
			continue
		}
		from := addrPort(m.Addr)
		for {
			k := min(size, len(b))
			each(b[:k], from)
			if b = b[k:]; len(b) == 0 {
				break
			}
		}
	}
	end()
	c.grow(n == len(c.in))
	return nil
}

// grow makes the buffers of a busy socket larger. They stay: once trains may be
// in the queue there is no way back.
func (c *batchIO) grow(filled bool) {
	if c.gro || !filled {
		c.full = 0
		return
	}
	if c.full++; c.full < busyReads {
		return
	}
	if err := c.control(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	}); err != nil {
		c.full = 0
		return
	}
	c.gro = true
	c.in = messages(readBatch, trainBytes, unix.CmsgSpace(4))
}

// segmentSize is the size of the datagrams in a train of n bytes; without a
// control message it is a single one.
func segmentSize(oob []byte, n int) int {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		if h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(data) >= 2 {
			if size := int(binary.NativeEndian.Uint16(data)); size > 0 {
				return size
			}
		}
		oob = rest
	}
	return n
}

// outgoing is what one writeRuns needs.
type outgoing struct {
	ms  []ipv4.Message
	bs  [][]byte // backs the Buffers of ms, one each
	oob []byte   // backs the OOB of ms
}

func (c *batchIO) writeRuns(runs []run) {
	o := outgoings.Get().(*outgoing)
	defer outgoings.Put(o)
	defer o.reset()
	trains := c.segments.Load()
	for i := range runs {
		r := &runs[i]
		if trains && r.count > 1 && len(r.b) <= maxSegment {
			o.add(r.b, r.via.netAddr, r.size)
			continue
		}
		for p := range r.packets {
			o.add(p, r.via.netAddr, 0)
		}
	}
	c.writeMessages(o.ms)
}

var outgoings = sync.Pool{New: func() any { return new(outgoing) }}

// reset drops the references to packets and sockets and keeps the arrays.
func (o *outgoing) reset() {
	clear(o.ms)
	clear(o.bs)
	o.ms, o.bs, o.oob = o.ms[:0], o.bs[:0], o.oob[:0]
}

// add enters one message; a size makes it a train of packets of that size.
func (o *outgoing) add(b []byte, to net.Addr, size int) {
	o.bs = append(o.bs, b)
	m := ipv4.Message{Buffers: o.bs[len(o.bs)-1 : len(o.bs) : len(o.bs)], Addr: to}
	if size > 0 {
		start := len(o.oob)
		o.oob = appendSegmentSize(o.oob, size)
		m.OOB = o.oob[start:]
	}
	o.ms = append(o.ms, m)
}

// writeMessages sends ms. What the system refuses is lost, as if the network had
// dropped it; but when it refuses trains they are taken apart.
func (c *batchIO) writeMessages(ms []ipv4.Message) {
	for len(ms) > 0 {
		n, err := c.pc.WriteBatch(ms, 0)
		ms = ms[max(n, 0):]
		if err == nil || len(ms) == 0 {
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if m := &ms[0]; len(m.OOB) > 0 {
			if errors.Is(err, syscall.EIO) && c.segments.Swap(false) {
				c.log.Info("udx: no segmentation offload", "socket", c.conn.LocalAddr(), "err", err)
			}
			c.writeApart(m)
		}
		ms = ms[1:]
	}
}

func (c *batchIO) writeApart(m *ipv4.Message) {
	r := run{b: m.Buffers[0], size: segmentSizeOf(m.OOB)}
	to := addrPort(m.Addr)
	for p := range r.packets {
		c.conn.WriteToUDPAddrPort(p, to)
	}
}

// appendSegmentSize appends the control message that makes a train.
func appendSegmentSize(b []byte, size int) []byte {
	start := len(b)
	b = append(b, make([]byte, unix.CmsgSpace(2))...)
	h := b[start:]
	if unix.SizeofCmsghdr == 16 {
		binary.NativeEndian.PutUint64(h, uint64(unix.CmsgLen(2)))
	} else {
		binary.NativeEndian.PutUint32(h, uint32(unix.CmsgLen(2)))
	}
	binary.NativeEndian.PutUint32(h[unix.SizeofCmsghdr-8:], unix.IPPROTO_UDP)
	binary.NativeEndian.PutUint32(h[unix.SizeofCmsghdr-4:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(h[unix.CmsgLen(0):], uint16(size))
	return b
}

func segmentSizeOf(oob []byte) int {
	return int(binary.NativeEndian.Uint16(oob[unix.CmsgLen(0):]))
}
