package udx_test

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/dht/internal/simnet"
	"github.com/cairn-feeds/cairn/dht/udx"
)

// Whatever the network does, what is read is what was written, and both ends
// close in an orderly way.
func TestLossyNetworks(t *testing.T) {
	for _, loss := range []float64{0, 0.01, 0.05, 0.1, 0.2, 0.3} {
		for _, tc := range []struct {
			name string
			link simnet.Link
		}{
			{"delay", simnet.Link{Delay: 25 * time.Millisecond}},
			{"reorder", simnet.Link{Delay: 10 * time.Millisecond, Jitter: 5 * time.Millisecond, Reorder: 0.1, Duplicate: 0.05}},
			{"bottleneck", simnet.Link{Delay: 20 * time.Millisecond, Bandwidth: 2_000_000, Queue: 50_000}},
		} {
			t.Run(fmt.Sprintf("loss=%v/%s", loss, tc.name), func(t *testing.T) {
				tc.link.Loss = loss
				simulate(t, 1, tc.link, func(t *testing.T, n *simnet.Network) {
					a, b := twoHosts(t, n)
					x, y := open(t, a, b, udx.StreamOptions{})
					start := time.Now()
					exchange(t, x, y, content(1, 1_000_000), content(2, 300_000))
					t.Logf("%v, %+v", time.Since(start), x.Stats())
				})
			})
		}
	}
}

// The same for links, sizes and buffers that nobody thought of.
func TestAnyNetwork(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ms := func(name string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(rt, name)) * time.Millisecond
		}
		link := simnet.Link{
			Loss:      rapid.Float64Range(0, 0.2).Draw(rt, "loss"),
			Delay:     ms("delay", 100),
			Jitter:    ms("jitter", 20),
			Reorder:   rapid.Float64Range(0, 0.2).Draw(rt, "reorder"),
			HoldBack:  ms("hold back", 60),
			Duplicate: rapid.Float64Range(0, 0.2).Draw(rt, "duplicate"),
			MTU:       rapid.IntRange(1200, 1600).Draw(rt, "mtu"),
		}
		if rapid.Bool().Draw(rt, "bottleneck") {
			link.Bandwidth = rapid.IntRange(200_000, 20_000_000).Draw(rt, "bandwidth")
			link.Queue = rapid.IntRange(20_000, 300_000).Draw(rt, "queue")
		}
		opts := udx.StreamOptions{ReceiveBuffer: rapid.IntRange(16<<10, 1<<20).Draw(rt, "buffer")}
		forth, back := rapid.IntRange(0, 200_000).Draw(rt, "forth"), rapid.IntRange(0, 200_000).Draw(rt, "back")
		simulate(t, rapid.Uint64().Draw(rt, "seed"), link, func(t *testing.T, n *simnet.Network) {
			a, b := twoHosts(t, n)
			x, y := open(t, a, b, opts)
			exchange(t, x, y, content(1, forth), content(2, back))
		})
		if t.Failed() {
			rt.Fatalf("on the link %+v", link)
		}
	})
}

// A bottleneck is filled, its queue is not, whether or not packets get lost for
// other reasons.
func TestBottleneck(t *testing.T) {
	for _, tc := range []struct {
		loss  float64
		queue int
	}{{0, 300_000}, {0, 30_000}, {0.01, 300_000}, {0.05, 30_000}, {0.1, 300_000}} {
		t.Run(fmt.Sprintf("loss=%v/queue=%d", tc.loss, tc.queue), func(t *testing.T) {
			link := simnet.Link{Delay: 20 * time.Millisecond, Bandwidth: 4_000_000, Queue: tc.queue, Loss: tc.loss}
			simulate(t, 1, link, func(t *testing.T, n *simnet.Network) {
				a, b := twoHosts(t, n)
				x, y := open(t, a, b, udx.StreamOptions{})
				rate := greedy(x, y, 6*time.Second)
				if rate < 0.8*4_000_000 {
					t.Errorf("%.0f of 4000000 bytes per second", rate)
				}
				st := x.Stats()
				if st.RTT > 60*time.Millisecond {
					t.Errorf("a round trip of %v", st.RTT)
				}
				if again := float64(st.Retransmits) / float64(st.PacketsSent); again > tc.loss+0.1 {
					t.Errorf("%.3f of the packets are sent again", again)
				}
			})
		})
	}
}

// Two streams share a bottleneck.
func TestFairness(t *testing.T) {
	link := simnet.Link{Delay: 20 * time.Millisecond, Bandwidth: 4_000_000, Queue: 300_000}
	simulate(t, 1, link, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		var wg sync.WaitGroup
		var rates [2]float64
		for i := range rates {
			x, y := open(t, a, b, udx.StreamOptions{})
			wg.Go(func() { rates[i] = greedy(x, y, 12*time.Second) })
		}
		wg.Wait()
		if sum := rates[0] + rates[1]; sum < 0.85*4_000_000 {
			t.Errorf("%.0f of 4000000 bytes per second", sum)
		}
		if min(rates[0], rates[1]) < max(rates[0], rates[1])/4 {
			t.Errorf("%.0f and %.0f bytes per second", rates[0], rates[1])
		}
	})
}

// greedy writes to x as much as it takes for a time, and returns the rate at which
// y reads, in bytes per second.
func greedy(x, y *udx.Stream, d time.Duration) float64 {
	stop := time.Now().Add(d)
	x.SetWriteDeadline(stop)
	y.SetReadDeadline(stop)
	written := make(chan struct{})
	go func() {
		defer close(written)
		piece := make([]byte, 64<<10)
		for {
			if _, err := x.Write(piece); err != nil {
				return
			}
		}
	}()
	n, _ := io.Copy(io.Discard, struct{ io.Reader }{y})
	<-written
	x.Destroy()
	return float64(n) / d.Seconds()
}
