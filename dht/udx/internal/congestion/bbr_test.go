package congestion

import (
	"math"
	"testing"
	"time"
)

// path is a bottleneck with a propagation delay and a queue, and a greedy sender
// that BBR controls, in virtual time.
type path struct {
	bandwidth float64 // bytes per second
	rtt       time.Duration
	queue     int // bytes

	bbr      BBR
	now      time.Duration
	busy     time.Duration
	inflight int
	acks     []ack
	sent     int
	dropped  int
	paused   bool
}

type ack struct {
	at   time.Duration
	p    Packet
	lost bool
}

const packetSize = 1500

func newPath(bandwidth float64, rtt time.Duration, queue int) *path {
	p := &path{bandwidth: bandwidth, rtt: rtt, queue: queue, now: time.Second}
	p.bbr.Init(packetSize, 1)
	return p
}

// run lets time pass.
func (p *path) run(d time.Duration) {
	for end := p.now + d; p.now < end; {
		for !p.paused && p.inflight+packetSize <= p.bbr.Window() && p.bbr.SendAt(p.now) <= p.now {
			p.send()
		}
		next := end
		if len(p.acks) > 0 {
			next = min(next, p.acks[0].at)
		}
		if at := p.bbr.SendAt(p.now); !p.paused && at > p.now {
			next = min(next, at)
		}
		p.now = max(p.now, next)
		for len(p.acks) > 0 && p.acks[0].at <= p.now {
			a := p.acks[0]
			p.acks = p.acks[1:]
			prior := p.inflight
			p.inflight -= packetSize
			if a.lost {
				p.bbr.OnLost(packetSize)
				continue
			}
			p.bbr.OnDelivered(p.now, &a.p, packetSize)
			p.bbr.OnAck(p.now, p.now-a.p.sent, prior, p.inflight)
		}
	}
}

func (p *path) send() {
	var a ack
	p.bbr.OnSend(p.now, p.inflight, packetSize, &a.p)
	p.inflight += packetSize
	p.sent++
	start := max(p.busy, p.now)
	if waiting := (start - p.now).Seconds() * p.bandwidth; int(waiting)+packetSize > p.queue {
		p.dropped++
		a.lost = true
		a.at = start + p.rtt
	} else {
		p.busy = start + time.Duration(packetSize/p.bandwidth*float64(time.Second))
		a.at = p.busy + p.rtt
	}
	p.acks = append(p.acks, a)
}

func TestBBRFindsTheBottleneck(t *testing.T) {
	for _, tc := range []struct {
		bandwidth float64
		rtt       time.Duration
	}{
		{100_000, 100 * time.Millisecond},
		{1_000_000, 20 * time.Millisecond},
		{10_000_000, 50 * time.Millisecond},
		{100_000_000, 2 * time.Millisecond},
		{1_000_000_000, 200 * time.Microsecond},
	} {
		bdp := int(tc.bandwidth * tc.rtt.Seconds())
		p := newPath(tc.bandwidth, tc.rtt, max(2*bdp, 40*packetSize))
		settle, measure := min(4*time.Second, 2000*tc.rtt), min(5*time.Second, 3000*tc.rtt)
		p.run(settle)
		if got := p.bbr.Bandwidth(); math.Abs(got-tc.bandwidth) > 0.06*tc.bandwidth {
			t.Errorf("%+v: estimated %.0f", tc, got)
		}
		if p.bbr.state != probeBW {
			t.Errorf("%+v: in %v", tc, p.bbr.state)
		}
		sent, dropped := p.sent, p.dropped
		p.run(measure)
		rate := float64((p.sent-sent)*packetSize) / measure.Seconds()
		if rate < 0.9*tc.bandwidth || rate > 1.1*tc.bandwidth {
			t.Errorf("%+v: sends %.0f bytes per second", tc, rate)
		}
		if lost := p.dropped - dropped; lost > (p.sent-sent)/100 {
			t.Errorf("%+v: %d of %d packets overflow the queue", tc, lost, p.sent-sent)
		}
		// Half of the queue may stand, not all of it.
		if queued := (p.busy - p.now).Seconds() * tc.bandwidth; queued > 1.2*float64(bdp)+8*float64(p.bbr.quantum()) {
			t.Errorf("%+v: %.0f bytes are queued, the path holds %d", tc, queued, bdp)
		}
	}
}

// After ten seconds without a lower round trip the sender nearly stops, looks, and
// goes on as before.
func TestProbeRTT(t *testing.T) {
	p := newPath(1_000_000, 50*time.Millisecond, 200_000)
	p.run(5 * time.Second)
	p.rtt = 80 * time.Millisecond // the route has changed
	probed := false
	for range 200 {
		p.run(100 * time.Millisecond)
		if p.bbr.state == probeRTT {
			probed = true
			if w := p.bbr.Window(); w > minPackets*packetSize {
				t.Fatalf("a window of %d in PROBE_RTT", w)
			}
		}
	}
	if !probed {
		t.Fatal("it never probed")
	}
	if got := p.bbr.minRTT; got < 80*time.Millisecond || got > 90*time.Millisecond {
		t.Errorf("lowest round trip %v, want 80 ms", got)
	}
	if p.bbr.state != probeBW || p.bbr.Bandwidth() < 900_000 {
		t.Errorf("afterwards %v at %.0f", p.bbr.state, p.bbr.Bandwidth())
	}
}

// A bottleneck that widens is found, one that narrows is respected.
func TestBandwidthChanges(t *testing.T) {
	p := newPath(1_000_000, 20*time.Millisecond, 100_000)
	p.run(3 * time.Second)
	p.bandwidth = 4_000_000
	p.run(6 * time.Second)
	if got := p.bbr.Bandwidth(); got < 3_600_000 {
		t.Errorf("estimated %.0f of 4000000", got)
	}
	p.bandwidth = 500_000
	p.run(6 * time.Second)
	if got := p.bbr.Bandwidth(); got > 600_000 {
		t.Errorf("estimated %.0f of 500000", got)
	}
}

// A sender with little to say does not unlearn the bandwidth, and does not start
// over when it speaks up.
func TestAppLimited(t *testing.T) {
	p := newPath(2_000_000, 40*time.Millisecond, 200_000)
	p.run(3 * time.Second)
	p.paused = true
	p.run(time.Second)
	for range 100 { // a packet now and then
		p.send()
		p.bbr.OnAppLimited(p.inflight)
		p.run(50 * time.Millisecond)
	}
	if got := p.bbr.Bandwidth(); got < 1_800_000 {
		t.Errorf("estimated %.0f of 2000000 after talking little", got)
	}
}

func TestTimeout(t *testing.T) {
	p := newPath(2_000_000, 40*time.Millisecond, 200_000)
	p.run(2 * time.Second)
	before := p.bbr.Window()
	p.bbr.OnTimeout(3000)
	if got, want := p.bbr.Window(), 3000+minPackets*packetSize; got != want {
		t.Errorf("window %d after a timeout, want %d", got, want)
	}
	p.bbr.OnRecovered()
	if got := p.bbr.Window(); got != before {
		t.Errorf("window %d after recovery, want %d", got, before)
	}
}

// Random loss leaves the window alone, losing a good part of it does not.
func TestSevereLoss(t *testing.T) {
	for _, tc := range []struct {
		share    float64
		conserve bool
	}{{0.05, false}, {0.3, false}, {0.5, true}} {
		p := newPath(2_000_000, 40*time.Millisecond, 200_000)
		p.run(2 * time.Second)
		p.bbr.OnLost(int(tc.share * float64(p.bbr.Window())))
		p.bbr.OnAck(p.now, -1, p.inflight, p.inflight/2)
		if p.bbr.conserve != tc.conserve {
			t.Errorf("after losing %v of the window: conserve %v", tc.share, p.bbr.conserve)
		}
	}
}

func TestPacer(t *testing.T) {
	const rate, quantum = 1_000_000, 10_000
	var p pacer
	now := time.Second
	sent := 0
	for end := now + 2*time.Second; now < end; {
		at := p.sendAt(now, rate, quantum)
		if at > now {
			if wait := at - now; wait < 5*time.Millisecond || wait > 15*time.Millisecond {
				t.Fatalf("waits for %v, a quantum is 10 ms", wait)
			}
			now = at
			continue
		}
		p.onSend(now, packetSize, rate, quantum)
		sent += packetSize
	}
	if sent < 1_990_000 || sent > 2_040_000 {
		t.Errorf("sent %d bytes in 2 s at %d per second", sent, rate)
	}
	// After a pause there is no more than two quanta of burst.
	now += time.Minute
	sent = 0
	for p.sendAt(now, rate, quantum) <= now {
		p.onSend(now, packetSize, rate, quantum)
		sent += packetSize
	}
	if sent > 2*quantum+packetSize {
		t.Errorf("a burst of %d bytes", sent)
	}
}

func BenchmarkAck(b *testing.B) {
	p := newPath(100_000_000, 10*time.Millisecond, 1_000_000)
	p.run(time.Second)
	b.ReportAllocs()
	var packet Packet
	now := p.now
	for b.Loop() {
		now += 15 * time.Microsecond
		p.bbr.OnSend(now, p.inflight, packetSize, &packet)
		p.bbr.OnDelivered(now, &packet, packetSize)
		p.bbr.OnAck(now, 10*time.Millisecond, p.inflight, p.inflight)
	}
}
