package protocol

import (
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// rack finds losses by time (RFC 8985): a packet is lost when one that was sent
// later has been delivered and what reordering explains has passed.
type rack struct {
	// sent and end are those of the packet delivered so far that was sent last;
	// of packets sent at one instant the one with the highest number counts.
	sent time.Duration
	end  uint32
	rtt  time.Duration
	seen bool

	highest   uint32 // everything delivered lies below it
	reordered bool   // a packet was late once
}

// onDelivered learns from a delivered packet.
func (r *rack) onDelivered(seq uint32, p *packet, rtt, minRTT time.Duration) {
	end := seq + 1
	if wire.SeqDiff(end, r.highest) >= 0 {
		r.highest = end
	} else if p.sends == 1 {
		r.reordered = true
	}
	if p.sends > 1 && rtt < minRTT {
		return // it is the first copy that arrived
	}
	if r.seen && r.before(p.sent, seq) {
		return
	}
	r.seen, r.sent, r.end, r.rtt = true, p.sent, end, rtt
}

// before reports whether the packet seq, sent at t, was sent before the latest
// packet that is known to be delivered.
func (r *rack) before(t time.Duration, seq uint32) bool {
	return t < r.sent || t == r.sent && wire.SeqDiff(seq+1, r.end) < 0
}

// reorderWindow is how late a packet may be.
func (s *Stream) reorderWindow() time.Duration {
	if !s.rack.reordered && (s.recovery != recoveryOpen || s.flight.sacked() >= 3) {
		return 0
	}
	return min(s.rtt.min()/4, s.rtt.smoothed)
}

// detectLoss marks what is lost by now, and sets the timer for what will be if
// nothing more is heard.
func (s *Stream) detectLoss(now time.Duration) {
	s.timers.reorder = 0
	if !s.rack.seen {
		return
	}
	late := s.rack.rtt + s.reorderWindow()
	congested := false
	for n, seq := s.flight.sent.n, s.flight.sent.head; n > 0; n-- {
		p := s.flight.at(seq)
		following := p.next
		if p.sent > s.rack.sent {
			break
		}
		if s.rack.before(p.sent, seq) {
			if deadline := p.sent + late; deadline > now {
				// Those behind it were sent later.
				s.timers.reorder = max(deadline, now+timerGranularity)
				break
			}
			congested = s.lose(seq) || congested
		}
		seq = following
	}
	if congested && s.recovery == recoveryOpen {
		s.recovery = recoveryFast
		s.point = s.flight.next
		s.stats.FastRecoveries++
	}
}

// lose marks a packet in flight as lost. It reports whether that is a sign of
// congestion, which the loss of a path MTU probe is not.
func (s *Stream) lose(seq uint32) bool {
	p := s.flight.at(seq)
	s.flight.markLost(seq)
	if p.probe {
		p.probe = false
		s.mtu.failed()
		return false
	}
	s.cc.OnLost(int(p.wire))
	return true
}

// tlp is the tail loss probe (RFC 8985, section 7): when the last packets of a
// flight are lost nothing comes back that would show it, so one more is sent.
type tlp struct {
	probes int // sent since a packet was delivered
	due    bool
}

// maxProbes is how many probes are sent, each after twice the time of the one
// before, until the retransmission timeout is left to act. The RFC has a single
// one; but where a queue has just overflowed that is often lost as well, and the
// timeout is a second at least.
const maxProbes = 3

// minPTO keeps probes from firing when a process was merely not scheduled.
const minPTO = 10 * time.Millisecond

// armTLP sets the timer of the probe, when something was sent or acked. The RFC
// does so only while no loss is being repaired; but then a repair that is lost
// itself, with nothing sent behind it, waits for the retransmission timeout.
func (s *Stream) armTLP(now time.Duration) {
	s.timers.tlp = 0
	if s.flight.npend == 0 || s.flight.lost.n > 0 || s.recovery == recoveryLoss || s.tlp.probes >= maxProbes {
		return
	}
	pto := time.Second
	if s.rtt.smoothed > 0 {
		pto = 2 * s.rtt.smoothed
		if s.flight.npend == 1 {
			pto += 2 * time.Millisecond
		}
	}
	s.timers.tlp = now + max(pto, minPTO)<<s.tlp.probes
	if s.timers.rto != 0 && s.timers.tlp >= s.timers.rto {
		s.timers.tlp = 0 // the timeout comes first
	}
}
