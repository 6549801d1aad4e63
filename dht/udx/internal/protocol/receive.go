package protocol

import (
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// Receive applies one packet, whose slices it does not keep. The order of its
// steps is part of the protocol: what a packet carries counts even when what it
// acknowledges is nonsense.
func (s *Stream) Receive(now time.Duration, p *wire.Packet) {
	if s.closed || s.destroying {
		return
	}
	s.stats.PacketsReceived++
	s.stats.BytesReceived += uint64(wire.HeaderSize + int(p.Offset) + len(p.Payload))
	if p.Flags.Has(wire.Heartbeat) {
		s.ackDue = true // nothing else in it is used
		return
	}

	if wire.SeqDiff(p.Seq, s.expected) >= 0 {
		if p.Flags.Has(wire.Data | wire.End) {
			s.receiveOrdered(p)
		}
		if p.Flags.Has(wire.Destroy) {
			s.close(ErrReset)
			return
		}
	}
	if p.Flags.Has(wire.Message) {
		s.receiveMessage(p.Payload)
	}
	s.drain()

	if wire.SeqDiff(p.Ack, s.flight.next) > 0 {
		return // acknowledges what was never sent
	}
	s.receiveWindowUpdate(p)
	s.receiveAck(now, p)
	if p.Flags.Has(wire.Data | wire.End) {
		s.ackDue = true
	}
	s.updateIdleTimers(now, false)
	s.updateLinger(now)
	s.closeIfEnded()
}

// receiveOrdered takes a packet that is not old: it delivers the one that is
// expected and keeps others for their turn. A packet that there is no room for is
// dropped; its sender has broken its window.
func (s *Stream) receiveOrdered(p *wire.Packet) {
	if s.remoteEnding && wire.SeqDiff(p.Seq, s.remoteEnd) > 0 {
		return // nothing comes after the end
	}
	switch {
	case s.early.has(p.Seq):
		return
	case p.Seq == s.expected && p.Flags.Has(wire.Data):
		// Only what is unread counts here: this packet is what lets early ones go.
		if !s.discard && s.readable.len()+len(p.Payload) > s.cfg.ReceiveBuffer+overrun {
			return
		}
		s.deliver(p.Payload)
		s.expected++
	case p.Seq == s.expected:
		s.expected++
	default:
		if wire.SeqDiff(p.Seq, s.expected) > maxAhead ||
			s.readable.len()+s.early.bytes+len(p.Payload) > s.cfg.ReceiveBuffer+overrun ||
			!s.early.add(p.Seq, p.Payload, p.Flags.Has(wire.Data)) {
			return
		}
	}
	if p.Flags.Has(wire.End) && !s.remoteEnding {
		s.remoteEnding, s.remoteEnd = true, p.Seq
	}
}

func (s *Stream) deliver(payload []byte) {
	if !s.discard {
		s.readable.append(payload)
	}
}

// drain delivers the early packets whose turn has come, and notices the end.
func (s *Stream) drain() {
	for !s.pastEnd() {
		e, ok := s.early.take(s.expected)
		if !ok {
			break
		}
		s.expected++
		if e.data {
			s.deliver(e.payload)
		}
		freePayload(e.payload)
	}
	if s.pastEnd() && !s.eof {
		s.eof = true
		s.early.reset()
	}
}

// pastEnd reports whether everything up to the remote's END has arrived.
func (s *Stream) pastEnd() bool {
	return s.remoteEnding && wire.SeqDiff(s.expected, s.remoteEnd) > 0
}

func (s *Stream) receiveMessage(payload []byte) {
	if s.abandoned || len(s.messages) >= maxMessages || s.messageBytes+len(payload) > maxMessageBytes {
		return
	}
	s.messages = append(s.messages, append([]byte{}, payload...))
	s.messageBytes += len(payload)
}

// receiveWindow is how many bytes may be offered to the remote: the buffer less
// what is unread and what waits for its turn.
func (s *Stream) receiveWindow() int {
	w := s.cfg.ReceiveBuffer - s.readable.len() - s.early.bytes
	if w < reopenStep {
		return 0
	}
	return w
}

// receiveWindowUpdate takes the remote's window from the packet, unless it is
// older than the one that the present window came from (RFC 9293, section
// 3.10.7.4).
func (s *Stream) receiveWindowUpdate(p *wire.Packet) {
	newer := wire.SeqDiff(p.Seq, s.wl1)
	if wire.SeqDiff(p.Ack, s.flight.una) >= 0 && (newer > 0 || newer == 0 && wire.SeqDiff(p.Ack, s.wl2) >= 0) {
		s.window, s.wl1, s.wl2 = p.Window, p.Seq, p.Ack
	}
}
