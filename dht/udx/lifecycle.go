package udx

import (
	"net"
	"time"
)

// leave ends what changed the stream's state, with its lock held: it tells those
// who wait, queues the stream to send, sets the timer, and unlocks.
func (s *Stream) leave(now time.Duration) {
	if s.proto.Ready(now) { // before publish, since it may move the deadline
		s.mux.send.push(s)
	}
	over := s.publish(now)
	left := s.finishChange()
	s.mu.Unlock()
	if left != nil {
		left.socket.detach(s)
	}
	if over {
		s.finish()
	}
}

// publish tells those who wait what has changed and sets the timer, with the
// lock held. It reports true once: when the stream is over and finish must be
// called.
func (s *Stream) publish(now time.Duration) bool {
	if s.over {
		return false
	}
	if closed, err := s.proto.Closed(); closed {
		s.over, s.err = true, exported(err)
		if s.timer != nil {
			s.timer.Stop()
		}
		s.readBy.stop()
		s.writeBy.stop()
		s.readable.Broadcast()
		s.writable.Broadcast()
		return true
	}
	if s.proto.Buffered() > 0 || s.proto.EOF() || s.proto.Messages() > 0 {
		s.readable.Broadcast()
	}
	if s.proto.Writable() >= wakeWriters || s.proto.Unacked() == 0 {
		s.writable.Broadcast()
	}
	s.setTimer(now)
	return false
}

// setTimer sees to it that tick runs no later than the protocol wants. A timer
// that is too early is left alone: most deadlines move on before they come.
func (s *Stream) setTimer(now time.Duration) {
	d := s.proto.Deadline()
	if d == 0 || s.armed != 0 && s.armed <= d {
		return
	}
	s.armed = d
	if s.timer == nil {
		s.timer = time.AfterFunc(d-now, s.tick)
	} else {
		s.timer.Reset(d - now)
	}
}

func (s *Stream) tick() {
	s.mu.Lock()
	now := s.mux.now()
	s.armed = 0
	s.proto.Tick(now)
	s.leave(now)
}

// finish follows the end of the stream, without its lock: the id is free, the
// sockets are told, and the streams that relay here end as well.
func (s *Stream) finish() {
	s.mu.Lock()
	via, clean := s.route, s.err == nil && s.proto.EOF()
	s.mux.forget(s, clean, via, s.proto)
	changed := s.finishChange()
	relayers := s.relayers
	s.relayers = nil
	relay := s.relay
	close(s.done)
	s.mu.Unlock()

	if changed != nil {
		changed.socket.detach(s)
	}
	if via != nil {
		via.socket.detach(s)
	}
	if relay != nil {
		relay.forgetRelayer(s)
	}
	for r := range relayers {
		r.shut(net.ErrClosed)
	}
}
