package dht_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/simnet"
)

// Connections come about on bad lines too.
func TestLossyPairings(t *testing.T) {
	for _, loss := range []float64{0.05, 0.15, 0.3} {
		for _, kind := range []string{"open", "consistent", "double"} {
			synctest.Test(t, func(t *testing.T) {
				link := simnet.Link{Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: loss, Reorder: 0.05, Duplicate: 0.02}
				took, err := natPairing(t, kind, kind, link)
				if err != nil && loss < 0.3 {
					t.Errorf("%s, loss %v: %v", kind, loss, err)
				}
				t.Logf("%s, loss %v: %v, %v", kind, loss, took.Round(time.Millisecond), err)
			})
		}
	}
}

// In a large network whose nodes come and go, what was stored is found.
func TestLargeNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("it has many nodes")
	}
	synctest.Test(t, func(t *testing.T) {
		const size = 1000
		i := newInternet(t, 1, size, simnet.Link{Delay: 5 * time.Millisecond})
		n := i.node(t, i.host("consistent"))
		ctx := t.Context()
		var hashes [][32]byte
		for v := range byte(20) {
			p, err := n.PutImmutable(ctx, []byte{v}, nil)
			if err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, p.Hash)
		}
		s := listen(t, i.node(t, i.host("consistent")), nil)
		serverNAT := netip.AddrFrom4([4]byte{6, 0, 0, i.hosts})
		// A fifth of the nodes fall silent.
		var gone, rest []netip.Addr
		for k := range size - 1 {
			a := netip.AddrFrom4([4]byte{5, 0, byte(k / 200), byte(2 + k%200)})
			if k%5 == 0 {
				gone = append(gone, a)
			} else {
				rest = append(rest, a)
			}
		}
		user := i.host("open")
		i.net.Partition(gone, append(rest, user.addr, serverNAT, netip.MustParseAddr("5.0.0.1")))
		time.Sleep(30 * time.Second) // the server looks for other relays if it must
		m := i.node(t, user)
		for v, hash := range hashes {
			if r, err := m.GetImmutable(ctx, hash, nil); err != nil || r.Value[0] != byte(v) {
				t.Errorf("value %d: %v", v, err)
			}
		}
		if _, err := m.Connect(ctx, s.PublicKey(), nil); err != nil {
			t.Error(err)
		}
	})
}
