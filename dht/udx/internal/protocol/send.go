package protocol

import (
	"slices"
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// MaxDatagram is the largest UDP payload that Poll packs.
const MaxDatagram = MaxMTU - 28

// action is what a stream has to send next.
type action uint8

const (
	nothing action = iota
	sendAck
	sendDestroy
	sendHeartbeat
	sendAgain // the first of the lost packets
	sendData
	sendTailProbe
)

// Ready reports whether Poll would return a packet.
func (s *Stream) Ready(now time.Duration) bool { return s.next(now) != nothing }

// next decides what goes out first: acknowledgements are never held up by data,
// and repairs come before new data.
func (s *Stream) next(now time.Duration) action {
	s.timers.pace = 0
	switch {
	case s.closed || !s.connected:
		return nothing
	case s.ackDue:
		return sendAck
	case s.destroying:
		return sendDestroy
	case s.heartbeatDue:
		return sendHeartbeat
	case s.tlp.due:
		return sendTailProbe
	}
	var a action
	var size int
	switch {
	case s.flight.lost.n > 0:
		a, size = sendAgain, int(s.flight.at(s.flight.lost.head).size)
	case s.mayCut():
		a, size = sendData, s.cutSize()
	default:
		return nothing
	}
	size += wire.HeaderSize + s.path.Overhead
	if s.flight.bytes > 0 && s.flight.bytes+size > s.cc.Window() {
		return nothing
	}
	if at := s.cc.SendAt(now); at > now {
		s.timers.pace = max(at, now+timerGranularity/4)
		return nothing
	}
	return a
}

// cutSize is the payload of the next new packet.
func (s *Stream) cutSize() int { return min(s.unsentBytes(), s.path.MaxPayload(s.mtu.size)) }

// mayCut reports whether there is new data, or an END, that the remote's window
// and our own bounds allow.
func (s *Stream) mayCut() bool {
	if s.unsentBytes() == 0 && (!s.ending || s.endSent) {
		return false
	}
	if s.flight.span() >= maxSpan || s.unsent-s.sendable.first >= maxSendWindow {
		return false
	}
	return s.flight.payload+s.cutSize() <= int(min(s.window, maxSendWindow)) || s.flight.npend == 0 && s.window > 0
}

// Poll appends the next packet to send to b, which must have room for MaxDatagram
// bytes, and returns where it goes. It returns nil for the path when there is
// nothing to send now.
func (s *Stream) Poll(now time.Duration, b []byte) ([]byte, *Path) {
	start := len(b)
	path := &s.path
	switch s.next(now) {
	case nothing:
		s.noteAppLimited()
		return b, nil
	case sendAck:
		b = s.packAck(b)
	case sendDestroy:
		b = s.header(wire.Destroy, s.flight.next, path, 0).Append(b)
		s.close(s.err)
	case sendHeartbeat:
		s.heartbeatDue = false
		b = s.header(wire.Heartbeat, s.flight.next, path, 0).Append(b)
	case sendAgain:
		b, path = s.packAgain(now, b, s.flight.lost.head)
	case sendData:
		b = s.packData(now, b)
	case sendTailProbe:
		b, path = s.packTailProbe(now, b)
	}
	s.stats.PacketsSent++
	s.stats.BytesSent += uint64(len(b) - start)
	return b, path
}

// noteAppLimited tells the congestion controller when it is not the one that keeps
// the stream from sending: the owner writes too little, or the remote's window is
// closed.
func (s *Stream) noteAppLimited() {
	if s.connected && !s.closed && s.flight.lost.n == 0 && !s.mayCut() && s.flight.bytes+s.mtu.size <= s.cc.Window() {
		s.cc.OnAppLimited(s.flight.bytes)
	}
}

func (s *Stream) header(flags wire.Flags, seq uint32, path *Path, offset uint8) wire.Header {
	s.offered = s.receiveWindow()
	return wire.Header{Flags: flags, Offset: offset, Stream: path.RemoteID, Window: uint32(s.offered), Seq: seq, Ack: s.expected}
}

func (s *Stream) packAck(b []byte) []byte {
	s.ackDue = false
	var flags wire.Flags
	if len(s.early.runs) > 0 {
		flags = wire.Sack
	}
	b = s.header(flags, s.flight.next, &s.path, 0).Append(b)
	b = s.early.appendSacks(b)
	s.closeIfEnded()
	return b
}

// packData cuts the next packet from the unsent bytes. The END rides on the last
// one. When a path MTU probe is wanted, and the packet is large enough to become
// one, zeros make up the difference.
func (s *Stream) packData(now time.Duration, b []byte) []byte {
	seq, p := s.flight.push()
	p.offset = s.unsent
	p.size = uint16(s.cutSize())
	s.unsent += uint64(p.size)
	if p.size > 0 {
		p.flags |= wire.Data
	}
	if s.ending && s.unsent == s.sendable.last {
		p.flags |= wire.End
		s.endSent = true
	}
	pad := 0
	if s.mtu.wanted && p.flags == wire.Data && s.recovery == recoveryOpen {
		pad = s.path.MaxPayload(s.mtu.probe) - int(p.size)
		if p.probe = pad >= 0 && pad <= wire.MaxPadding; p.probe {
			s.mtu.wanted = false
		} else {
			pad = 0
		}
	}
	b = s.pack(now, b, seq, &s.path, pad)
	s.updateIdleTimers(now, false)
	return b
}

// packAgain sends a pending packet once more.
func (s *Stream) packAgain(now time.Duration, b []byte, seq uint32) ([]byte, *Path) {
	p := s.flight.at(seq)
	s.flight.drop(seq)
	if p.probe { // a tail probe repeats a path MTU probe that is not known to be lost
		p.probe = false
		s.mtu.failed()
	}
	s.stats.Retransmits++
	path := s.pathOf(seq)
	return s.pack(now, b, seq, path, 0), path
}

// pack sends the packet seq, which is in no list.
func (s *Stream) pack(now time.Duration, b []byte, seq uint32, path *Path, pad int) []byte {
	p := s.flight.at(seq)
	p.wire = uint16(path.Overhead + wire.HeaderSize + pad + int(p.size))
	p.sent = now
	p.sends = max(p.sends, p.sends+1)
	s.cc.OnSend(now, s.flight.bytes, int(p.wire), &p.rate)
	s.flight.transmit(seq)
	if s.timers.rto == 0 {
		s.rearmRTO(now, s.rtt.rto)
	}
	s.armTLP(now)

	b = s.header(p.flags, seq, path, uint8(pad)).Append(b)
	b = appendZeros(b, pad)
	return s.sendable.appendTo(b, p.offset, int(p.size))
}

func appendZeros(b []byte, n int) []byte {
	b = slices.Grow(b, n)
	end := len(b) + n
	clear(b[len(b):end])
	return b[:end]
}

// packTailProbe sends something that the remote must answer: new data if there
// is any, else the last packet again.
func (s *Stream) packTailProbe(now time.Duration, b []byte) ([]byte, *Path) {
	s.tlp.due = false
	s.tlp.probes++
	path := &s.path
	if s.flight.lost.n == 0 && s.mayCut() {
		b = s.packData(now, b)
	} else if seq, ok := s.flight.highestPending(); ok {
		b, path = s.packAgain(now, b, seq)
	}
	s.rearmRTO(now, s.rtt.rto)
	return b, path
}

// AppendMessage packs an unordered message. It goes to Path, once.
func (s *Stream) AppendMessage(b, payload []byte) []byte {
	b = s.header(wire.Message, s.flight.next, &s.path, 0).Append(b)
	s.stats.PacketsSent++
	s.stats.BytesSent += uint64(wire.HeaderSize + len(payload))
	return append(b, payload...)
}
