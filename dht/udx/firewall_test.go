package udx_test

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/simnet"
	"github.com/cairn-feeds/cairn/dht/udx"
)

// What arrives before a stream is connected is lost without a firewall, and comes
// again when the remote's timer fires, as it was seen of the reference.
func TestUnconnectedStreamDrops(t *testing.T) {
	simulate(t, 1, simnet.Link{}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := a.stream(t, nil), b.stream(t, nil)
		connect(t, x, a, y, b)
		start := time.Now()
		x.Write([]byte("early"))
		time.Sleep(100 * time.Millisecond)
		connect(t, y, b, x, a)
		buf := make([]byte, 10)
		k, err := y.Read(buf)
		if string(buf[:k]) != "early" || err != nil || time.Since(start) != time.Second {
			t.Errorf("read %q, %v after %v", buf[:k], err, time.Since(start))
		}
	})
}

// A firewall that accepts keeps what arrives before Connect, which then
// acknowledges it at once.
func TestFirewallAccepts(t *testing.T) {
	simulate(t, 1, simnet.Link{}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x := a.stream(t, nil)
		var seen []netip.AddrPort
		y := b.stream(t, &udx.StreamOptions{Firewall: func(s *udx.Socket, from netip.AddrPort) bool {
			if s != b.socket {
				t.Errorf("a packet on socket %v", s.LocalAddr())
			}
			seen = append(seen, from)
			return false
		}})
		connect(t, x, a, y, b)
		x.Write([]byte("early"))
		buf := make([]byte, 10)
		k, err := y.Read(buf)
		if string(buf[:k]) != "early" || err != nil {
			t.Fatalf("read %q, %v", buf[:k], err)
		}
		if len(seen) != 1 || seen[0] != a.addr {
			t.Errorf("the firewall saw %v", seen)
		}
		connect(t, y, b, x, a)
		synctest.Wait()
		if st := x.Stats(); st.Retransmits != 0 || st.InFlight != 0 {
			t.Errorf("%d sent again, %d bytes in flight", st.Retransmits, st.InFlight)
		}
	})
}

// The firewall may connect the stream to whoever has found it, from which on it is
// not asked any more.
func TestFirewallConnects(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: 5 * time.Millisecond}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x := a.stream(t, nil)
		var y *udx.Stream
		asked := 0
		y = b.stream(t, &udx.StreamOptions{Firewall: func(s *udx.Socket, from netip.AddrPort) bool {
			asked++
			return y.Connect(s, udx.Remote{ID: x.ID(), Addr: from}) != nil
		}})
		connect(t, x, a, y, b)
		x.Write([]byte("knock"))
		if _, err := io.ReadFull(y, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		exchange(t, x, y, content(1, 100_000), content(2, 100_000))
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// relayed connects x on a and y on b through two streams of the host r.
func relayed(t testing.TB, a, r, b *host) (x, y, p, q *udx.Stream) {
	t.Helper()
	opts := &udx.StreamOptions{Firewall: allow}
	x, y, p, q = a.stream(t, opts), b.stream(t, opts), r.stream(t, opts), r.stream(t, opts)
	for _, err := range []error{
		x.Connect(a.socket, udx.Remote{ID: p.ID(), Addr: r.addr}),
		y.Connect(b.socket, udx.Remote{ID: q.ID(), Addr: r.addr}),
		p.Connect(r.socket, udx.Remote{ID: x.ID(), Addr: a.addr}),
		q.Connect(r.socket, udx.Remote{ID: y.ID(), Addr: b.addr}),
		p.RelayTo(q),
		q.RelayTo(p),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return x, y, p, q
}

func TestRelay(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: 10 * time.Millisecond, Loss: 0.02}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		r := newHost(t, n, hosts[2], nil)
		x, y, p, q := relayed(t, a, r, b)
		exchange(t, x, y, content(1, 500_000), content(2, 500_000))
		// An orderly end passes through unseen: somebody else tells the relay.
		select {
		case <-p.Done():
			t.Error("the relay ended by itself")
		default:
		}
		if p.Stats().PacketsReceived == 0 || p.Stats().PacketsSent != 0 {
			t.Errorf("the relay counted %+v", p.Stats())
		}
		p.Destroy()
		<-q.Done()
		if got := r.socket.Streams(); got != 0 {
			t.Errorf("%d streams are left on the relay", got)
		}
	})
}

// A DESTROY passes through the relay and ends it.
func TestRelayDestroy(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		r := newHost(t, n, hosts[2], nil)
		x, y, p, q := relayed(t, a, r, b)
		x.Write([]byte("hello"))
		io.ReadFull(y, make([]byte, 5))
		x.Destroy()
		for _, s := range []*udx.Stream{x, y, p, q} {
			<-s.Done()
		}
		if err := y.Err(); err != udx.ErrReset {
			t.Errorf("the other end: %v", err)
		}
		if err := p.Err(); err != udx.ErrReset {
			t.Errorf("the relay's stream: %v", err)
		}
		if err := p.RelayTo(q); err != net.ErrClosed {
			t.Errorf("relaying with streams that are over: %v", err)
		}
	})
}

// A stream moves from a relay to a direct path, to another socket, with data under
// way in both directions.
func TestChangeRemote(t *testing.T) {
	for _, loss := range []float64{0, 0.05} {
		simulate(t, 1, simnet.Link{Delay: 20 * time.Millisecond, Loss: loss}, func(t *testing.T, n *simnet.Network) {
			a, b := twoHosts(t, n)
			r := newHost(t, n, hosts[2], nil)
			x, y, p, _ := relayed(t, a, r, b)
			direct := map[*udx.Stream]*udx.Socket{}
			for s, h := range map[*udx.Stream]*host{x: a, y: b} {
				sock, err := h.Attach(raw(t, n, netip.AddrPortFrom(h.addr.Addr(), 2000)), nil)
				if err != nil {
					t.Fatal(err)
				}
				direct[s] = sock
			}
			go func() {
				time.Sleep(200 * time.Millisecond)
				for s, other := range map[*udx.Stream]*udx.Stream{x: y, y: x} {
					changed, err := s.ChangeRemote(direct[s], udx.Remote{ID: other.ID(), Addr: direct[other].AddrPort()})
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := s.ChangeRemote(direct[s], udx.Remote{ID: other.ID(), Addr: direct[other].AddrPort()}); err != udx.ErrChanging {
						t.Errorf("a second change at once: %v", err)
					}
					<-changed
					if s.Socket() != direct[s] {
						t.Error("still on the old socket")
					}
				}
				time.Sleep(50 * time.Millisecond) // what is on its way
				relayedPackets := p.Stats().PacketsReceived
				time.Sleep(100 * time.Millisecond)
				if now := p.Stats().PacketsReceived; now != relayedPackets {
					t.Errorf("%d packets took the old path", now-relayedPackets)
				}
				if got := a.socket.Streams() + b.socket.Streams(); got != 0 {
					t.Errorf("%d streams are left on the old sockets", got)
				}
			}()
			exchange(t, x, y, content(1, 3_000_000), content(2, 3_000_000))
			synctest.Wait()
			if x.Stats().Timeouts > 2 {
				t.Errorf("%d timeouts", x.Stats().Timeouts)
			}
		})
	}
}

// With nothing outstanding a change is complete at once.
func TestChangeRemoteIdle(t *testing.T) {
	simulate(t, 1, simnet.Link{}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		c := newHost(t, n, hosts[2], nil)
		x, _ := open(t, a, b, udx.StreamOptions{})
		z := c.stream(t, &udx.StreamOptions{Firewall: allow})
		changed, err := x.ChangeRemote(a.socket, udx.Remote{ID: z.ID(), Addr: c.addr})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		default:
			t.Error("not complete")
		}
		x.Write([]byte("hello"))
		buf := make([]byte, 10)
		if k, err := z.Read(buf); string(buf[:k]) != "hello" || err != nil {
			t.Errorf("read %q, %v", buf[:k], err)
		}
	})
}

// When the old path dies with packets on it, they take the new one.
func TestChangeRemoteFromDeadPath(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := open(t, a, b, udx.StreamOptions{})
		sock, err := b.Attach(raw(t, n, hosts[3]), nil)
		if err != nil {
			t.Fatal(err)
		}
		exchange1 := content(1, 100_000)
		n.Partition([]netip.Addr{a.addr.Addr()}, []netip.Addr{b.addr.Addr()})
		x.Write(exchange1)
		x.CloseWrite()
		time.Sleep(100 * time.Millisecond)
		if _, err := x.ChangeRemote(a.socket, udx.Remote{ID: y.ID(), Addr: sock.AddrPort()}); err != nil {
			t.Fatal(err)
		}
		if _, err := y.ChangeRemote(sock, udx.Remote{ID: x.ID(), Addr: a.addr}); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(y); !bytes.Equal(got, exchange1) || err != nil {
			t.Errorf("received %d bytes, %v", len(got), err)
		}
	})
}
