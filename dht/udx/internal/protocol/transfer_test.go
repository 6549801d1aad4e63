package protocol

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// lossy loses, holds back and repeats packets with the given probabilities.
func lossy(seed uint64, loss, late float64) func(int, wire.Packet, []byte) time.Duration {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(int, wire.Packet, []byte) time.Duration {
		if r.Float64() < loss {
			return -1
		}
		if r.Float64() < late {
			return time.Duration(r.Int64N(int64(30 * time.Millisecond)))
		}
		return 0
	}
}

func TestTransfer(t *testing.T) {
	for _, loss := range []float64{0, 0.01, 0.05, 0.1, 0.2, 0.3} {
		for _, late := range []float64{0, 0.1} {
			t.Run(fmt.Sprintf("loss=%v/late=%v", loss, late), func(t *testing.T) {
				n := newPair(t, 20*time.Millisecond)
				n.fate = lossy(1, loss, late)
				transfer(t, n, randomBytes(1_000_000), 2*time.Minute)
				st := n.end[0].Stats()
				t.Logf("%v, %d packets, %d again, %d timeouts", n.now-time.Second, st.PacketsSent, st.Retransmits, st.Timeouts)
				if loss == 0 && late == 0 && st.Retransmits > 0 {
					t.Errorf("%d retransmissions on a perfect network", st.Retransmits)
				}
			})
		}
	}
}

// Whatever happens, what is read is a prefix of what was written, and all of it in
// the end; and no count is ever wrong, see check.
func TestTransferProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newPair(t, time.Duration(rapid.IntRange(0, 80).Draw(t, "delay"))*time.Millisecond)
		for i, s := range n.end {
			s.cfg.ReceiveBuffer = rapid.IntRange(16<<10, 256<<10).Draw(t, fmt.Sprint("buffer", i))
			s.offered = s.cfg.ReceiveBuffer
		}
		n.fate = lossy(rapid.Uint64().Draw(t, "seed"), rapid.Float64Range(0, 0.2).Draw(t, "loss"), rapid.Float64Range(0, 0.3).Draw(t, "late"))
		transfer(t, n, randomBytes(rapid.IntRange(0, 300_000).Draw(t, "size")), 5*time.Minute)
	})
}

// Sequence numbers wrap in the middle of a transfer.
func TestSequenceWraps(t *testing.T) {
	const first = 0xffffff80
	cfg := config()
	cfg.Seq = first
	n := &pair{t: t, now: time.Second, delay: 10 * time.Millisecond, end: [2]*Stream{New(cfg), New(config())}}
	n.end[0].Connect(n.now, Path{RemoteID: 2, Overhead: 28}, 0)
	n.end[1].Connect(n.now, Path{RemoteID: 1, Overhead: 28}, first)
	n.fate = lossy(2, 0.05, 0.05)
	transfer(t, n, randomBytes(1_000_000), time.Minute)
	if next := n.end[0].flight.next; next > first {
		t.Errorf("it ended at %#x, before the wrap", next)
	}
}

// A reader that does not read stops the writer at the window that it offers, and
// sets it going again.
func TestFlowControl(t *testing.T) {
	n := newPair(t, 10*time.Millisecond)
	n.end[1].cfg.ReceiveBuffer = 100_000
	n.end[1].offered = 100_000
	n.end[1].ackDue = true // tell the other end
	n.run(n.now+100*time.Millisecond, func() bool { return false })

	data := randomBytes(400_000)
	rest := data
	n.run(n.now+20*time.Second, func() bool { rest = rest[n.end[0].Write(n.now, rest):]; return false })
	if got := n.end[1].Buffered(); got < 90_000 || got > 100_000+overrun {
		t.Fatalf("%d bytes arrived unread, the window is 100000", got)
	}
	if st := n.end[0].Stats(); st.Timeouts > 0 {
		t.Errorf("%d timeouts against a closed window", st.Timeouts)
	}
	if n.end[0].timers.window == 0 {
		t.Error("nobody probes the closed window")
	}
	transferRest(t, n, data, rest)
}

func transferRest(t *testing.T, n *pair, data, rest []byte) {
	t.Helper()
	got := 0
	buf := make([]byte, 10_000)
	n.run(n.now+time.Minute, func() bool {
		rest = rest[n.end[0].Write(n.now, rest):]
		k := n.end[1].Read(buf)
		if string(buf[:k]) != string(data[got:got+k]) {
			t.Fatalf("other bytes at %d", got)
		}
		got += k
		return got == len(data)
	})
	if got != len(data) {
		t.Errorf("received %d bytes of %d", got, len(data))
	}
}

// Packets that the path is too small for do not stop a transfer.
func TestPathMTU(t *testing.T) {
	for _, limit := range []int{1200, 1280, 1400, 1492, 1500} {
		n := newPair(t, 10*time.Millisecond)
		n.fate = func(_ int, _ wire.Packet, b []byte) time.Duration {
			if len(b)+28 > limit {
				return -1
			}
			return 0
		}
		transfer(t, n, randomBytes(10_000_000), time.Minute)
		st := n.end[0].Stats()
		if st.MTU > limit || st.MTU <= limit-mtuStep && limit != 1492 || st.Timeouts > 0 || st.FastRecoveries > 0 {
			t.Errorf("path of %d: MTU %d, %d timeouts, %d recoveries", limit, st.MTU, st.Timeouts, st.FastRecoveries)
		}
	}
}

func BenchmarkTransfer(b *testing.B) {
	data := randomBytes(1 << 20)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	buf := make([]byte, 64<<10)
	now := time.Second
	x, y := New(config()), New(config())
	x.Connect(now, Path{RemoteID: 2, Overhead: 28}, 0)
	y.Connect(now, Path{RemoteID: 1, Overhead: 28}, 0)
	packet := make([]byte, 0, MaxDatagram)
	for b.Loop() {
		for rest := data; len(rest) > 0 || x.Unacked() > 0; {
			now += 50 * time.Microsecond
			rest = rest[x.Write(now, rest):]
			for range 44 {
				p, path := x.Poll(now, packet)
				if path == nil {
					break
				}
				parsed, _ := wire.Parse(p)
				y.Receive(now, &parsed)
			}
			for y.Read(buf) > 0 {
			}
			for {
				p, path := y.Poll(now, packet)
				if path == nil {
					break
				}
				parsed, _ := wire.Parse(p)
				x.Receive(now, &parsed)
			}
			if d := x.Deadline(); d != 0 && d <= now {
				x.Tick(now)
			}
		}
	}
}
