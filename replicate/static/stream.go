package static

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// A Stream is a connection to one remote. Its methods may be called from any goroutine.
type Stream struct {
	host      *Host
	conn      io.ReadWriteCloser
	handshake chan struct{} // closed when the handshake has arrived
	done      chan struct{} // closed when the stream is to end
	wake      chan struct{} // holds a token when there is something to send

	// What the watchdog looks at, in nanoseconds since start.
	start    time.Time
	lastRead atomic.Int64
	partial  atomic.Bool  // a frame has begun and not ended
	writing  atomic.Int64 // since when a write is under way; 0 when none is

	// Guarded by host.mu.
	begun      bool
	err        error // why the stream ends
	shaken     bool
	byShare    map[*share]*channel
	numbers    bitmap.Set // of our channels
	remote     []*channel // by the remote's number; nil after it was left
	dirty      []*channel // may have something to announce
	fetch      map[*channel]struct{}
	leaves     []uint64 // numbers of channels to send a Leave for
	asks       []ask    // requests of the remote for blocks that are here
	unanswered int      // asks, and those that wait for their block
	inflight   int      // requests of ours
	answered   time.Time
	memory     int
	orphans    []attached // feeds to close without the lock

	extensions extensions
}

// ask is a request of the remote.
type ask struct {
	c     *channel
	block uint64
}

// newStream returns a stream that waits for Run. h.mu must be held.
func newStream(h *Host, conn io.ReadWriteCloser) *Stream {
	return &Stream{
		host: h, conn: conn, start: time.Now(),
		handshake: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1),
		byShare: make(map[*share]*channel), fetch: make(map[*channel]struct{}),
		extensions: extensions{local: h.extensions, room: make(chan struct{}, 1)},
	}
}

// Run replicates until either side ends the stream, and closes the connection. See
// [Host.Serve] for what it returns. It is called once.
func (s *Stream) Run(ctx context.Context) error {
	h := s.host
	h.mu.Lock()
	if h.closed || s.begun {
		h.mu.Unlock()
		_ = s.conn.Close() // nothing was done with it
		return ErrClosed
	}
	s.begun = true
	if len(h.unshaken) >= h.opts.MaxHandshakes {
		h.unshaken[0].failLocked(ErrHandshakes)
		h.unshaken = h.unshaken[1:]
	}
	h.streams[s] = struct{}{}
	h.unshaken = append(h.unshaken, s)
	h.streaming.Add(1)
	for _, sh := range h.shares {
		if sh.downloading {
			s.joinLocked(sh)
		}
	}
	h.mu.Unlock()
	defer h.streaming.Done()

	stop := context.AfterFunc(ctx, func() { s.fail(context.Cause(ctx)) })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(s.routineWrite)
	wg.Go(s.routineWatch)
	wg.Go(s.routineClose)
	err := s.receive(ctx)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	s.fail(err)
	wg.Wait()
	return s.end()
}

// errEnded stands for the end by the remote, which is no error, in Stream.err.
var errEnded = errors.New("static: ended by the remote")

// fail ends the stream; the first reason counts.
func (s *Stream) fail(err error) {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	s.failLocked(err)
}

func (s *Stream) failLocked(err error) {
	if s.err != nil {
		return
	}
	if s.err = err; err == nil {
		s.err = errEnded
	}
	close(s.done)
}

// routineClose closes the connection when the stream is to end, which ends whoever reads or
// writes.
func (s *Stream) routineClose() {
	<-s.done
	_ = s.conn.Close() // what matters is why
}

// end forgets the stream and returns why it ended.
func (s *Stream) end() error {
	h := s.host
	h.mu.Lock()
	delete(h.streams, s)
	h.shakenLocked(s)
	for _, c := range s.byShare {
		c.forgetLocked()
	}
	err, orphans := s.err, s.orphans
	h.mu.Unlock()
	closeAll(orphans)
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

// shakenLocked takes a stream off the list of those without handshake.
func (h *Host) shakenLocked(s *Stream) {
	h.unshaken = slices.DeleteFunc(h.unshaken, func(x *Stream) bool { return x == s })
}

// Close ends the stream: Run returns ErrClosed. It does not wait for that.
func (s *Stream) Close() { s.fail(ErrClosed) }

// Handshake returns a channel that is closed when the handshake of the remote has arrived.
func (s *Stream) Handshake() <-chan struct{} { return s.handshake }

// poke tells the writer that there is something to send.
func (s *Stream) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// joinLocked returns the channel of a feed, a new one if need be.
func (s *Stream) joinLocked(sh *share) *channel {
	if c := s.byShare[sh]; c != nil {
		return c
	}
	c := &channel{
		stream: s, share: sh, local: s.numbers.NextMissing(0), remotePaused: true,
		remoteHas: bitmap.NewSet(), requests: bitmap.NewSet(), waiting: bitmap.NewSet(),
	}
	s.numbers.Add(c.local, c.local+1)
	s.byShare[sh] = c
	sh.channels[c] = struct{}{}
	c.dirtyLocked()
	return c
}

// receive reads frames and acts on them until the stream ends.
func (s *Stream) receive(ctx context.Context) error {
	r := &frameReader{src: s.conn, most: maxHandshake}
	r.onRead = func() { s.lastRead.Store(int64(time.Since(s.start))) }
	next := func() ([]byte, error) {
		if !r.ready() {
			s.partial.Store(r.partial())
		}
		payload, err := r.read()
		s.partial.Store(false)
		return payload, err
	}
	payload, err := next()
	if err != nil {
		return err
	}
	if err := s.onHandshake(payload); err != nil {
		return err
	}
	r.most = MaxFrame
	var m message
	var b batch
	for {
		payload, err := next()
		if err != nil {
			if refused := s.store(ctx, &b); refused != nil {
				return refused
			}
			return err
		}
		switch typ := payload[0]; {
		case typ <= byte(typeCancel):
			if err := m.decode(payload); err != nil {
				return err
			}
			if err := s.handle(&m, &b); err != nil {
				return err
			}
		case typ >= typeExtension && typ < typeExtension+MaxExtensions:
			s.extensions.handle(int(typ-typeExtension), payload[1:])
		}
		if b.full() || len(b.deliveries) > 0 && !r.ready() {
			if err := s.store(ctx, &b); err != nil {
				return err
			}
		}
	}
}

// onHandshake takes the first message of the remote.
func (s *Stream) onHandshake(payload []byte) error {
	var m handshake
	if err := m.decode(payload); err != nil {
		return err
	}
	s.extensions.shake(m.id, m.extensions)
	h := s.host
	h.mu.Lock()
	s.shaken = true
	h.shakenLocked(s)
	h.mu.Unlock()
	close(s.handshake)
	if h.opts.OnHandshake != nil {
		h.opts.OnHandshake(s)
	}
	return nil
}

// handle acts on a message. Blocks go into the batch.
func (s *Stream) handle(m *message, b *batch) error {
	if m.typ == typeJoin {
		return s.onJoin(m.channel, m.id)
	}
	if m.typ == typeCancel {
		return nil // as in the original: what was asked for is sent
	}
	h := s.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.channel >= uint64(len(s.remote)) {
		return fmt.Errorf("%w: %v on channel %d", ErrChannel, m.typ, m.channel)
	}
	c := s.remote[m.channel]
	if c == nil {
		return nil // left
	}
	switch m.typ {
	case typeLeave:
		c.forgetLocked()
	case typeHave:
		return c.onHaveLocked(m)
	case typePause:
		c.remotePaused = true
	case typeUnpause:
		c.remotePaused = false
		c.fetchLocked()
	case typeRequest:
		return c.onRequestLocked(m.block)
	case typeResponse:
		c.onResponseLocked(m, b)
	case typeJoin, typeCancel:
	}
	return nil
}

// onJoin answers a Join with ours, unless we joined before, and looks for the feed.
func (s *Stream) onJoin(number uint64, id tree.Hash) error {
	h := s.host
	h.mu.Lock()
	err := s.onJoinLocked(number, id)
	h.mu.Unlock()
	if err != nil {
		return err
	}
	if _, err := h.open(id); err != nil {
		h.opts.Logger.Warn("static feed cannot be opened", "feed", id, "error", err)
	}
	return nil
}

func (s *Stream) onJoinLocked(number uint64, id tree.Hash) error {
	h := s.host
	switch {
	case number > uint64(len(s.remote)):
		return fmt.Errorf("%w: Join of channel %d after %d", ErrChannel, number, len(s.remote))
	case number < uint64(len(s.remote)) && s.remote[number] != nil:
		return fmt.Errorf("%w: %d", ErrChannelReused, number)
	case number >= uint64(h.opts.MaxChannels):
		return fmt.Errorf("%w: the most is %d", ErrTooManyChannels, h.opts.MaxChannels)
	}
	c := s.joinLocked(h.shareLocked(id))
	if c.remoteJoined {
		return fmt.Errorf("%w: feed %v has %d already", ErrChannelReused, id, c.remote)
	}
	if number == uint64(len(s.remote)) {
		s.remote = append(s.remote, nil)
	}
	s.remote[number] = c
	c.remote, c.remoteJoined = number, true
	return nil
}

// onHaveLocked notes what the remote has.
func (c *channel) onHaveLocked(m *message) error {
	if m.bitfield != nil {
		c.remoteHas = parseBits(m.bitfield)
	}
	for _, n := range m.blocks {
		if n < MaxBlocks {
			c.remoteHas.Add(n, n+1)
		}
	}
	s := c.stream
	s.memory -= c.memory
	c.memory = c.remoteHas.SizeInMemory()
	if s.memory += c.memory; s.memory > s.host.opts.MaxMemory {
		return fmt.Errorf("%w: %d bytes", ErrMemory, s.memory)
	}
	c.fetchLocked()
	return nil
}

// onRequestLocked queues a request.
func (c *channel) onRequestLocked(n uint64) error {
	s, sh := c.stream, c.share
	if !c.opened {
		return nil // we are paused
	}
	if sh.blocks > 0 && n >= sh.blocks || n >= MaxBlocks {
		c.leaveLocked()
		if len(s.leaves) > s.host.opts.MaxChannels {
			return ErrTooManyChannels
		}
		return nil
	}
	if c.waiting.Has(n) {
		return nil
	}
	if s.unanswered++; s.unanswered > s.host.opts.MaxQueued {
		return fmt.Errorf("%w: the most is %d", ErrTooManyRequests, s.host.opts.MaxQueued)
	}
	if sh.present.Has(n) {
		s.asks = append(s.asks, ask{c, n})
		s.poke()
	} else {
		c.waiting.Add(n, n+1)
	}
	return nil
}

// onResponseLocked takes a block for the batch, if it is of use.
func (c *channel) onResponseLocked(m *message, b *batch) {
	s, sh := c.stream, c.share
	solicited := c.requests.Remove(m.block, m.block+1) > 0
	if solicited {
		s.inflight--
		s.answered = time.Now()
	}
	// One that nobody asked for is welcome too, but not if it is of no interest.
	if sh.present != nil && !sh.present.Has(m.block) && (solicited || sh.downloading && m.block < MaxBlocks) {
		b.add(sh, m)
	} else if solicited {
		sh.requesting.Remove(m.block, m.block+1)
	}
	s.poke() // there is room for another request
}
