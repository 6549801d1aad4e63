package protocol

import (
	"errors"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// ErrChanging is returned when the remote is changed while an earlier change is
// not complete.
var ErrChanging = errors.New("udx: the remote is already changing")

// Path is where packets go.
type Path struct {
	// RemoteID is the remote's id of the stream.
	RemoteID uint32
	// Overhead is the size of the headers below UDX: IP and UDP.
	Overhead int
	// Via is the owner's: a socket and an address.
	Via any
}

// MaxPayload is the most a packet carries within an IP packet of mtu bytes.
func (p *Path) MaxPayload(mtu int) int { return mtu - p.Overhead - wire.HeaderSize }

// ChangeRemote moves the stream to another path. What was sent before keeps
// going to the old one when it is lost, since it was cut for the MTU there, until
// all of it is acked; but every timeout makes it try the other of the two. Path MTU discovery and congestion control begin anew.
func (s *Stream) ChangeRemote(path Path) error {
	if s.changing {
		return ErrChanging
	}
	s.changing = s.flight.una != s.flight.next
	s.changeSeq = s.flight.next
	s.viaNew = false
	s.oldPath, s.path = s.path, path
	// Nothing that was learnt of the old path is true of the new one.
	s.mtu.init(s.cfg.MaxMTU)
	s.rtt = newRTTEstimator()
	s.cc.Restart(s.mtu.size)
	return nil
}

// DisableMTUDiscovery leaves the path MTU at its base.
func (s *Stream) DisableMTUDiscovery() {
	s.cfg.MaxMTU = BaseMTU
	s.mtu.init(BaseMTU)
}

// Changing reports whether packets sent before a change of the remote are still
// outstanding.
func (s *Stream) Changing() bool { return s.changing }

// Path is where new packets go.
func (s *Stream) Path() *Path { return &s.path }

// pathOf is where a packet goes that is sent again.
func (s *Stream) pathOf(seq uint32) *Path {
	if s.changing && wire.SeqDiff(seq, s.changeSeq) < 0 && !s.viaNew {
		return &s.oldPath
	}
	return &s.path
}

func (s *Stream) finishChange(ack uint32) {
	if s.changing && wire.SeqDiff(ack, s.changeSeq) >= 0 {
		s.changing = false
		s.oldPath = Path{}
	}
}
