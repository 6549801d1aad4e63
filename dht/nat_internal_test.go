package dht

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
)

// What samples say of a NAT; each row is what one node after the other sees.
func TestNATAnalysis(t *testing.T) {
	for _, tt := range []struct {
		samples   string
		open      bool
		want      messages.Firewall
		addresses string
	}{
		{"", false, messages.FirewallUnknown, ""},
		{"", true, messages.FirewallOpen, ""},
		{"a:1", true, messages.FirewallOpen, "a:1"},
		{"a:1 a:1", false, messages.FirewallUnknown, ""},
		{"a:1 a:1 a:1", false, messages.FirewallConsistent, "a:1"},
		{"a:1 a:2 a:3", false, messages.FirewallRandom, "a:0"},
		{"a:1 a:1 a:2", false, messages.FirewallUnknown, ""},
		{"a:1 a:1 a:2 a:3", false, messages.FirewallRandom, "a:0"},
		{"a:1 b:2 a:1 b:2", false, messages.FirewallConsistent, "a:1 b:2"},
		{"a:1 b:2 a:1 b:3", false, messages.FirewallUnknown, ""},
		{"a:1 b:2 a:1 b:3 b:4", false, messages.FirewallRandom, "b:0"},
		{"a:1 b:2 a:1 a:1", false, messages.FirewallConsistent, "a:1 b:2"},
	} {
		address := func(s string) netip.AddrPort {
			return netip.MustParseAddrPort(map[byte]string{'a': "5.0.0.1", 'b': "5.0.0.2"}[s[0]] + s[1:])
		}
		n := newNAT(!tt.open)
		for i, s := range strings.Fields(tt.samples) {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{9, 9, 9, byte(i)}), 1)
			n.add(address(s), from)
			n.add(address(s), from) // counts once
		}
		got, addresses := n.state()
		var want []netip.AddrPort
		for _, s := range strings.Fields(tt.addresses) {
			want = append(want, address(s))
		}
		if got != tt.want || len(addresses) != len(want) {
			t.Errorf("%q, open %v: %v %v, want %v %v", tt.samples, tt.open, got, addresses, tt.want, want)
			continue
		}
		for i := range want {
			if addresses[i] != want[i] {
				t.Errorf("%q: addresses %v, want %v", tt.samples, addresses, want)
			}
		}
		n.freeze()
		for i := range 10 {
			n.add(netip.AddrPortFrom(netip.AddrFrom4([4]byte{7, 7, 7, 7}), uint16(i+1)), netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, 8, 8, byte(i)}), 1))
		}
		if after, _ := n.state(); after != got {
			t.Errorf("%q: %v although frozen, %v before", tt.samples, after, got)
		}
	}
}

func TestAddressClasses(t *testing.T) {
	for text, want := range map[string][2]bool{ // private, reserved
		"10.1.2.3:1": {true, false}, "100.64.0.1:1": {true, false}, "127.0.0.1:1": {true, false}, "192.168.9.9:1": {true, false},
		"172.15.0.1:1": {false, false}, "172.31.0.1:1": {true, false}, "0.1.1.1:1": {false, true}, "224.0.0.1:1": {false, true},
		"203.0.113.9:1": {false, true}, "8.8.8.8:1": {false, false},
	} {
		a := netip.MustParseAddrPort(text)
		if isPrivate(a) != want[0] || isReserved(a) != want[1] || isBogon(a) != (want[0] || want[1]) {
			t.Errorf("%s: private %v, reserved %v", text, isPrivate(a), isReserved(a))
		}
	}
	ours := []netip.AddrPort{netip.MustParseAddrPort("192.168.1.7:1")}
	theirs := func(texts ...string) (a []netip.AddrPort) {
		for _, s := range texts {
			a = append(a, netip.MustParseAddrPort(s))
		}
		return a
	}
	for _, tt := range []struct {
		theirs []netip.AddrPort
		want   string
	}{
		{nil, ""},
		{theirs("10.0.0.1:5"), ""},
		{theirs("192.1.1.1:5", "10.0.0.1:5"), "192.1.1.1:5"},
		{theirs("192.1.1.1:5", "192.168.2.1:5", "192.168.1.1:5", "192.168.1.2:5"), "192.168.1.1:5"},
	} {
		got, ok := matchAddr(ours, tt.theirs)
		if ok != (tt.want != "") || ok && got.String() != tt.want {
			t.Errorf("%v: %v %v, want %q", tt.theirs, got, ok, tt.want)
		}
	}
}
