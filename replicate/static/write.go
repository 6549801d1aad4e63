package static

import (
	"fmt"
	"time"

	"github.com/cairn-feeds/cairn/bitmap"
)

const (
	// writeSize is how much is collected before it is written.
	writeSize = 64 << 10
	// maxHaveBlocks is how many blocks one Have lists; when there are more than it takes
	// bytes to send the bitfield, that is sent.
	maxHaveBlocks = 1024
	// readOutTime is how long what has arrived is read after a write has failed.
	readOutTime = time.Second
)

// writer is what the writing goroutine uses again and again.
type writer struct {
	buf      []byte
	asks     []ask
	response message
}

// routineWrite sends what there is to send until the stream ends.
func (s *Stream) routineWrite() {
	w := &writer{}
	var keepAlive *time.Timer
	var silent <-chan time.Time
	if d := s.host.opts.KeepAlive; d > 0 {
		keepAlive = time.NewTimer(d)
		defer keepAlive.Stop()
		silent = keepAlive.C
	}
	hello := handshake{protocol: "hypercore", id: s.host.opts.ID[:], extensions: s.extensions.local}
	w.buf = hello.appendFrame(w.buf)
	for {
		if len(w.buf) == 0 {
			select {
			case <-s.wake:
			case <-silent:
				w.buf = append(w.buf, 0)
			case <-s.done:
				return
			}
		}
		s.collect(w)
		if len(w.buf) == 0 {
			continue
		}
		if err := s.write(w.buf); err != nil {
			s.writeFailed(err)
			return
		}
		if keepAlive != nil {
			keepAlive.Reset(s.host.opts.KeepAlive)
		}
		if w.buf = w.buf[:0]; cap(w.buf) > 16*writeSize {
			w.buf = nil
		}
	}
}

// write writes, under the eyes of the watchdog: in pieces, so that a slow remote is told from
// one that does not read.
func (s *Stream) write(b []byte) error {
	defer s.writing.Store(0)
	for len(b) > 0 {
		s.writing.Store(int64(max(1, time.Since(s.start))))
		n, err := s.conn.Write(b[:min(len(b), 2*writeSize)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// writeFailed ends the stream because of a write. What has arrived before may say more about
// why, so whoever reads it comes first.
func (s *Stream) writeFailed(err error) {
	select {
	case <-s.done:
	case <-time.After(readOutTime):
		s.fail(err)
	}
}

// collect appends frames to w.buf as long as there is room: what is about channels, requests
// of ours, then answers to those of the remote.
func (s *Stream) collect(w *writer) {
	w.buf = s.extensions.take(w.buf)
	h := s.host
	h.mu.Lock()
	for _, n := range s.leaves {
		w.buf = (&message{typ: typeLeave, channel: n}).appendFrame(w.buf)
	}
	s.leaves = s.leaves[:0]
	for len(s.dirty) > 0 && len(w.buf) < writeSize {
		c := s.dirty[0]
		s.dirty = s.dirty[1:]
		c.queued = false
		w.buf = c.announceLocked(w.buf)
	}
	w.buf = s.requestLocked(w.buf)
	n := min(len(s.asks), 16)
	w.asks = append(w.asks[:0], s.asks[:n]...)
	if s.asks = s.asks[n:]; len(s.asks) == 0 {
		s.asks = nil
	}
	s.unanswered -= n
	orphans := s.orphans
	s.orphans = nil
	if len(s.dirty) > 0 || len(s.asks) > 0 {
		s.poke()
	}
	h.mu.Unlock()
	closeAll(orphans)
	for _, a := range w.asks {
		if err := s.answer(w, a); err != nil {
			h.opts.Logger.Warn("static feed cannot be read", "feed", a.c.share.id, "block", a.block, "error", err)
			h.mu.Lock()
			a.c.leaveLocked()
			h.mu.Unlock()
		}
	}
}

// announceLocked appends what the remote should know of a channel: our Join, then what we
// have, then what came since.
func (c *channel) announceLocked(dst []byte) []byte {
	if c.left {
		return dst
	}
	s := c.share
	if !c.joined {
		c.joined = true
		dst = (&message{typ: typeJoin, channel: c.local, id: s.id}).appendFrame(dst)
	}
	if s.present == nil {
		return dst
	}
	if !c.opened {
		c.opened, c.announced = true, s.present
		dst = (&message{typ: typeHave, channel: c.local, bitfield: appendBits(nil, s.present)}).appendFrame(dst)
		return (&message{typ: typeUnpause, channel: c.local}).appendFrame(dst)
	}
	have := message{typ: typeHave, channel: c.local}
	for n, ok := s.present.NextDifference(0, c.announced); ok && len(have.blocks) <= maxHaveBlocks; n, ok = s.present.NextDifference(n+1, c.announced) {
		have.blocks = append(have.blocks, n)
	}
	if len(have.blocks) > maxHaveBlocks {
		have.blocks, have.bitfield = nil, appendBits(nil, s.present)
	}
	c.announced = s.present
	if len(have.blocks) > 0 || have.bitfield != nil {
		dst = have.appendFrame(dst)
	}
	return dst
}

// requestLocked appends requests for what is missing.
func (s *Stream) requestLocked(dst []byte) []byte {
	for c := range s.fetch {
		for {
			if s.inflight >= s.host.opts.MaxRequests {
				return dst
			}
			n, ok, later := c.chooseLocked()
			if !ok {
				if !later {
					delete(s.fetch, c)
				}
				break
			}
			if s.inflight == 0 {
				s.answered = time.Now()
			}
			s.inflight++
			c.requests.Add(n, n+1)
			c.share.requesting.Add(n, n+1)
			dst = (&message{typ: typeRequest, channel: c.local, block: n}).appendFrame(dst)
		}
	}
	return dst
}

// answer appends the answer to a request. It writes what has come together so far when that
// is a lot.
func (s *Stream) answer(w *writer, a ask) error {
	h := s.host
	h.mu.Lock()
	feed, left, number := a.c.share.feed, a.c.left, a.c.local
	h.mu.Unlock()
	if left || feed == nil {
		return nil
	}
	m := &w.response
	m.typ, m.channel, m.block = typeResponse, number, a.block
	var err error
	if m.data, err = feed.AppendBlock(m.data[:0], a.block); err != nil {
		return err
	}
	if m.proof, err = feed.AppendProof(m.proof[:0], a.block); err != nil {
		return err
	}
	before := len(w.buf)
	w.buf = m.appendFrame(w.buf)
	if len(w.buf)-before > MaxFrame {
		w.buf = w.buf[:before]
		return errTooLarge
	}
	feed.Uploaded(bitmap.NewSet(bitmap.Run{Start: a.block, End: a.block + 1}))
	if cap(m.data) > 16*writeSize {
		m.data = nil
	}
	if len(w.buf) < writeSize {
		return nil
	}
	err = s.write(w.buf)
	if w.buf = w.buf[:0]; err != nil {
		s.writeFailed(err)
	}
	return nil
}

var errTooLarge = fmt.Errorf("the block does not fit into a frame: %w", ErrFrame)
