package udx

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/cairn-feeds/cairn/dht/udx/internal/protocol"
)

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
