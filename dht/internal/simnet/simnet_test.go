package simnet_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/simnet"
)

var (
	alice = netip.MustParseAddrPort("10.0.0.1:1000")
	bob   = netip.MustParseAddrPort("10.0.0.2:2000")
)

func listen(t testing.TB, n *simnet.Network, addr netip.AddrPort) *simnet.Conn {
	t.Helper()
	c, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t testing.TB, from *simnet.Conn, to netip.AddrPort, text string) {
	t.Helper()
	if _, err := from.WriteTo([]byte(text), net.UDPAddrFromAddrPort(to)); err != nil {
		t.Fatal(err)
	}
}

// receive reads everything that arrives within d, as "text@milliseconds".
func receive(t testing.TB, c *simnet.Conn, start time.Time, d time.Duration) string {
	t.Helper()
	var got []string
	b := make([]byte, 2048)
	c.SetReadDeadline(time.Now().Add(d))
	for {
		n, _, err := c.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return strings.Join(got, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s@%d", b[:n], time.Since(start).Milliseconds()))
	}
}

func TestLink(t *testing.T) {
	for _, tc := range []struct {
		name string
		link simnet.Link
		send []string
		want string
	}{
		{"perfect", simnet.Link{}, []string{"a", "b"}, "a@0 b@0"},
		{"delay", simnet.Link{Delay: 30 * time.Millisecond}, []string{"a", "b"}, "a@30 b@30"},
		{"loss", simnet.Link{Loss: 1}, []string{"a", "b"}, ""},
		{"duplicate", simnet.Link{Duplicate: 1}, []string{"a"}, "a@0 a@0"},
		{"held back", simnet.Link{Reorder: 1}, []string{"a"}, "a@10"},
		{"mtu", simnet.Link{MTU: 30}, []string{"ab", "abc"}, "ab@0"},
		// 29 bytes with headers take 29 ms at 1000 bytes per second.
		{"bandwidth", simnet.Link{Bandwidth: 1000}, []string{"a", "b", "c"}, "a@29 b@58 c@87"},
		{"queue", simnet.Link{Bandwidth: 1000, Queue: 60}, []string{"a", "b", "c", "d"}, "a@29 b@58"},
		{"hops", simnet.Link{Hops: simnet.DefaultTTL + 1}, []string{"a"}, ""},
		{"filter", simnet.Link{Filter: func(p simnet.Packet) bool { return string(p.Data) != "b" }}, []string{"a", "b", "c"}, "a@0 c@0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := simnet.New(1)
				n.SetLink(tc.link)
				a, b := listen(t, n, alice), listen(t, n, bob)
				start := time.Now()
				for _, text := range tc.send {
					send(t, a, bob, text)
				}
				if got := receive(t, b, start, time.Second); got != tc.want {
					t.Errorf("received %q, want %q", got, tc.want)
				}
			})
		})
	}
}

// The same seed drops the same packets, whatever else goes on.
func TestLossIsReproducible(t *testing.T) {
	run := func(t *testing.T, seed uint64) (got string) {
		synctest.Test(t, func(t *testing.T) {
			n := simnet.New(seed)
			n.SetLink(simnet.Link{Loss: 0.3, Jitter: 20 * time.Millisecond})
			a, b := listen(t, n, alice), listen(t, n, bob)
			start := time.Now()
			for i := range 300 {
				send(t, a, bob, fmt.Sprint(i))
			}
			got = receive(t, b, start, time.Second)
		})
		return got
	}
	first := run(t, 7)
	if again := run(t, 7); again != first {
		t.Errorf("the same seed gave %q and %q", first, again)
	}
	if other := run(t, 8); other == first {
		t.Error("another seed gave the same")
	}
	if n := strings.Count(first, "@"); n < 180 || n > 240 {
		t.Errorf("%d of 300 packets arrived at 30 %% loss", n)
	}
}

func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		a, b := listen(t, n, alice), listen(t, n, bob)
		n.Partition([]netip.Addr{alice.Addr()}, []netip.Addr{bob.Addr()})
		start := time.Now()
		send(t, a, bob, "lost")
		send(t, b, alice, "lost")
		n.Heal()
		send(t, a, bob, "found")
		if got := receive(t, b, start, time.Second); got != "found@0" {
			t.Errorf("received %q", got)
		}
		if got := receive(t, a, start, time.Second); got != "" {
			t.Errorf("received %q across the partition", got)
		}
		if got, want := n.Stats(), (simnet.Stats{Sent: 3, Delivered: 1, Dropped: 2}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

// A gateway joins two networks, as a NAT does.
func TestGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, inner := simnet.New(1), simnet.New(2)
		outer.SetLink(simnet.Link{Delay: 10 * time.Millisecond, Hops: 10})
		public := netip.MustParseAddrPort("192.0.2.1:5000")
		inner.SetGateway(func(p simnet.Packet) {
			p.Src = public
			outer.Send(p)
		})
		outer.Handle(public.Addr(), func(p simnet.Packet) {
			p.Dst = alice
			inner.Send(p)
		})
		a, b := listen(t, inner, alice), listen(t, outer, bob)

		start := time.Now()
		send(t, a, bob, "out")
		buf := make([]byte, 100)
		n, from, err := b.ReadFrom(buf)
		if err != nil || string(buf[:n]) != "out" || from.String() != public.String() {
			t.Fatalf("read %q from %v, %v", buf[:n], from, err)
		}
		send(t, b, public, "back")
		if got := receive(t, a, start, time.Second); got != "back@20" {
			t.Errorf("received %q", got)
		}
		// A packet that may live for few hops opens the way and does not arrive.
		if _, err := a.WriteToTTL([]byte("probe"), net.UDPAddrFromAddrPort(bob), 5); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, b, start, time.Second); got != "" {
			t.Errorf("received %q", got)
		}
	})
}

func TestConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		a := listen(t, n, alice)
		if _, err := n.Listen(alice); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("listening twice: %v", err)
		}
		any1 := listen(t, n, netip.AddrPortFrom(alice.Addr(), 0))
		any2 := listen(t, n, netip.AddrPortFrom(alice.Addr(), 0))
		if any1.AddrPort() == any2.AddrPort() || any1.AddrPort().Port() == 0 {
			t.Errorf("any port: %v and %v", any1.AddrPort(), any2.AddrPort())
		}

		// A reader that waits is told of deadlines and of the end.
		a.SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := a.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
		a.SetReadDeadline(time.Time{})
		result := make(chan error)
		go func() {
			_, _, err := a.ReadFrom(nil)
			result <- err
		}()
		synctest.Wait()
		a.Close()
		if err := <-result; !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if _, err := a.WriteTo(nil, net.UDPAddrFromAddrPort(bob)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing after Close: %v", err)
		}

		// What nobody reads overflows.
		b := listen(t, n, bob)
		big := make([]byte, 60000)
		for range 100 {
			any1.WriteTo(big, net.UDPAddrFromAddrPort(bob))
		}
		synctest.Wait()
		b.SetReadDeadline(time.Now().Add(time.Second))
		got := 0
		for {
			if _, _, err := b.ReadFrom(big); err != nil {
				break
			}
			got++
		}
		if want := simnet.ReceiveBuffer / (60000 + 28); got != want {
			t.Errorf("%d packets waited, want %d", got, want)
		}
	})
}

func BenchmarkSend(b *testing.B) {
	n := simnet.New(1)
	n.SetLink(simnet.Link{Loss: 0.01, Jitter: time.Millisecond})
	x, y := listen(b, n, alice), listen(b, n, bob)
	go func() {
		buf := make([]byte, 2048)
		for {
			if _, _, err := y.ReadFrom(buf); err != nil {
				return
			}
		}
	}()
	p, to := make([]byte, 1200), net.UDPAddrFromAddrPort(bob)
	b.ReportAllocs()
	for b.Loop() {
		x.WriteTo(p, to)
	}
	y.Close()
}

func ExampleNetwork() {
	n := simnet.New(1)
	n.SetLink(simnet.Link{Delay: time.Millisecond})
	a, _ := n.Listen(netip.MustParseAddrPort("10.0.0.1:1000"))
	b, _ := n.Listen(netip.MustParseAddrPort("10.0.0.2:1000"))
	defer a.Close()
	defer b.Close()

	a.WriteTo([]byte("hello"), b.LocalAddr())
	buf := make([]byte, 100)
	k, from, _ := b.ReadFrom(buf)
	fmt.Printf("%s from %v\n", buf[:k], from)
	// Output: hello from 10.0.0.1:1000
}
