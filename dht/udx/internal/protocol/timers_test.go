package protocol

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// schedule records, in milliseconds since the start, when end 0 sends packets
// with any of the flags.
func schedule(n *pair, flags wire.Flags, deliver bool) *[]int {
	var at []int
	n.fate = func(i int, p wire.Packet, _ []byte) time.Duration {
		if i == 0 && p.Flags.Has(flags) {
			at = append(at, int((n.now-time.Second)/time.Millisecond))
		}
		if deliver {
			return 0
		}
		return -1
	}
	return &at
}

// Nobody answers: the reference was seen to send at 0, 1, 3, 5, 7, 9 and 11 s and
// to give up after 13 s. We add up to a quarter of a second to each but the first.
func TestBlackHole(t *testing.T) {
	n := newPair(t, 0)
	at := schedule(n, wire.Data, false)
	n.end[0].Write(n.now, []byte("anybody?"))
	if !n.run(time.Minute, func() bool { closed, _ := n.end[0].Closed(); return closed }) {
		t.Fatal("it never gave up")
	}
	if _, err := n.end[0].Closed(); !errors.Is(err, ErrTimedOut) {
		t.Errorf("closed with %v", err)
	}
	sent := append(*at, int((n.now-time.Second)/time.Millisecond))
	if len(sent) != 8 || sent[0] != 0 || sent[1] != 1000 {
		t.Fatalf("sent, and gave up, at %v", sent)
	}
	for i := 2; i < len(sent); i++ {
		if d := sent[i] - sent[i-1]; d < 2000 || d > 2251 {
			t.Errorf("sent, and gave up, at %v", sent)
		}
	}
}

// The last acknowledgement of a clean end gets lost, and the remote forgets the
// stream: that is a clean end as well. Data that was not acked is another matter.
func TestLastAckLost(t *testing.T) {
	for _, tc := range []struct {
		text string
		err  error
	}{{"", nil}, {"data", ErrTimedOut}} {
		n := newPair(t, 0)
		n.end[1].CloseWrite(n.now)
		n.run(n.now+time.Second, func() bool { return n.end[0].EOF() })
		n.run(n.now+time.Second, func() bool { return false })
		n.fate = func(int, wire.Packet, []byte) time.Duration { return -1 }
		n.end[0].Write(n.now, []byte(tc.text))
		n.end[0].CloseWrite(n.now)
		n.run(n.now+time.Minute, func() bool { closed, _ := n.end[0].Closed(); return closed })
		if closed, err := n.end[0].Closed(); !closed || !errors.Is(err, tc.err) {
			t.Errorf("with %q outstanding: closed %v, %v; want %v", tc.text, closed, err, tc.err)
		}
	}
}

// A closed window is probed for ever, and a stream that waits for it lives.
func TestZeroWindow(t *testing.T) {
	n := newPair(t, 0)
	s := n.end[0]
	s.Receive(n.now, &wire.Packet{Header: wire.Header{Window: 0}})
	at := schedule(n, wire.Heartbeat|wire.Data, false)
	s.Write(n.now, []byte("let me in"))
	n.run(8*time.Second, func() bool { return false })
	if want := []int{0, 1000, 3000, 5000, 7000}; !slices.Equal(*at, want) {
		t.Errorf("heartbeats at %v, want %v", *at, want)
	}
	if closed, err := s.Closed(); closed {
		t.Errorf("closed with %v", err)
	}
	s.Receive(n.now, &wire.Packet{Header: wire.Header{Window: 1}})
	n.flush()
	if len(*at) != 6 || s.Unacked() == 0 || s.unsentBytes() != 0 {
		t.Errorf("an open window let nothing out: sent at %v", *at)
	}
}

func TestKeepAlive(t *testing.T) {
	n := newPair(t, 5*time.Millisecond)
	at := schedule(n, wire.Heartbeat|wire.Data, true)
	n.end[0].SetKeepAlive(n.now, 100*time.Millisecond)
	n.run(n.now+250*time.Millisecond, func() bool { return false })
	n.end[0].Write(n.now, []byte("not idle")) // at 250
	n.run(n.now+250*time.Millisecond, func() bool { return false })
	if want := []int{100, 200, 250, 360, 460}; !slices.Equal(*at, want) {
		t.Errorf("sent at %v, want %v", *at, want)
	}
	n.end[0].SetKeepAlive(n.now, 0)
	if d := n.end[0].Deadline(); d != 0 {
		t.Errorf("a timer is left: %v", d)
	}
}

// An abandoned stream ends by itself: in an orderly way when the remote ends as
// well, else with a DESTROY.
func TestAbandon(t *testing.T) {
	for _, remoteEnds := range []bool{true, false} {
		n := newPair(t, 10*time.Millisecond)
		n.end[0].Write(n.now, []byte("the last words"))
		n.end[1].Write(n.now, []byte("nobody reads this"))
		n.end[0].Abandon(n.now)
		n.run(n.now+100*time.Millisecond, func() bool { return false })
		if got := n.end[0].Buffered(); got != 0 {
			t.Errorf("%d bytes are kept for nobody", got)
		}
		if got := n.end[1].Buffered(); got != 14 || !n.end[1].EOF() {
			t.Errorf("the remote got %d bytes, EOF %v", got, n.end[1].EOF())
		}
		n.end[1].Write(n.now, []byte("nor this")) // acknowledged all the same
		if remoteEnds {
			n.end[1].CloseWrite(n.now)
		}
		n.run(n.now+20*time.Second, func() bool { c, _ := n.end[1].Closed(); return c })
		_, err0 := n.end[0].Closed()
		_, err1 := n.end[1].Closed()
		if err0 != nil || remoteEnds && err1 != nil || !remoteEnds && !errors.Is(err1, ErrReset) {
			t.Errorf("remote ends %v: closed with %v and %v", remoteEnds, err0, err1)
		}
		if waited := n.now - time.Second; remoteEnds == (waited > 10*time.Second) {
			t.Errorf("remote ends %v: it took %v", remoteEnds, waited)
		}
	}
}

func TestRTTEstimator(t *testing.T) {
	ms := time.Millisecond
	r := newRTTEstimator()
	if r.rto != time.Second || r.min() != 0 {
		t.Fatalf("at first: %+v", r)
	}
	for _, tc := range []struct{ sample, smoothed, variance, rto time.Duration }{
		{100 * ms, 100 * ms, 50 * ms, time.Second},
		{200 * ms, 112500 * time.Microsecond, 62500 * time.Microsecond, time.Second},
		{2000 * ms, 348437500, 518750 * time.Microsecond, 2423437500},
		// The machine slept: no more than smoothed + 5 variances is believed.
		{time.Hour, 672656250, 1037500 * time.Microsecond, 4822656250},
	} {
		r.sample(time.Second, tc.sample)
		if r.smoothed != tc.smoothed || r.variance != tc.variance || r.rto != tc.rto {
			t.Errorf("after %v: %v, %v, %v; want %v, %v, %v", tc.sample, r.smoothed, r.variance, r.rto, tc.smoothed, tc.variance, tc.rto)
		}
	}
	if r.min() != 100*ms {
		t.Errorf("lowest %v", r.min())
	}
	first := newRTTEstimator()
	first.sample(time.Second, time.Hour)
	if first.smoothed != maxRTT || first.rto != maxRTO {
		t.Errorf("after a first sample of an hour: %+v", first)
	}
}
