package simnet_test

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/simnet"
)

// exchange sends a byte and returns where it seems to come from, not valid if it does
// not arrive.
func exchange(t *testing.T, from, to *simnet.Conn, at netip.AddrPort) netip.AddrPort {
	t.Helper()
	if _, err := from.WriteTo([]byte{1}, net.UDPAddrFromAddrPort(at)); err != nil {
		t.Fatal(err)
	}
	to.SetReadDeadline(time.Now().Add(time.Second))
	_, src, err := to.ReadFrom(make([]byte, 10))
	if err != nil {
		return netip.AddrPort{}
	}
	return src.(*net.UDPAddr).AddrPort()
}

func TestNAT(t *testing.T) {
	for _, random := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			outer, inner := simnet.New(1), simnet.New(2)
			public := netip.MustParseAddr("6.0.0.1")
			simnet.NewNAT(inner, outer, public, simnet.NATOptions{Random: random, Timeout: time.Minute})
			listen := func(n *simnet.Network, addr string) *simnet.Conn {
				c, err := n.Listen(netip.MustParseAddrPort(addr))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				return c
			}
			a, b, c := listen(inner, "192.168.0.2:1000"), listen(outer, "5.0.0.1:1000"), listen(outer, "5.0.0.2:1000")
			at := exchange(t, a, b, b.AddrPort())
			if at.Addr() != public {
				t.Fatalf("b sees %v", at)
			}
			if got := exchange(t, b, a, at); got != b.AddrPort() {
				t.Errorf("the answer came from %v", got)
			}
			if got := exchange(t, c, a, at); got.IsValid() {
				t.Errorf("a packet came in from %v", got)
			}
			if got := exchange(t, a, c, c.AddrPort()); (got == at) == random {
				t.Errorf("random %v: c sees %v, b saw %v", random, got, at)
			}
			if got := exchange(t, c, a, at); got.IsValid() == random {
				t.Errorf("random %v: a packet from c to the mapping for b came from %v", random, got)
			}
			time.Sleep(2 * time.Minute)
			if got := exchange(t, b, a, at); got.IsValid() {
				t.Errorf("a packet came in from %v after two minutes", got)
			}
			if got := exchange(t, a, b, b.AddrPort()); got.Addr() != public {
				t.Errorf("b sees %v after two minutes", got)
			}
		})
	}
}
