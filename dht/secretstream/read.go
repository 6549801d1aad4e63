package secretstream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// readSide is the receiving direction. Its reader holds the lock while it waits
// for the raw stream.
type readSide struct {
	sync.Mutex
	frames  frameReader // of routineRun until the stream is open
	rx      cipherState
	header  bool   // the peer's header was received, rx is ready
	message []byte // what Read has not returned of a message, in the buffer of frames
	err     error  // what ended this direction: io.EOF, io.ErrUnexpectedEOF
}

// Read reads the bytes of messages into b, at most one message at a time; empty
// messages are passed over. The error is io.EOF after the peer has ended its side.
// That end is not authenticated: what is read must say itself where it ends, or an
// attacker could cut it short between messages.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, c.ended()
	}
	c.read.Lock()
	defer c.read.Unlock()
	for len(c.read.message) == 0 {
		message, err := c.nextMessage()
		if err != nil {
			return 0, err
		}
		c.read.message = message
	}
	n := copy(b, c.read.message)
	c.read.message = c.read.message[n:]
	return n, nil
}

// ReadMessage returns the next message, or what Read has left of one. An empty
// message is an empty slice, not nil. The bytes are valid until the next read and
// may be modified.
func (c *Conn) ReadMessage() ([]byte, error) {
	c.read.Lock()
	defer c.read.Unlock()
	if message := c.read.message; len(message) > 0 {
		c.read.message = nil
		return message, nil
	}
	return c.nextMessage()
}

// WriteTo writes every message to w with a Write of its own, until the peer has
// ended its side.
func (c *Conn) WriteTo(w io.Writer) (n int64, err error) {
	for {
		message, err := c.ReadMessage()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		m, err := w.Write(message)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
}

// nextMessage reads and opens the next frame; c.read must be locked. What it
// returns is in the buffer of c.read.frames.
func (c *Conn) nextMessage() ([]byte, error) {
	if err := c.awaitOpen(&c.readDeadline); err != nil {
		return nil, err
	}
	r := &c.read
	if r.err != nil {
		return nil, r.err
	}
	if !r.header {
		if err := c.receiveHeader(); err != nil {
			return nil, c.readFailed(err)
		}
	}
	for {
		region, err := r.frames.next(overhead + c.opt.MaxMessage)
		if err != nil {
			return nil, c.readFailed(err)
		}
		size := len(region) - scratch
		if size < overhead {
			return nil, c.readFailed(fmt.Errorf("%w: %d bytes, expected at least %d", ErrFrame, size, overhead))
		}
		if _, err := r.rx.open(region); err != nil {
			return nil, c.readFailed(err)
		}
		c.rawRead.Add(uint64(size))
		message := region[blockSize : len(region)-macSize]
		if len(message) == 0 && c.dropEmpty.Load() {
			r.frames.rest() // the peer has nothing to say
			continue
		}
		return message, nil
	}
}

// readFailed decides what an error means for the stream and returns what the
// reader is told.
func (c *Conn) readFailed(err error) error {
	if ended := c.ended(); ended != nil {
		return ended
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		c.read.err = err
		return err
	}
	c.destroy(err)
	return c.cause
}

// readToEnd discards what the peer sends until it ends or the time has come. The
// stream is closing, so that nobody else reads for long.
func (c *Conn) readToEnd(until time.Time) {
	c.read.Lock()
	defer c.read.Unlock()
	if c.read.err != nil || c.in.SetReadDeadline(until) != nil {
		return
	}
	for buf := make([]byte, minReadBuffer); ; {
		if _, err := c.in.Read(buf); err != nil {
			return
		}
	}
}

// timedReader reads from the raw stream and notes since when.
type timedReader struct{ c *Conn }

func (t timedReader) Read(b []byte) (int, error) {
	t.c.timers.readBegins()
	defer t.c.timers.readEnds()
	return t.c.in.Read(b)
}
