package dht

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

var (
	privateNets = prefixes("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
	// Of no use to anybody.
	reservedNets = prefixes("0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")
)

func prefixes(texts ...string) []netip.Prefix {
	p := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		p[i] = netip.MustParsePrefix(t)
	}
	return p
}

func within(a netip.Addr, nets []netip.Prefix) bool {
	return slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(a) })
}

func isPrivate(a netip.AddrPort) bool  { return within(a.Addr(), privateNets) }
func isReserved(a netip.AddrPort) bool { return within(a.Addr(), reservedNets) }
func isBogon(a netip.AddrPort) bool    { return isPrivate(a) || isReserved(a) }

// localAddresses remembers which addresses of the machine work.
type localAddresses struct {
	mu     sync.Mutex
	tested map[netip.Addr]*localTest
}

type localTest struct {
	done chan struct{}
	ok   bool // valid when done is closed
}

// forget tests them again, since the network has changed.
func (l *localAddresses) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tested = nil
}

// localAddrs returns the addresses of the server socket in the local network.
func (n *Node) localAddrs() []netip.AddrPort {
	s := n.serverSocket()
	if s == nil {
		return nil
	}
	local := s.AddrPort()
	if host := local.Addr(); !host.IsUnspecified() {
		return []netip.AddrPort{local}
	}
	var addrs []netip.AddrPort
	if list := n.opts.RPC.Interfaces; list != nil {
		all, err := list()
		if err != nil {
			n.log.Debug("reading interfaces failed", "error", err)
		}
		for _, i := range all {
			if i.Addr.Is4() && !i.Internal {
				addrs = append(addrs, netip.AddrPortFrom(i.Addr, local.Port()))
			}
		}
	}
	if len(addrs) == 0 {
		addrs = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), local.Port())}
	}
	return addrs
}

// workingAddrs returns those of localAddrs at which the machine can reach itself.
// It may wait for half a second.
func (n *Node) workingAddrs() []netip.AddrPort {
	addrs := n.localAddrs()
	tests := make([]*localTest, len(addrs))
	for i, a := range addrs {
		tests[i] = n.testLocal(a.Addr())
	}
	working := addrs[:0]
	for i, t := range tests {
		select {
		case <-t.done:
			if t.ok {
				working = append(working, addrs[i])
			}
		case <-n.ctx.Done():
		}
	}
	return working
}

func (n *Node) testLocal(host netip.Addr) *localTest {
	l := &n.locals
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tested[host]; t != nil {
		return t
	}
	t := &localTest{done: make(chan struct{})}
	if l.tested == nil {
		l.tested = make(map[netip.Addr]*localTest)
	}
	l.tested[host] = t
	if !n.spawn(func() {
		defer close(t.done)
		t.ok = n.reachesItself(host)
	}) {
		close(t.done)
	}
	return t
}

// reachesItself reports whether a datagram from an address of the machine to itself
// arrives.
func (n *Node) reachesItself(host netip.Addr) bool {
	conn, err := n.opts.ListenPacket(netip.AddrPortFrom(host, 0))
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	if _, err := conn.WriteTo(probe, conn.LocalAddr()); err != nil {
		return false
	}
	_, _, err = conn.ReadFrom(make([]byte, 1))
	return err == nil
}

// matchAddr returns the one of the other side's addresses that has the most leading
// octets in common with one of ours, at least the first one.
func matchAddr(ours, theirs []netip.AddrPort) (best netip.AddrPort, ok bool) {
	most := 0
	for _, a := range ours {
		for _, b := range theirs {
			if c := min(commonOctets(a.Addr(), b.Addr()), 3); c > most {
				best, most = b, c
			}
		}
	}
	return best, most > 0
}

func commonOctets(a, b netip.Addr) int {
	if !a.Is4() || !b.Is4() {
		return 0
	}
	x, y := a.As4(), b.As4()
	n := 0
	for n < len(x) && x[n] == y[n] {
		n++
	}
	return n
}
