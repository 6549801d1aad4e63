package secretstream

import (
	"errors"
	"io"
	"sync"
	"time"
)

// deadline turns a point in time into a channel.
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	passed chan struct{} // closed once the deadline has passed
}

// set moves the deadline; the zero time removes it.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	// A timer that cannot be stopped closes the channel that it was made for.
	if d.timer != nil && !d.timer.Stop() {
		<-d.passed
	}
	d.timer = nil
	select {
	case <-d.passed:
		d.passed = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	passed := d.passed
	if in := time.Until(t); in > 0 {
		d.timer = time.AfterFunc(in, func() { close(passed) })
	} else {
		close(passed)
	}
}

// wait returns a channel that is closed when the deadline passes. A call of set
// may replace it; a waiter that should notice must wait anew.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	return d.passed
}

// deadlineReader is what reading from the raw stream needs.
type deadlineReader interface {
	io.Reader
	SetReadDeadline(t time.Time) error
}

// pump gives a reader deadlines: a goroutine reads on behalf of the caller, who
// can leave and come back later for what was read.
type pump struct {
	src  io.Reader
	done <-chan struct{} // closed when nobody reads any more
	deadline

	want chan struct{}
	got  chan pumped

	// Owned by the reader.
	asked bool // want was sent, got not received
	last  pumped

	buf []byte // owned by the goroutine between want and got, else by the reader
}

type pumped struct {
	b   []byte
	err error
}

const pumpBuffer = 32 << 10

func newPump(src io.Reader, done <-chan struct{}) *pump {
	return &pump{src: src, done: done, want: make(chan struct{}, 1), got: make(chan pumped, 1)}
}

// routinePump runs until done is closed. Closing src must end its Read.
func (p *pump) routinePump() {
	p.buf = make([]byte, pumpBuffer)
	for {
		select {
		case <-p.want:
			n, err := p.src.Read(p.buf)
			p.got <- pumped{p.buf[:n], err}
		case <-p.done:
			return
		}
	}
}

func (p *pump) SetReadDeadline(t time.Time) error {
	p.set(t)
	return nil
}

var errStopped = errors.New("secretstream: reader stopped")

func (p *pump) Read(b []byte) (int, error) {
	if len(p.last.b) == 0 {
		if err := p.last.err; err != nil {
			return 0, err
		}
		if !p.asked {
			p.want <- struct{}{}
			p.asked = true
		}
		passed := p.wait()
		select {
		case <-passed:
			return 0, errDeadline
		default:
		}
		select {
		case p.last = <-p.got:
			p.asked = false
		case <-passed:
			return 0, errDeadline
		case <-p.done:
			return 0, errStopped
		}
	}
	if len(p.last.b) == 0 {
		return 0, p.last.err
	}
	n := copy(b, p.last.b)
	p.last.b = p.last.b[n:]
	return n, nil
}
