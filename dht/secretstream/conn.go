package secretstream

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/noise"
)

// Conn is one end of a secret stream. It is a net.Conn whose writes are messages:
// a peer that reads messages gets each Write of up to MaxMessage bytes as one.
//
// All methods may be called from several goroutines. Two goroutines that read, or
// two that write, take turns.
type Conn struct {
	// Constant after New, unless said otherwise.
	raw       io.ReadWriteCloser
	in        deadlineReader // raw, or a pump on it
	initiator bool
	opt       Options
	random    io.Reader
	handshake *noise.Handshake // nil if the keys were given, else of routineRun

	// keys, the ciphers and boxes are set before opened is closed and read only
	// after. (The state of a cipher then belongs to the mutex of its direction.)
	opened chan struct{}
	keys   Keys
	boxes  boxes

	// cause is set before done is closed and read only after.
	done      chan struct{}
	destroyed sync.Once
	cause     error

	closing      chan struct{} // closed when Close or Destroy is called
	closingOnce  sync.Once
	finished     sync.Once      // Close
	finishedWith error          // written by finished
	routines     sync.WaitGroup // of routineRun and routinePump
	wrote        chan struct{}  // closed when routineRun has ended

	readDeadline, writeDeadline deadline
	readDeadlineSet             struct {
		sync.Mutex           // held while a deadline is set, and while opened is closed
		at         time.Time // what readDeadline was set to
	}

	timers              timers
	dropEmpty           atomic.Bool
	rawRead, rawWritten atomic.Uint64

	read  readSide
	write writeSide
}

var _ net.Conn = (*Conn)(nil)

// New starts a secret stream on raw, an ordered stream of bytes to the peer. One
// side is the initiator, the other is not. A nil o means the zero Options.
//
// The Conn owns raw from here on, reads ahead of what its caller has read, and
// closes it. Closing raw must end its pending reads and writes. Methods of raw
// that are used where they exist: CloseWrite() error (without it there is no
// CloseWrite here), SetReadDeadline (else a goroutine reads ahead), LocalAddr and
// RemoteAddr, Flush(context.Context) error, Done() <-chan struct{} with Err() error,
// Destroy() (a Close that is not orderly), and those that Send names. A *udx.Stream
// has them all.
//
// New returns at once, with an error (and raw untouched) only for Options that
// cannot work. The handshake goes on in the background; Handshake waits for it,
// and so do the first read and the first write.
func New(raw io.ReadWriteCloser, initiator bool, o *Options) (*Conn, error) {
	return newConn(raw, initiator, o, rand.Reader)
}

func newConn(raw io.ReadWriteCloser, initiator bool, o *Options, random io.Reader) (*Conn, error) {
	opt, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Conn{
		raw:       raw,
		initiator: initiator,
		opt:       opt,
		random:    random,
		opened:    make(chan struct{}),
		done:      make(chan struct{}),
		closing:   make(chan struct{}),
		wrote:     make(chan struct{}),
	}
	c.timers.born = time.Now()
	c.write.wake = make(chan struct{}, 1)
	c.write.room = make(chan struct{}, 1)
	if opt.Keys == nil {
		if opt.Key == nil {
			if _, opt.Key, err = ed25519.GenerateKey(random); err != nil {
				return nil, err
			}
		}
		c.handshake, err = noise.New(noise.Config{
			Pattern:   noise.Pattern(opt.Pattern),
			Initiator: initiator,
			Key:       opt.Key,
			RemoteKey: opt.RemoteKey,
			Random:    random,
		})
		if err != nil {
			return nil, err
		}
	} else if err := c.open(*opt.Keys); err != nil {
		return nil, err
	}

	if in, ok := raw.(deadlineReader); ok {
		c.in = in
	} else {
		p := newPump(raw, c.done)
		c.in = p
		c.routines.Go(p.routinePump)
	}
	c.read.frames.src = timedReader{c}
	c.dropEmpty.Store(opt.DropEmpty)
	c.SetKeepAlive(opt.KeepAlive)
	c.SetTimeout(opt.Timeout)
	c.routines.Go(c.routineRun)
	return c, nil
}

// routineRun shakes hands if that is to be done, then writes.
func (c *Conn) routineRun() {
	defer close(c.wrote)
	if c.handshake != nil {
		if err := c.shakeHands(); err != nil {
			c.destroy(err)
			return
		}
	}
	c.writeBatches()
}

// Handshake waits until the keys are known. That the peer has proven to know
// them too is certain once something was read.
func (c *Conn) Handshake(ctx context.Context) error {
	if c.isOpen() {
		return nil
	}
	select {
	case <-c.opened:
		return nil
	case <-c.done:
		return c.cause
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitOpen waits for the keys, for a reader or writer.
func (c *Conn) awaitOpen(d *deadline) error {
	if !c.isOpen() {
		select {
		case <-c.opened:
		case <-c.done:
		case <-d.wait():
			return errDeadline
		}
	}
	return c.ended()
}

// ended returns why the stream has ended, nil if it has not.
func (c *Conn) ended() error {
	select {
	case <-c.closing:
		return net.ErrClosed
	default:
	}
	select {
	case <-c.done:
		return c.cause
	default:
		return nil
	}
}

// isOpen says whether the keys are known.
func (c *Conn) isOpen() bool {
	select {
	case <-c.opened:
		return true
	default:
		return false
	}
}

// Initiator says which end this is.
func (c *Conn) Initiator() bool { return c.initiator }

// PublicKey returns the own public key, nil before the handshake. It must not be
// modified.
func (c *Conn) PublicKey() ed25519.PublicKey {
	if !c.isOpen() {
		return nil
	}
	return c.keys.PublicKey
}

// RemotePublicKey returns the public key of the peer, nil before the handshake.
// It must not be modified.
func (c *Conn) RemotePublicKey() ed25519.PublicKey {
	if !c.isOpen() {
		return nil
	}
	return c.keys.RemotePublicKey
}

// HandshakeHash returns what identifies the handshake, the same at both ends and
// unlike any other; it is zero before the handshake.
func (c *Conn) HandshakeHash() [64]byte {
	if !c.isOpen() {
		return [64]byte{}
	}
	return c.keys.Hash
}

// Raw returns the stream that New was given. Reading or writing it breaks the
// secret stream.
func (c *Conn) Raw() io.ReadWriteCloser { return c.raw }

// RawBytesRead returns how many bytes of encrypted messages were received,
// without the lengths of frames, as the original counts.
func (c *Conn) RawBytesRead() uint64 { return c.rawRead.Load() }

// RawBytesWritten returns how many bytes of encrypted messages were written,
// including the lengths of frames, as the original counts.
func (c *Conn) RawBytesWritten() uint64 { return c.rawWritten.Load() }

// LocalAddr returns the raw stream's local address, or an Addr.
func (c *Conn) LocalAddr() net.Addr {
	if a, ok := c.raw.(addressed); ok {
		return a.LocalAddr()
	}
	return Addr{string(c.PublicKey())}
}

// RemoteAddr returns the raw stream's remote address, or an Addr.
func (c *Conn) RemoteAddr() net.Addr {
	if a, ok := c.raw.(addressed); ok {
		return a.RemoteAddr()
	}
	return Addr{string(c.RemotePublicKey())}
}

// SetDeadline sets the deadlines of reads and of writes.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the time at which pending and later reads give up with an
// error that is os.ErrDeadlineExceeded, zero for never. A frame that has arrived
// in part is not lost.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readDeadlineSet.Lock()
	defer c.readDeadlineSet.Unlock()
	if err := c.ended(); err != nil {
		return err
	}
	return c.setReadDeadlineLocked(t)
}

// setReadDeadlineLocked needs c.readDeadlineSet.
func (c *Conn) setReadDeadlineLocked(t time.Time) error {
	c.readDeadline.set(t)
	c.readDeadlineSet.at = t
	if !c.isOpen() {
		return nil // it is the handshake that reads now; open passes the deadline on
	}
	return c.in.SetReadDeadline(t)
}

// SetWriteDeadline sets the time at which pending and later writes give up with
// an error that is os.ErrDeadlineExceeded, zero for never. A message is written
// as a whole or not at all.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if err := c.ended(); err != nil {
		return err
	}
	c.writeDeadline.set(t)
	return nil
}

// Close ends both directions. Reads fail at once. What was written still goes to
// the raw stream, for which Close waits as long as Options.Linger says; if that
// fails the error says so. Then Close ends the sending side of the raw stream,
// gives the peer half a second to end its own if the raw stream is one that needs
// it, and closes the raw stream. Whether the peer has received everything is
// certain only after Flush. Later calls return the same.
func (c *Conn) Close() error {
	c.finished.Do(func() {
		c.startClosing()
		c.finishedWith = c.finish()
		c.end(net.ErrClosed, c.closeRaw)
		c.routines.Wait()
	})
	return c.finishedWith
}

// goodbye is how long Close reads on after the sending side was ended. A TCP
// connection that is closed before everything was read, if only a keep-alive, is
// reset, and with that the peer may lose what it has not read (RFC 1122, section
// 4.2.2.13).
const goodbye = 500 * time.Millisecond

// startClosing makes pending and later calls fail.
func (c *Conn) startClosing() {
	c.readDeadlineSet.Lock()
	defer c.readDeadlineSet.Unlock()
	c.closingOnce.Do(func() { close(c.closing) })
	_ = c.setReadDeadlineLocked(time.Unix(1, 0)) // wakes readers
}

// finish ends a stream in good order, as far as Options.Linger allows.
func (c *Conn) finish() error {
	if !c.isOpen() || c.opt.Linger < 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.opt.Linger)
	defer cancel()
	c.write.Lock()
	c.endWritingLocked()
	c.write.Unlock()
	if err := c.awaitWritten(ctx); err != nil {
		return fmt.Errorf("secretstream: not everything was sent: %w", err)
	}
	if _, ok := c.raw.(destroyer); ok {
		return nil // its Close does the rest
	}
	if _, ok := c.raw.(halfCloser); !ok {
		return nil
	}
	select {
	case <-c.wrote:
		c.readToEnd(time.Now().Add(goodbye))
	case <-c.done:
	case <-ctx.Done():
	}
	return nil
}

// Destroy ends both directions at once and drops what was not sent, also if a
// Close is waiting for it. Where the raw stream has a Destroy method, that is
// called in place of its Close.
func (c *Conn) Destroy() {
	c.startClosing()
	c.destroy(net.ErrClosed)
	c.routines.Wait()
}

// destroy ends both directions because of cause, without waiting for anything.
func (c *Conn) destroy(cause error) {
	if d, ok := c.raw.(destroyer); ok {
		c.end(cause, d.Destroy)
	} else {
		c.end(cause, c.closeRaw)
	}
}

// end records the cause of the end, if it is the first, and ends the raw stream.
func (c *Conn) end(cause error, endRaw func()) {
	c.destroyed.Do(func() {
		c.cause = cause
		close(c.done)
		c.timers.stop()
		endRaw()
	})
}

// closeRaw closes the raw stream. What its failure could mean for the caller is in
// the errors of its reads and writes.
func (c *Conn) closeRaw() { _ = c.raw.Close() }
