package secretstream

import (
	"sync"
	"sync/atomic"
	"time"
)

// timers watch for silence: keep-alives, which writeBatches sends, and the
// timeout of reads.
type timers struct {
	keepAlive atomic.Int64 // a time.Duration, zero if off

	born time.Time
	// reading is when the read of the raw stream began that is waiting now, in
	// nanoseconds since born and at least 1; zero while none is.
	reading atomic.Int64

	mu struct {
		sync.Mutex
		timeout time.Duration // zero if off
		expiry  *time.Timer   // runs checkTimeout while there is a timeout
		stopped bool
	}
}

func (t *timers) readBegins() { t.reading.Store(int64(max(1, time.Since(t.born)))) }

func (t *timers) readEnds() { t.reading.Store(0) }

func (t *timers) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.stopped = true
	if t.mu.expiry != nil {
		t.mu.expiry.Stop()
	}
}

// SetKeepAlive changes Options.KeepAlive; zero or less turns it off. Empty
// messages stay undelivered once there was one.
func (c *Conn) SetKeepAlive(d time.Duration) {
	if d > 0 {
		c.dropEmpty.Store(true)
	}
	c.timers.keepAlive.Store(int64(max(0, d)))
	signal(c.write.wake)
}

// SetTimeout changes Options.Timeout and counts from now; zero or less turns it
// off.
func (c *Conn) SetTimeout(d time.Duration) {
	t := &c.timers
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.timeout = max(0, d)
	switch {
	case t.mu.stopped:
	case t.mu.expiry != nil:
		restart(t.mu.expiry, t.mu.timeout)
	case t.mu.timeout > 0:
		t.mu.expiry = time.AfterFunc(t.mu.timeout, c.checkTimeout)
	}
}

// checkTimeout ends the stream if a read has waited for the whole timeout, else
// it comes back when that could be. While nobody reads, what the peer has sent is
// not known.
func (c *Conn) checkTimeout() {
	t := &c.timers
	t.mu.Lock()
	wait := t.mu.timeout
	if t.mu.stopped || wait == 0 {
		t.mu.Unlock()
		return
	}
	if began := t.reading.Load(); began != 0 {
		wait -= time.Since(t.born) - time.Duration(began)
	}
	if wait > 0 {
		t.mu.expiry.Reset(wait)
	}
	t.mu.Unlock()
	if wait <= 0 {
		c.destroy(ErrTimeout)
	}
}
