package rpc

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/simnet"
)

// internet is a simulated network in which every node has a host of its own.
type internet struct {
	*simnet.Network
	hosts int
}

// newInternet makes a network with links on which datagrams overtake each other and
// get lost.
func newInternet(seed uint64, loss float64) *internet {
	n := &internet{Network: simnet.New(seed)}
	n.SetLink(simnet.Link{Delay: 5 * time.Millisecond, Jitter: 50 * time.Millisecond, Loss: loss})
	return n
}

// box is what stands between a host and the internet.
type box uint8

const (
	boxNone      box = iota
	boxFirewall      // lets in what comes from where something was sent to
	boxNAT           // likewise, and each socket has another port outside
	boxRandomNAT     // likewise, and another one for each destination
)

// host returns an address that no one has, and options with which a node lives there.
func (n *internet) host(b box) (netip.Addr, *Options) {
	n.hosts++
	ip := addrOf(n.hosts).Addr()
	return ip, &Options{Bind: func(local netip.AddrPort, receive func(Socket, []byte, netip.AddrPort)) (Socket, error) {
		return n.bind(netip.AddrPortFrom(ip, local.Port()), b, receive)
	}}
}

// bind binds the socket of a node behind a box.
func (n *internet) bind(local netip.AddrPort, b box, receive func(Socket, []byte, netip.AddrPort)) (Socket, error) {
	if b == boxNone {
		return n.listen(local, receive)
	}
	s := &boxedSocket{net: n, box: b, receive: receive, outside: make(map[netip.AddrPort]*PacketSocket), sent: make(map[netip.AddrPort]bool)}
	first, err := n.listen(local, s.fromOutside)
	if err != nil {
		return nil, err
	}
	s.local = first.AddrPort()
	if b == boxFirewall {
		s.outside[netip.AddrPort{}] = first
		return s, nil
	}
	s.unused = first // nobody outside reaches it
	if b == boxNAT {
		if s.outside[netip.AddrPort{}], err = n.listen(netip.AddrPortFrom(local.Addr(), 0), s.fromOutside); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (n *internet) listen(addr netip.AddrPort, receive func(Socket, []byte, netip.AddrPort)) (*PacketSocket, error) {
	conn, err := n.Listen(addr)
	if err != nil {
		return nil, err
	}
	return NewSocket(conn, receive), nil
}

// boxedSocket is a socket behind a box.
type boxedSocket struct {
	net     *internet
	box     box
	local   netip.AddrPort
	receive func(Socket, []byte, netip.AddrPort)
	unused  *PacketSocket

	mu      sync.Mutex
	outside map[netip.AddrPort]*PacketSocket // by destination, if that matters
	sent    map[netip.AddrPort]bool          // where something was sent to
	closed  bool
}

func (s *boxedSocket) AddrPort() netip.AddrPort { return s.local }

func (s *boxedSocket) WriteTo(b []byte, to netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	key := netip.AddrPort{}
	if s.box == boxRandomNAT {
		key = to
	}
	out := s.outside[key]
	if out == nil {
		var err error
		if out, err = s.net.listen(netip.AddrPortFrom(s.local.Addr(), 0), s.fromOutside); err != nil {
			return err
		}
		s.outside[key] = out
	}
	s.sent[to] = true
	return out.WriteTo(b, to)
}

func (s *boxedSocket) fromOutside(on Socket, b []byte, from netip.AddrPort) {
	s.mu.Lock()
	pass := s.sent[from] && on != Socket(s.unused)
	s.mu.Unlock()
	if pass {
		s.receive(s, b, from)
	}
}

func (s *boxedSocket) Close() error {
	s.mu.Lock()
	s.closed = true
	sockets := make([]*PacketSocket, 0, len(s.outside)+1)
	for _, out := range s.outside {
		sockets = append(sockets, out)
	}
	if s.unused != nil {
		sockets = append(sockets, s.unused)
	}
	s.mu.Unlock()
	for _, out := range sockets {
		if err := out.Close(); err != nil {
			return err
		}
	}
	return nil
}

// bootstrapper starts the first node of a network.
func (n *internet) bootstrapper(t testing.TB) *Node {
	t.Helper()
	ip, o := n.host(boxNone)
	boot, err := NewBootstrapper(netip.AddrPortFrom(ip, 49737), o)
	if err != nil {
		t.Fatal(err)
	}
	start(t, boot)
	ready(t, boot)
	return boot
}

// node starts a node, without waiting until it is ready.
func (n *internet) node(t testing.TB, boot *Node, b box, change func(*Options)) *Node {
	t.Helper()
	_, o := n.host(b)
	if boot != nil {
		o.Bootstrap = []string{boot.ServerSocket().AddrPort().String()}
	}
	if change != nil {
		change(o)
	}
	node, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	start(t, node)
	return node
}

func start(t testing.TB, n *Node) {
	t.Helper()
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
}

func ready(t testing.TB, nodes ...*Node) {
	t.Helper()
	for _, n := range nodes {
		if err := n.Ready(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// persistent are the options of a node that is part of the network at once.
func persistent(o *Options) { o.Mode, o.NotFirewalled = Persistent, true }
