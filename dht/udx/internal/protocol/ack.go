package protocol

import (
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// ackResult is what one acknowledgement has brought to light.
type ackResult struct {
	packets int           // delivered by it
	rtt     time.Duration // of the packet sent last among them, -1 for none to trust
	rttSent time.Duration // when that one was sent
}

// receiveAck applies the cumulative and the selective acknowledgements of p,
// finds out what is lost, and tells the congestion controller.
func (s *Stream) receiveAck(now time.Duration, p *wire.Packet) {
	s.finishChange(p.Ack)
	advanced := wire.SeqDiff(p.Ack, s.flight.una) > 0
	if s.flight.span() == 0 || !advanced && p.SackBlocks() == 0 {
		return
	}
	prior := s.flight.bytes
	res := ackResult{rtt: -1}
	if advanced {
		s.ackRun(now, s.flight.una, p.Ack, &res)
		s.advance(p.Ack)
	}
	for i := range p.SackBlocks() {
		if b := p.SackBlock(i); s.sackValid(b) {
			s.ackRun(now, b.Start, b.End, &res)
		}
	}

	if res.packets > 0 {
		s.timeouts, s.tlp.probes = 0, 0
		s.mtu.onAck()
		if res.rtt >= 0 {
			s.rtt.sample(now, res.rtt)
		}
		s.rearmRTO(now, s.rtt.rto)
		s.detectLoss(now)
		s.cc.OnAck(now, res.rtt, prior, s.flight.bytes)
	}
	if s.recovery != recoveryOpen && wire.SeqDiff(s.flight.una, s.point) >= 0 {
		if s.recovery == recoveryLoss {
			s.cc.OnRecovered()
		}
		s.recovery = recoveryOpen
	}
	if res.packets > 0 {
		s.armTLP(now)
	}
	if s.endSent && s.flight.span() == 0 && !s.ended { // the END itself may have been acked before others
		s.ended = true
		if !s.eof {
			s.ackDue = true // as the reference does
		}
	}
}

// sackValid reports whether a block lies within what was sent and is not acked.
func (s *Stream) sackValid(b wire.SackBlock) bool {
	return wire.SeqDiff(b.End, b.Start) > 0 && wire.SeqDiff(b.Start, s.flight.una) >= 0 &&
		wire.SeqDiff(b.Start, s.flight.next) < 0 && wire.SeqDiff(b.End, s.flight.next) <= 0
}

// ackRun marks the packets in [start, end) as delivered that are not yet.
func (s *Stream) ackRun(now time.Duration, start, end uint32, res *ackResult) {
	for {
		seq, ok := s.flight.nextPending(start, end)
		if !ok {
			return
		}
		s.ackPacket(now, seq, res)
		start = seq + 1
	}
}

func (s *Stream) ackPacket(now time.Duration, seq uint32, res *ackResult) {
	p := s.flight.at(seq)
	s.cc.OnDelivered(now, &p.rate, int(p.wire))
	s.flight.markDelivered(seq)
	res.packets++

	rtt := now - p.sent
	if p.sends == 1 && (res.rtt < 0 || p.sent >= res.rttSent) {
		res.rtt, res.rttSent = rtt, p.sent
	}
	s.rack.onDelivered(seq, p, rtt, s.rtt.min())
	if p.probe && !(s.changing && wire.SeqDiff(seq, s.changeSeq) < 0) && s.mtu.passed() {
		s.cc.SetPacketSize(s.mtu.size)
	}
}

// advance moves on to the oldest packet that is not acked, and gives back the
// bytes before it.
func (s *Stream) advance(una uint32) {
	off := s.unsent
	if una != s.flight.next {
		off = s.flight.at(una).offset
	}
	s.flight.advance(una)
	s.sendable.release(off)
}
