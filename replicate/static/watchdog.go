package static

import "time"

// watchTick is how often a stream is looked at; the time limits are as exact as that.
const watchTick = time.Second

// routineWatch ends the stream when it stands still where something is due.
func (s *Stream) routineWatch() {
	ticker := time.NewTicker(watchTick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if waiting := s.overdue(); waiting != "" {
				s.fail(&TimeoutError{Waiting: waiting})
				return
			}
		case <-s.done:
			return
		}
	}
}

// overdue says for what the stream waits too long, "" for nothing.
func (s *Stream) overdue() string {
	o := &s.host.opts
	now := time.Since(s.start)
	longer := func(since, limit time.Duration) bool { return limit > 0 && now-since >= limit }
	lastRead := time.Duration(s.lastRead.Load())
	if w := time.Duration(s.writing.Load()); w > 0 && longer(w, o.Silence) {
		return "the remote to read"
	}
	s.host.mu.Lock()
	shaken, inflight, answered := s.shaken, s.inflight, s.answered
	s.host.mu.Unlock()
	switch {
	case !shaken:
		if longer(0, o.Silence) {
			return "the handshake"
		}
	case s.partial.Load() && longer(lastRead, o.Silence):
		return "the rest of a frame"
	case inflight > 0 && longer(answered.Sub(s.start), o.AnswerTimeout):
		return "an answer"
	case longer(lastRead, o.IdleTimeout):
		return "anything"
	}
	return ""
}
