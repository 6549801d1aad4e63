package secretstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Writing takes two goroutines. The writer encrypts its message into a batch of
// frames and leaves. routineRun hands the raw stream one batch after the other, so
// that all messages written in the meantime go in one call. A writer waits only
// while the next batch is full.
//
// Batches come from a pool: a stream that has nothing to send holds no memory for
// it.

const (
	// batchFull is the length from which a batch takes no further message. Two
	// batches of that length and a message each are the most that a stream holds.
	batchFull = 256 << 10
	// batchStart is the capacity of a new batch.
	batchStart = 4 << 10
	// batchKeep is the largest capacity that goes back to the pool.
	batchKeep = 2 << 20
)

// batch is frames after headroom bytes.
type batch struct {
	b        []byte
	messages uint64 // of the caller, in b
}

var batches = sync.Pool{New: func() any { return &batch{b: make([]byte, headroom, batchStart)} }}

// writeSide is the sending direction.
type writeSide struct {
	sync.Mutex
	tx      cipherState
	next    *batch // nil when there is nothing to send
	waiting int    // writers that wait for room

	queued   uint64        // messages of the caller ever put in a batch
	written  uint64        // of those, taken by the raw stream
	progress chan struct{} // made by who waits for written or err to change, closed when one does

	ended bool  // no more messages
	err   error // why a batch was not written

	wake chan struct{} // tells routineRun that something has changed
	room chan struct{} // tells one of the waiting that a batch was taken
}

// Write writes b as one message, or as several where b is longer than MaxMessage.
// It returns when the last is encrypted and queued, which is before the raw stream
// has it: a later Write, Flush or Close reports what became of it. It waits while
// about 256 KiB are queued. An empty b does nothing.
func (c *Conn) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		message := b[:min(len(b), MaxMessage)]
		if err := c.WriteMessage(message); err != nil {
			return n, err
		}
		n += len(message)
		b = b[len(message):]
	}
	return n, nil
}

// WriteMessage writes one message, which may be empty, as Write does. One of more
// than MaxMessage bytes is refused with ErrTooLarge.
func (c *Conn) WriteMessage(message []byte) error {
	if len(message) > MaxMessage {
		return fmt.Errorf("%w: %d bytes, at most %d fit in a frame", ErrTooLarge, len(message), MaxMessage)
	}
	if err := c.awaitOpen(&c.writeDeadline); err != nil {
		return err
	}
	w := &c.write
	w.Lock()
	defer w.Unlock()
	for {
		if err := c.writableLocked(); err != nil {
			return err
		}
		passed := c.writeDeadline.wait()
		select {
		case <-passed:
			return errDeadline
		default:
		}
		if !w.fullLocked() {
			break
		}
		w.waiting++
		w.Unlock()
		select {
		case <-w.room:
		case <-passed:
		case <-c.wrote:
		case <-c.closing:
		case <-c.done:
		}
		w.Lock()
		w.waiting--
	}
	c.queueMessageLocked(message)
	w.queued++
	w.next.messages++
	if w.waiting > 0 && !w.fullLocked() {
		signal(w.room) // room was told to one of them alone
	}
	return nil
}

func (w *writeSide) fullLocked() bool { return w.next != nil && len(w.next.b) >= batchFull }

// writableLocked says why nothing can be written.
func (c *Conn) writableLocked() error {
	switch err := c.ended(); {
	case err != nil:
		return err
	case c.write.err != nil:
		return c.write.err
	case c.write.ended:
		return io.ErrClosedPipe
	}
	return nil
}

func (c *Conn) queueMessageLocked(message []byte) {
	c.queueLocked(func(b []byte) []byte { return appendMessage(b, &c.write.tx, message) })
	c.rawWritten.Add(uint64(lengthSize + overhead + len(message)))
}

// queueLocked has add append to the next batch.
func (c *Conn) queueLocked(add func([]byte) []byte) {
	w := &c.write
	if w.next == nil {
		w.next = batches.Get().(*batch)
	}
	w.next.b = add(w.next.b)
	signal(w.wake)
}

// signal leaves a note on a channel of capacity one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// writeBatches gives the raw stream what is queued until the direction ends, and
// an empty message whenever there was nothing for a time.
func (c *Conn) writeBatches() {
	var keepAlive time.Duration // what silence is set to, zero if it is stopped
	silence := time.NewTimer(time.Hour)
	silence.Stop()
	defer silence.Stop()
	var over <-chan struct{}
	if m, ok := c.raw.(mortal); ok {
		over = m.Done()
	}
	for {
		if k := time.Duration(c.timers.keepAlive.Load()); k != keepAlive {
			keepAlive = k
			restart(silence, keepAlive)
		}
		b, ended := c.take()
		switch {
		case b != nil:
			n, err := c.raw.Write(b.b[headroom:])
			if err == nil && n < len(b.b)-headroom {
				err = io.ErrShortWrite
			}
			if c.gave(b, err); err != nil {
				return
			}
			restart(silence, keepAlive)
		case ended:
			if h, ok := c.raw.(halfCloser); ok {
				_ = h.CloseWrite() // fails if the peer is gone, which reading tells
			}
			return
		default:
			select {
			case <-c.write.wake:
			case <-silence.C:
				c.write.Lock()
				c.queueMessageLocked(nil)
				c.write.Unlock()
			case <-over:
				// Without this, a stream that nobody uses any more would stay for ever.
				c.write.Lock()
				if c.write.err = c.raw.(mortal).Err(); c.write.err == nil {
					c.write.err = io.ErrClosedPipe
				}
				c.write.Unlock()
				return
			case <-c.done:
				return
			}
		}
	}
}

// restart makes t fire after d, or never if d is zero.
func restart(t *time.Timer, d time.Duration) {
	if d > 0 {
		t.Reset(d)
	} else {
		t.Stop()
	}
}

// take returns the next batch, or nil and whether none will come.
func (c *Conn) take() (*batch, bool) {
	w := &c.write
	w.Lock()
	defer w.Unlock()
	b := w.next
	w.next = nil
	if w.waiting > 0 {
		signal(w.room)
	}
	return b, w.ended
}

// gave notes that the raw stream has taken b, or has not.
func (c *Conn) gave(b *batch, err error) {
	w := &c.write
	w.Lock()
	defer w.Unlock()
	if w.progress != nil {
		close(w.progress)
		w.progress = nil
	}
	if err != nil {
		w.err = err
		return
	}
	w.written += b.messages
	if cap(b.b) <= batchKeep {
		b.b, b.messages = b.b[:headroom], 0
		batches.Put(b)
	}
}

// CloseWrite ends the sending direction after what was written, without waiting
// for that to be sent. The peer reads io.EOF; it can go on writing. Keep-alives
// stop. The error is errors.ErrUnsupported when the raw stream has no CloseWrite.
func (c *Conn) CloseWrite() error {
	if _, ok := c.raw.(halfCloser); !ok {
		return fmt.Errorf("secretstream: half-close of a %T: %w", c.raw, errors.ErrUnsupported)
	}
	if err := c.awaitOpen(&c.writeDeadline); err != nil {
		return err
	}
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.writableLocked(); err != nil {
		return err
	}
	c.endWritingLocked()
	return nil
}

// endWritingLocked has writeBatches stop after what is queued.
func (c *Conn) endWritingLocked() {
	c.write.ended = true
	signal(c.write.wake)
}

// Flush waits until the raw stream has taken all that was written. Where it has a
// method Flush(context.Context) error, as UDX streams have, it waits for that too:
// then the peer's end has acknowledged everything.
func (c *Conn) Flush(ctx context.Context) error {
	if err := c.Handshake(ctx); err != nil {
		return err
	}
	if err := c.awaitWritten(ctx); err != nil {
		return err
	}
	if f, ok := c.raw.(flusher); ok {
		return f.Flush(ctx)
	}
	return nil
}

// awaitWritten waits until the raw stream has taken what is queued now.
func (c *Conn) awaitWritten(ctx context.Context) error {
	w := &c.write
	w.Lock()
	defer w.Unlock()
	for target := w.queued; w.written < target; {
		if w.err != nil {
			return w.err
		}
		if w.progress == nil {
			w.progress = make(chan struct{})
		}
		progress := w.progress
		w.Unlock()
		var err error
		select {
		case <-progress:
		case <-c.done:
			err = c.cause
		case <-ctx.Done():
			err = ctx.Err()
		}
		w.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}
