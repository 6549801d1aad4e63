package protocol

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// pair is two streams and a network between them, in virtual time.
type pair struct {
	t     fatal
	now   time.Duration
	end   [2]*Stream
	queue []transit
	delay time.Duration
	// fate says what becomes of a packet from end i: how long it takes beyond the
	// delay, negative for lost. nil delivers everything.
	fate func(i int, p wire.Packet, b []byte) time.Duration
	sent [2]int // packets
}

// fatal is what a testing.TB and a rapid.T have in common.
type fatal interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

type transit struct {
	at time.Duration
	to int
	b  []byte
}

func config() Config {
	return Config{ReceiveBuffer: 4 << 20, MaxMTU: MaxMTU, Linger: 15 * time.Second, Seed: 1}
}

func newPair(t fatal, delay time.Duration) *pair {
	n := &pair{t: t, now: time.Second, delay: delay, end: [2]*Stream{New(config()), New(config())}}
	for i, s := range n.end {
		s.Connect(n.now, Path{RemoteID: uint32(2 - i), Overhead: 28}, 0)
	}
	return n
}

// flush sends whatever the streams want to send.
func (n *pair) flush() {
	for i, s := range n.end {
		for {
			b, path := s.Poll(n.now, make([]byte, 0, MaxDatagram))
			if path == nil {
				break
			}
			p, err := wire.Parse(b)
			if err != nil {
				n.t.Fatalf("stream %d sent garbage: %v", i, err)
			}
			if len(b) > MaxDatagram {
				n.t.Fatalf("stream %d sent %d bytes", i, len(b))
			}
			n.sent[i]++
			var extra time.Duration
			if n.fate != nil {
				extra = n.fate(i, p, b)
			}
			if extra >= 0 {
				n.queue = append(n.queue, transit{n.now + n.delay + extra, 1 - i, b})
			}
		}
	}
}

// step advances to whatever comes next and reports false when nothing will before
// the time until.
func (n *pair) step(until time.Duration) bool {
	n.flush()
	next := time.Duration(0)
	for _, q := range n.queue {
		if next == 0 || q.at < next {
			next = q.at
		}
	}
	for _, s := range n.end {
		if d := s.Deadline(); d != 0 && (next == 0 || d < next) {
			next = d
		}
	}
	if next == 0 || next > until {
		n.now = until
		return false
	}
	n.now = max(n.now, next)
	keep := n.queue[:0]
	for _, q := range n.queue {
		if q.at > n.now {
			keep = append(keep, q)
			continue
		}
		p, err := wire.Parse(q.b)
		if err != nil {
			n.t.Fatal(err)
		}
		n.end[q.to].Receive(n.now, &p)
	}
	n.queue = keep
	for i, s := range n.end {
		if d := s.Deadline(); d != 0 && d <= n.now {
			s.Tick(n.now)
		}
		if err := s.check(); err != nil {
			n.t.Fatalf("end %d at %v: %v", i, n.now, err)
		}
	}
	return true
}

// run steps until done, or until a time, and reports whether it is done.
func (n *pair) run(until time.Duration, done func() bool) bool {
	for !done() {
		if !n.step(until) {
			return done()
		}
	}
	return true
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// transfer writes data on end 0 and reads it on end 1, both to a clean end.
func transfer(t fatal, n *pair, data []byte, limit time.Duration) {
	t.Helper()
	var got []byte
	rest := data
	buf := make([]byte, 64<<10)
	done := n.run(limit, func() bool {
		rest = rest[n.end[0].Write(n.now, rest):]
		if len(rest) == 0 {
			n.end[0].CloseWrite(n.now)
		}
		for {
			k := n.end[1].Read(buf)
			if k == 0 {
				break
			}
			got = append(got, buf[:k]...)
		}
		if n.end[1].EOF() {
			n.end[1].CloseWrite(n.now)
		}
		a, _ := n.end[0].Closed()
		b, _ := n.end[1].Closed()
		return a && b
	})
	if !bytes.Equal(got, data) {
		t.Fatalf("received %d bytes, want %d (equal so far: %v)", len(got), len(data), bytes.HasPrefix(data, got))
	}
	if !done {
		t.Errorf("not done at %v", n.now)
	}
	// The end whose last acknowledgement gets lost learns nothing: that is what the
	// owner's memory of finished streams is for.
	for i, s := range n.end {
		if _, err := s.Closed(); err != nil && !(errors.Is(err, ErrTimedOut) && s.EOF() && s.endSent) {
			t.Errorf("end %d closed with %v", i, err)
		}
	}
}
