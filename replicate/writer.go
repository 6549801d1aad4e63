package replicate

import (
	"fmt"
	"time"

	"github.com/cairn-feeds/cairn/replicate/wire"
)

const (
	// writeSize is how many bytes the writer gathers for one write, if there are
	// that many.
	writeSize = 256 << 10
	// turnSize is how many bytes of data one feed sends before the next one's turn.
	turnSize = 64 << 10
)

// send queues a message. The reader stops when too many are queued.
func (s *Session) send(m wire.Message, channel uint64) {
	s.mu.Lock()
	s.sendLocked(m, channel)
	s.mu.Unlock()
	s.kick()
}

// sendLocked is send with s.mu held and without waking the writer.
func (s *Session) sendLocked(m wire.Message, channel uint64) {
	if !s.mu.over {
		s.mu.control = m.AppendFrame(s.mu.control, channel)
	}
}

// turn lets a peer send when it is its turn. It may be called with the lock of the
// peer's hub held.
func (s *Session) turn(p *Peer) {
	s.mu.Lock()
	queued := p.queued
	if !queued {
		p.queued = true
		s.mu.turns = append(s.mu.turns, p)
	}
	s.mu.Unlock()
	if !queued {
		s.kick()
	}
}

// nextTurn takes the peer whose turn it is, nil when nobody has anything to send.
func (s *Session) nextTurn() *Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.turns) == 0 {
		return nil
	}
	p := s.mu.turns[0]
	s.mu.turns[0] = nil
	s.mu.turns = s.mu.turns[1:]
	p.queued = false
	return p
}

// takeControl moves the queued messages to dst.
func (s *Session) takeControl(dst []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.control) == 0 {
		return dst
	}
	if len(dst) == 0 {
		dst, s.mu.control = s.mu.control, dst
	} else {
		dst = append(dst, s.mu.control...)
		s.mu.control = s.mu.control[:0]
	}
	s.room.Broadcast()
	return dst
}

// routineWrite sends what there is until the session is over or our half has ended.
func (s *Session) routineWrite() {
	w := &timedStream{s}
	up := &uploader{}
	var buf []byte
	for {
		now := time.Now()
		buf = s.takeControl(buf[:0])
		for len(buf) < writeSize {
			p := s.nextTurn()
			if p == nil {
				break
			}
			var more bool
			buf, more = p.produce(buf, up, now)
			if more {
				s.turn(p)
			}
			buf = s.takeControl(buf)
		}
		if len(buf) == 0 {
			if next := s.idle(); next == stop {
				return
			} else if next == ping {
				buf = append(buf, 0)
			} else {
				continue
			}
		}
		s.transport.Encrypt(buf)
		if _, err := w.Write(buf); err != nil {
			s.failWrite(err)
			return
		}
		if cap(buf) > 4*writeSize {
			buf = nil // there was a large block
		}
	}
}

// What the writer does when there is nothing to send.
type next uint8

const (
	again next = iota
	ping
	stop
)

// idle waits for something to do.
func (s *Session) idle() next {
	s.mu.Lock()
	switch {
	case s.mu.over:
		s.mu.Unlock()
		return stop
	case len(s.mu.control) > 0 || len(s.mu.turns) > 0:
		s.mu.Unlock()
		return again
	case s.mu.ending:
		s.mu.wrote = true
		alone := s.mu.channels.closing() == 0
		s.mu.Unlock()
		s.endHalf(alone)
		return stop
	case s.mu.pinging:
		s.mu.pinging = false
		s.mu.Unlock()
		return ping
	}
	if cap(s.mu.control) > 0 {
		s.mu.control = nil // an idle session has no memory to spare
	}
	s.mu.Unlock()
	<-s.wake
	return again
}

// endHalf ends our half of the stream, or all of it when there are no halves and
// the remote has nothing more to say.
func (s *Session) endHalf(alone bool) {
	if half, ok := s.stream.(interface{ CloseWrite() error }); ok {
		if half.CloseWrite() == nil {
			return
		}
	}
	if alone {
		s.fail(nil)
	}
}

// lastWords is how long the reader has to find out why a write failed.
const lastWords = time.Second

// failWrite ends the session after a failed write. A remote that has left in order
// need not hear what we had to say; otherwise what the reader finds, an end or the
// remote's reset, says more than that writing is not possible.
func (s *Session) failWrite(err error) {
	s.mu.Lock()
	ending := s.mu.ending
	s.mu.Unlock()
	if ending {
		s.fail(nil)
		return
	}
	select {
	case <-s.ctx.Done():
	case <-s.eof:
		s.fail(nil)
	case <-time.After(lastWords):
		s.fail(fmt.Errorf("replicate: writing: %w", err))
	}
}
