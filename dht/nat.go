package dht

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
	"github.com/cairn-feeds/cairn/dht/udx"
)

// natSamples is how many samples an analysis is made of.
const natSamples = 4

// nat is what is known about the NAT that a socket is behind. A sample is what one
// node sees as the socket's address. The answer depends on the hits of hosts and of
// whole addresses:
//
//	not firewalled                                     open
//	fewer than 3 samples                               unknown
//	the best address has 3 hits or more                consistent
//	it has 1                                           random
//	it has 2:  one host, 4 samples or more             random
//	           several hosts, second address has 2     consistent
//	           more than 4 samples                     random
//	           otherwise                               unknown
type nat struct {
	open bool          // not firewalled
	done chan struct{} // closed when there is an answer, or no more samples come

	mu        sync.Mutex
	sampled   int
	hosts     []natCount // only hosts, most hits first
	full      []natCount // hosts and ports, most hits first
	visited   map[netip.AddrPort]bool
	firewall  messages.Firewall
	addresses []netip.AddrPort
	frozen    bool
	finished  bool // done is closed
}

type natCount struct {
	addr netip.AddrPort
	hits int
}

func newNAT(firewalled bool) *nat {
	n := &nat{open: !firewalled, done: make(chan struct{}), visited: make(map[netip.AddrPort]bool)}
	if n.open {
		n.firewall = messages.FirewallOpen
	}
	return n
}

// sample asks nodes what they see as the address of a socket, until there are enough
// samples.
func (n *nat) sample(ctx context.Context, node *rpc.Node, s *udx.Socket) {
	defer n.finish()
	asked := make(map[netip.AddrPort]bool)
	for range 2 {
		nodes := node.Nodes(64)
		if len(nodes) >= 8 {
			nodes = nodes[5:] // not everybody's newest ones
		}
		var pings sync.WaitGroup
		n.mu.Lock()
		missing := natSamples - n.sampled
		n.mu.Unlock()
		for _, to := range nodes {
			if missing <= 0 {
				break
			}
			if asked[to] {
				continue
			}
			asked[to] = true
			missing--
			pings.Go(func() {
				if r, err := node.Ping(ctx, to, &rpc.RequestOptions{Socket: s, NoRetry: true}); err == nil {
					n.add(r.To, r.From)
				}
			})
		}
		pings.Wait()
		if ctx.Err() != nil {
			return
		}
	}
}

func (n *nat) finish() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.finishLocked()
}

func (n *nat) finishLocked() {
	if !n.finished {
		n.finished = true
		close(n.done)
	}
}

// add takes in that the node at from sees the socket at addr. Each node counts once.
func (n *nat) add(addr, from netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.visited[from] || !addr.IsValid() {
		return
	}
	n.visited[from] = true
	n.sampled++
	n.hosts = count(n.hosts, netip.AddrPortFrom(addr.Addr(), 0))
	n.full = count(n.full, addr)
	if !n.frozen && (n.sampled >= 3 || n.open) {
		n.update()
	}
	if n.firewall == messages.FirewallConsistent || n.firewall == messages.FirewallOpen || n.sampled >= natSamples {
		n.finishLocked()
	}
}

func count(counts []natCount, addr netip.AddrPort) []natCount {
	i := slices.IndexFunc(counts, func(c natCount) bool { return c.addr == addr })
	if i < 0 {
		return append(counts, natCount{addr, 1})
	}
	counts[i].hits++
	for ; i > 0 && counts[i-1].hits < counts[i].hits; i-- {
		counts[i-1], counts[i] = counts[i], counts[i-1]
	}
	return counts
}

func (n *nat) update() {
	n.firewall = n.judge()
	n.addresses = nil
	switch n.firewall {
	case messages.FirewallRandom:
		n.addresses = []netip.AddrPort{n.hosts[0].addr}
	case messages.FirewallConsistent, messages.FirewallOpen:
		for _, c := range n.full {
			if c.hits >= 2 || len(n.addresses) < 2 {
				n.addresses = append(n.addresses, c.addr)
			}
		}
	default: // the others are not for here
	}
}

func (n *nat) judge() messages.Firewall {
	if n.open {
		return messages.FirewallOpen
	}
	if n.sampled < 3 {
		return n.firewall
	}
	switch best := n.full[0].hits; {
	case best >= 3:
		return messages.FirewallConsistent
	case best == 1:
		return messages.FirewallRandom
	case len(n.hosts) == 1 && n.sampled > 3:
		return messages.FirewallRandom
	case len(n.hosts) > 1 && n.full[1].hits > 1:
		return messages.FirewallConsistent
	case n.sampled > natSamples:
		return messages.FirewallRandom
	}
	return n.firewall
}

// freeze keeps the answer as it is, since it was told to the other side.
func (n *nat) freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen = true
}

// state returns the answer, and the addresses at which others see the socket.
func (n *nat) state() (messages.Firewall, []netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.firewall, n.addresses
}

// consistent reports whether the port of a socket behind such a firewall is the same
// for all who send to it.
func consistent(f messages.Firewall) bool {
	return f == messages.FirewallOpen || f == messages.FirewallConsistent
}
