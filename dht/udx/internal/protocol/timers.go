package protocol

import "time"

const (
	// maxTimeouts is how many timeouts there may be without any packet being acked
	// in between; the next one closes the stream. With the lowest RTO that is 13 s
	// after the first packet was sent. The reference counts them for each packet,
	// which also ends streams that just lose a lot.
	maxTimeouts = 6
	// timerGranularity is the least that a timer is set ahead.
	timerGranularity = time.Millisecond
)

// timers are the instants at which something is due; 0 means never.
type timers struct {
	rto       time.Duration // the oldest packet is overdue
	reorder   time.Duration // packets become lost when nothing more is heard
	tlp       time.Duration // probe for a lost tail
	window    time.Duration // probe a closed window
	keepAlive time.Duration
	linger    time.Duration // an abandoned stream is destroyed
	pace      time.Duration // the pacer lets the next packet go

	keepAliveEvery time.Duration
}

// Deadline is when Tick should be called next; 0 means never.
func (s *Stream) Deadline() time.Duration {
	t := &s.timers
	first := t.rto
	for _, d := range [...]time.Duration{t.reorder, t.tlp, t.window, t.keepAlive, t.linger, t.pace} {
		if d != 0 && (first == 0 || d < first) {
			first = d
		}
	}
	return first
}

// due reports whether the timer d has expired, and stops it.
func due(d *time.Duration, now time.Duration) bool {
	if *d == 0 || *d > now {
		return false
	}
	*d = 0
	return true
}

// Tick does what is due.
func (s *Stream) Tick(now time.Duration) {
	if s.closed || s.destroying {
		return
	}
	t := &s.timers
	due(&t.pace, now) // Poll goes on by itself
	if due(&t.reorder, now) {
		s.detectLoss(now)
	}
	if due(&t.rto, now) {
		if s.onTimeout(now); s.closed {
			return
		}
	}
	if due(&t.tlp, now) {
		s.tlp.due = s.flight.sent.n > 0
	}
	if due(&t.window, now) {
		s.heartbeatDue = true
		t.window = now + 2*s.rtt.rto
	}
	if due(&t.keepAlive, now) {
		s.heartbeatDue = true
		t.keepAlive = now + t.keepAliveEvery
	}
	if due(&t.linger, now) {
		s.Destroy(nil)
	}
}

// rearmRTO restarts the timer of the oldest packet.
func (s *Stream) rearmRTO(now, after time.Duration) {
	if s.flight.npend == 0 {
		s.timers.rto, s.timers.tlp, s.timers.reorder = 0, 0, 0
		s.tlp.due = false
		return
	}
	s.timers.rto = now + after
}

// onTimeout gives the oldest packet up for lost, and all that were sent so long
// ago that they should have been acked.
func (s *Stream) onTimeout(now time.Duration) {
	oldest, ok := s.flight.nextPending(s.flight.una, s.flight.next)
	if !ok {
		return
	}
	p := s.flight.at(oldest)
	if s.timeouts >= maxTimeouts {
		s.giveUp()
		return
	}
	s.heartbeatDue = s.timeouts > 0 // an answer to that may say that only acknowledgements get lost
	s.timeouts++
	s.viaNew = !s.viaNew
	s.stats.Timeouts++
	if p.state == inFlight {
		s.lose(oldest)
	}
	late := s.rack.rtt + s.reorderWindow()
	for s.flight.sent.n > 0 && s.flight.at(s.flight.sent.head).sent+late <= now {
		s.lose(s.flight.sent.head)
	}
	s.recovery = recoveryLoss
	s.point = s.flight.next
	s.tlp.due, s.timers.tlp = false, 0
	s.cc.OnTimeout(s.flight.bytes)
	// Streams that lost their packets together must not repeat them together.
	s.rearmRTO(now, 2*s.rtt.rto+time.Duration(s.random.Int64N(int64(s.rtt.rto/4))))
}

// giveUp closes the stream since nothing comes back any more. When the remote has
// ended and has acked everything but our END, that is what a clean end looks like
// whose last acknowledgement got lost: the reference forgets a stream at once.
func (s *Stream) giveUp() {
	if s.eof && s.endSent && s.flight.span() == 1 && s.flight.at(s.flight.una).size == 0 {
		s.close(nil)
	} else {
		s.close(ErrTimedOut)
	}
}

// SetKeepAlive makes the stream send a HEARTBEAT whenever everything was acked
// for that long; 0 or less ends that.
func (s *Stream) SetKeepAlive(now, every time.Duration) {
	s.timers.keepAliveEvery = max(every, 0)
	s.timers.keepAlive = 0
	s.updateIdleTimers(now, false)
}

// updateIdleTimers looks after the two timers that run while nothing is in
// flight. A write into a closed window is worth a heartbeat at once; when the
// window closes behind the last packet the first one waits for a timeout.
func (s *Stream) updateIdleTimers(now time.Duration, wrote bool) {
	if !s.connected || s.closed {
		return
	}
	idle := s.flight.npend == 0
	waiting := s.unsentBytes() > 0 || s.ending && !s.endSent

	if !idle || !waiting || s.window > 0 {
		s.timers.window = 0
	} else if s.timers.window == 0 {
		s.heartbeatDue = s.heartbeatDue || wrote
		s.timers.window = now + s.rtt.rto
	}

	if !idle || waiting || s.timers.keepAliveEvery == 0 {
		s.timers.keepAlive = 0
	} else if s.timers.keepAlive == 0 {
		s.timers.keepAlive = now + s.timers.keepAliveEvery
	}
}

// updateLinger starts the last timer of an abandoned stream when only the remote
// keeps it open.
func (s *Stream) updateLinger(now time.Duration) {
	if s.abandoned && (s.ended || s.timers.window != 0) {
		if s.timers.linger == 0 {
			s.timers.linger = now + s.cfg.Linger
		}
	} else {
		s.timers.linger = 0
	}
}
