package udx

import (
	"net"

	"github.com/cairn-feeds/cairn/dht/udx/internal/protocol"
	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

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
	over, old := s.over, s.relay
	if !over {
		s.relay = dst
	}
	s.mu.Unlock()
	if over {
		dst.forgetRelayer(s)
		return net.ErrClosed
	}
	if old != nil && old != dst {
		old.forgetRelayer(s)
	}
	return nil
}

func (s *Stream) forgetRelayer(r *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.relayers, r)
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
