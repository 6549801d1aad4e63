package udx_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/cairn-feeds/cairn/dht/internal/simnet"
	"github.com/cairn-feeds/cairn/dht/udx"
)

// Hosts of simulated networks.
var hosts = []netip.AddrPort{
	netip.MustParseAddrPort("10.0.0.1:1000"),
	netip.MustParseAddrPort("10.0.0.2:1000"),
	netip.MustParseAddrPort("10.0.0.3:1000"),
	netip.MustParseAddrPort("10.0.0.4:1000"),
}

// allow is a firewall that accepts everything.
func allow(*udx.Socket, netip.AddrPort) bool { return false }

// simulate runs f in virtual time with a network of its own.
func simulate(t *testing.T, seed uint64, link simnet.Link, f func(t *testing.T, n *simnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(seed)
		n.SetLink(link)
		f(t, n)
	})
}

// host is a Mux with one socket in a simulated network.
type host struct {
	*udx.Mux
	socket *udx.Socket
	addr   netip.AddrPort
}

func newHost(t testing.TB, n *simnet.Network, addr netip.AddrPort, opts *udx.SocketOptions) *host {
	t.Helper()
	conn, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{Mux: udx.New(nil), addr: conn.AddrPort()}
	t.Cleanup(func() { h.Close() })
	if h.socket, err = h.Attach(conn, opts); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) stream(t testing.TB, opts *udx.StreamOptions) *udx.Stream {
	t.Helper()
	s, err := h.NewStream(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open connects two streams with the given options through two hosts.
func open(t testing.TB, a, b *host, opts udx.StreamOptions) (x, y *udx.Stream) {
	t.Helper()
	opts.Firewall = allow
	x, y = a.stream(t, &opts), b.stream(t, &opts)
	connect(t, x, a, y, b)
	connect(t, y, b, x, a)
	return x, y
}

// connect tells x on a where y on b is.
func connect(t testing.TB, x *udx.Stream, a *host, y *udx.Stream, b *host) {
	t.Helper()
	if err := x.Connect(a.socket, udx.Remote{ID: y.ID(), Addr: b.addr}); err != nil {
		t.Fatal(err)
	}
}

// twoHosts is the simplest network.
func twoHosts(t testing.TB, n *simnet.Network) (a, b *host) {
	t.Helper()
	return newHost(t, n, hosts[0], nil), newHost(t, n, hosts[1], nil)
}

// content is n bytes of which no part resembles another.
func content(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, n)
	r.Read(b)
	return b
}

// exchange writes one thing each way at the same time, ends both ways and waits
// for the clean end of both streams.
func exchange(t testing.TB, x, y *udx.Stream, forth, back []byte) {
	t.Helper()
	results := make(chan error, 4)
	one := func(s *udx.Stream, write, want []byte) {
		go func() {
			_, err := s.Write(write)
			results <- errors.Join(err, s.CloseWrite())
		}()
		go func() {
			got, err := io.ReadAll(s)
			if err == nil && !bytes.Equal(got, want) {
				err = errors.New("received something else than was sent")
			}
			results <- err
		}()
	}
	one(x, forth, back)
	one(y, back, forth)
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	for _, s := range []*udx.Stream{x, y} {
		<-s.Done()
		if err := s.Err(); err != nil {
			t.Errorf("stream %d ended with %v", s.ID(), err)
		}
	}
}

// raw is a scripted peer: a socket of the simulated network without a Mux.
func raw(t testing.TB, n *simnet.Network, addr netip.AddrPort) *simnet.Conn {
	t.Helper()
	c, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func netAddr(a netip.AddrPort) net.Addr { return net.UDPAddrFromAddrPort(a) }
