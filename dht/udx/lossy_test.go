package udx_test

import (
	"fmt"
	"testing"
	"time"

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
