package udx

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// maxRun is how many packets of a stream are taken in one go before others may
// have its lock.
const maxRun = 64

// readLoop receives until the socket is closed.
func (s *Socket) readLoop() {
	d := dispatcher{socket: s}
	each, end := d.packet, d.end
	for {
		err := s.io.read(each, end)
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return
		default:
			// Unreachable peers and the like show up here on some systems.
			s.mux.log.Debug("udx: read failed", "socket", s.LocalAddr(), "err", err)
			if !s.pause() {
				return
			}
		}
	}
}

// pause keeps a socket that does nothing but fail from taking a core. It reports
// false when the socket is being closed.
func (s *Socket) pause() bool {
	time.Sleep(time.Millisecond)
	s.mux.mu.RLock()
	defer s.mux.mu.RUnlock()
	_, open := s.mux.mu.sockets[s]
	return open
}

// dispatcher takes the datagrams of a socket to where they belong. It keeps the
// stream of the packet before locked, because the next one mostly is for the same.
type dispatcher struct {
	socket *Socket
	cur    *Stream // locked; nil for none
	run    int
	now    time.Duration // of this batch; 0 to look
}

// end finishes a batch.
func (d *dispatcher) end() {
	d.release()
	d.now = 0
}

func (d *dispatcher) release() {
	if d.cur != nil {
		d.cur.leave(d.now)
		d.cur, d.run = nil, 0
	}
}

// packet takes one datagram.
func (d *dispatcher) packet(b []byte, from netip.AddrPort) {
	if d.now == 0 {
		d.now = d.socket.mux.now()
	}
	p, err := wire.Parse(b)
	if errors.Is(err, wire.ErrNotUDX) {
		d.raw(b, from)
		return
	}
	id := wire.StreamID(b)
	if d.cur != nil && (d.cur.id != id || d.run >= maxRun) {
		d.release()
	}
	if d.cur == nil {
		st := d.socket.mux.stream(id)
		if st == nil {
			d.stranger(b, &p, id, from)
			return
		}
		if !d.enter(st, from) {
			return
		}
	}
	if dst := d.cur.relay; dst != nil {
		src := d.cur
		src.proto.CountRelayed(len(b))
		d.release()
		src.forward(dst, b, &p)
		return
	}
	if err == nil {
		d.run++
		d.cur.proto.Receive(d.now, &p)
	}
}

// enter locks st for a packet from an address and reports true, or reports false
// when the stream's firewall drops it.
func (d *dispatcher) enter(st *Stream, from netip.AddrPort) bool {
	if from.Port() == 0 {
		return false
	}
	st.mu.Lock()
	if r := st.route; r == nil || r.socket != d.socket {
		st.mu.Unlock()
		if st.firewall == nil || st.firewall(d.socket, from) {
			return false
		}
		st.mu.Lock()
	}
	d.cur = st
	return true
}

// stranger takes a packet whose stream does not live here.
func (d *dispatcher) stranger(b []byte, p *wire.Packet, id uint32, from netip.AddrPort) {
	m := d.socket.mux
	m.mu.RLock()
	f, ok := m.mu.linger.get(id, d.now)
	m.mu.RUnlock()
	if !ok {
		d.raw(b, from)
		return
	}
	if p.Flags.Has(wire.Data | wire.End) {
		f.via.socket.WriteTo(f.ack.Append(nil), f.via.addr)
	}
}

func (d *dispatcher) raw(b []byte, from netip.AddrPort) {
	d.release()
	if h := d.socket.opts.Handler; h != nil {
		h(d.socket, b, from)
	}
}
