package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-feeds/cairn/replicate/noise"
	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

// A Session is one connection to a remote and the feeds on it. The methods may be
// called from any goroutine, but Wait not from an event.
//
// A reading goroutine does the handshake, decodes what comes and changes the
// state of peers; a writing one asks them in turn what they have to send. Neither
// works ahead of the other side: reading stops while too much waits for the disk or
// to be sent, and what is large is only made when there is room to write it.
type Session struct {
	host      *Host
	stream    io.ReadWriteCloser
	initiator bool
	total     counters

	ctx    context.Context // ends with the session
	cancel context.CancelCauseFunc
	ready  chan struct{} // closed after the handshake
	done   chan struct{} // closed when everything has ended
	eof    chan struct{} // closed by the reader when the remote has left in order
	writer sync.WaitGroup

	transport *noise.Transport // set before ready is closed

	heard    atomic.Int64 // when bytes came last, in nanoseconds since 1970
	wrote    atomic.Int64 // when a write ended last
	writing  atomic.Int64 // when the write under way began, 0 without
	uploads  atomic.Int64 // requests of the remote that wait
	holdings atomic.Int64 // memory of what is known of the remote's blocks

	wake chan struct{} // holds a token when the writer has something to do

	mu struct {
		sync.Mutex
		err      error // why the session ended; nil in order
		over     bool  // err is final
		ending   bool  // our half ends when everything is written
		wrote    bool  // our half has ended
		holds    int   // see Hold
		opened   bool  // the handshake is done and feeds may be opened
		control  []byte
		pinging  bool
		waiting  int // bytes of data on their way to the disk
		turns    []*Peer
		channels channels
	}
	room *sync.Cond // of mu: control or waiting got smaller, or the session is over

	extensions extensionSet  // of the stream
	offered    extensionSent // what we said about them last
	theirs     []string      // the reader's: what the remote said last

	events eventQueue
	decode decoders // the reader's
}

func newSession(h *Host, stream io.ReadWriteCloser, initiator bool) *Session {
	s := &Session{host: h, stream: stream, initiator: initiator}
	s.ctx, s.cancel = context.WithCancelCause(h.ctx)
	s.ready = make(chan struct{})
	s.done = make(chan struct{})
	s.eof = make(chan struct{})
	s.wake = make(chan struct{}, 1)
	s.room = sync.NewCond(&s.mu)
	s.mu.channels.init()
	s.heard.Store(time.Now().UnixNano())
	return s
}

// Wait waits until the session has ended and everything of it is gone, and says
// why: nil after an end in order, see Host.Serve.
func (s *Session) Wait() error {
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.err
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Close ends the session at once, with reason, or ErrClosed if that is nil. It does
// not wait.
func (s *Session) Close(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	s.fail(reason)
}

// Ready is closed when the handshake is done.
func (s *Session) Ready() <-chan struct{} { return s.ready }

// Initiator says whether our side opened the connection.
func (s *Session) Initiator() bool { return s.initiator }

// RemotePublicKey returns the static key of the remote, if it has one and the
// handshake is done.
func (s *Session) RemotePublicKey() (key noise.PublicKey, ok bool) {
	if t := s.secured(); t != nil {
		return t.RemotePublicKey()
	}
	return noise.PublicKey{}, false
}

// HandshakeHash returns what only the two sides of this connection know, if there is
// such a thing and the handshake is done.
func (s *Session) HandshakeHash() (hash [64]byte, ok bool) {
	if t := s.secured(); t != nil {
		return t.HandshakeHash()
	}
	return hash, false
}

func (s *Session) secured() *noise.Transport {
	select {
	case <-s.ready:
		return s.transport
	default:
		return nil
	}
}

// Stats returns what was exchanged on the session.
func (s *Session) Stats() Stats { return s.total.stats() }

// fail ends the session; the first reason counts. Nil is an end in order.
func (s *Session) fail(err error) {
	s.mu.Lock()
	if s.mu.over {
		s.mu.Unlock()
		return
	}
	s.mu.over = true
	s.mu.err = err
	s.room.Broadcast()
	s.mu.Unlock()
	s.cancel(err)
	s.stream.Close() // wakes reader and writer; what it says cannot help any more
	s.kick()
}

// reason is why the session ended.
func (s *Session) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.err == nil {
		return ErrComplete
	}
	return s.mu.err
}

// kick wakes the writer.
func (s *Session) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// routineRead is the session: handshake, then message after message, then the end.
func (s *Session) routineRead(ctx context.Context) {
	defer close(s.done)
	stop := context.AfterFunc(ctx, func() { s.fail(context.Cause(ctx)) })
	log := s.host.opts.Logger
	log.Info("session begins", "initiator", s.initiator)
	if f := s.host.opts.Events.Session; f != nil {
		f(s)
	}
	s.fail(s.run())
	s.writer.Wait()
	s.detachAll()
	s.events.wait()
	stop()
	s.host.left(s)
	s.mu.Lock()
	err := s.mu.err
	s.mu.Unlock()
	log.Info("session ended", "initiator", s.initiator, "err", err)
}

// run returns why the session ends, nil for an end in order.
func (s *Session) run() error {
	frames, err := s.shake()
	s.host.shook(s)
	if err != nil {
		return err
	}
	s.writer.Go(s.routineWrite)
	close(s.ready)
	if f := s.host.opts.Events.Handshake; f != nil {
		f(s)
	}
	s.openWaiting()
	r := wire.NewReader(frames)
	for {
		f, err := r.Next()
		if err != nil {
			return s.ended(err)
		}
		if err := s.handle(f, r); err != nil {
			return err
		}
		if err := s.waitForRoom(); err != nil {
			return err
		}
	}
}

// shake does the handshake and returns the decrypted stream.
func (s *Session) shake() (io.Reader, error) {
	o := &s.host.opts
	hs, err := noise.NewHandshake(noise.Config{
		Initiator: s.initiator, Mode: o.Mode, KeyPair: o.KeyPair, Authenticate: o.Authenticate,
	})
	if err != nil {
		return nil, err
	}
	t, frames, err := hs.Run(&timedStream{s})
	if err != nil {
		return nil, err
	}
	s.transport = t
	return frames, nil
}

// timedStream notes when bytes come and how long writes take.
type timedStream struct{ s *Session }

// Read implements io.Reader.
func (t *timedStream) Read(p []byte) (int, error) {
	n, err := t.s.stream.Read(p)
	if n > 0 {
		t.s.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

// Write implements io.Writer.
func (t *timedStream) Write(p []byte) (int, error) {
	t.s.writing.Store(time.Now().UnixNano())
	n, err := t.s.stream.Write(p)
	t.s.writing.Store(0)
	t.s.wrote.Store(time.Now().UnixNano())
	return n, err
}

// ended translates the end of the stream. A remote that leaves between two frames
// when no feed is open, or after we have said that we are done, leaves in order.
func (s *Session) ended(err error) error {
	s.mu.Lock()
	inOrder := s.mu.ending || s.mu.channels.none()
	over := s.mu.over
	s.mu.Unlock()
	switch {
	case over:
		return err // the reason is there already
	case errors.Is(err, io.EOF) && inOrder:
		// The remote may still read: say what there is to say.
		close(s.eof)
		s.end()
		s.writer.Wait()
		return nil
	case errors.Is(err, io.EOF):
		return ErrEnded
	default:
		return fmt.Errorf("replicate: reading: %w", err)
	}
}

// end makes the writer end our half when all is written.
func (s *Session) end() {
	s.mu.Lock()
	s.mu.ending = true
	s.mu.Unlock()
	s.kick()
}

// waitForRoom stops reading while too much waits for the disk or the remote.
func (s *Session) waitForRoom() error {
	l := &s.host.opts.Limits
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.mu.over && (s.mu.waiting > l.Buffered || len(s.mu.control) > l.Output) {
		s.room.Wait()
		s.heard.Store(time.Now().UnixNano()) // it was us who did not listen
	}
	if s.mu.over {
		return s.mu.err
	}
	return nil
}

// take counts bytes that wait for the disk, drop takes them back.
func (s *Session) take(n int) {
	s.mu.Lock()
	s.mu.waiting += n
	s.mu.Unlock()
}

func (s *Session) drop(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.waiting -= n
	s.room.Broadcast()
}

// tick is called by the clock of the host.
func (s *Session) tick(now time.Time) {
	timeout := s.host.opts.Timeout
	if timeout <= 0 {
		return
	}
	at := now.UnixNano()
	begun := s.writing.Load()
	switch {
	case at-s.heard.Load() >= int64(timeout) && !s.full():
		s.fail(ErrTimeout)
	case begun != 0 && at-begun >= int64(timeout):
		s.fail(ErrStalled)
	case begun == 0 && s.secured() != nil && at-s.wrote.Load() >= int64((timeout+1)/2):
		s.mu.Lock()
		s.mu.pinging = true
		s.mu.Unlock()
		s.kick()
	}
}

// full says whether we are the ones who do not read.
func (s *Session) full() bool {
	l := &s.host.opts.Limits
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.waiting > l.Buffered || len(s.mu.control) > l.Output
}

// decoders are the messages that the reader decodes into.
type decoders struct {
	open      wire.Open
	options   wire.Options
	status    wire.Status
	have      wire.Have
	unhave    wire.Unhave
	want      wire.Want
	request   wire.Request
	cancel    wire.Cancel
	data      wire.Data
	close     wire.Close
	extension wire.Extension

	nodes []tree.Node  // free memory for the proofs of data that is kept
	kept  *wire.Buffer // what the last kept data is in
}
