package simnet

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// NATOptions are the ways of a NAT. The zero value is a friendly one: a socket keeps
// its public port, whatever it sends to.
type NATOptions struct {
	// Random gives a socket another public port for every destination, at random.
	Random bool
	// Timeout is how long a mapping lives without a packet from inside. Zero means two
	// minutes, as RFC 4787 demands.
	Timeout time.Duration
}

// NAT joins an inner network to an outer one, where all of its hosts have one address.
// A packet from outside passes only if its source, address and port, was sent to from
// the mapping that it is for.
type NAT struct {
	inner, outer *Network
	public       netip.Addr
	opts         NATOptions

	mu     sync.Mutex
	random *rand.Rand
	out    map[natKey]uint16 // public ports
	in     map[uint16]*mapping
}

// natKey is what a mapping is for. The destination is of random NATs only.
type natKey struct{ inside, destination netip.AddrPort }

type mapping struct {
	key  natKey
	sent map[netip.AddrPort]time.Time
	last time.Time
}

// NewNAT puts a NAT between two networks.
func NewNAT(inner, outer *Network, public netip.Addr, o NATOptions) *NAT {
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Minute
	}
	b := public.As16()
	n := &NAT{
		inner: inner, outer: outer, public: public, opts: o,
		random: rand.New(rand.NewPCG(outer.seed, uint64(b[14])<<8|uint64(b[15]))),
		out:    make(map[natKey]uint16), in: make(map[uint16]*mapping),
	}
	inner.SetGateway(n.leave)
	outer.Handle(public, n.enter)
	return n
}

// leave brings a packet out.
func (n *NAT) leave(p Packet) {
	k := natKey{inside: p.Src}
	if n.opts.Random {
		k.destination = p.Dst
	}
	now := time.Now()
	n.mu.Lock()
	port, ok := n.out[k]
	if ok && now.Sub(n.in[port].last) > n.opts.Timeout {
		delete(n.in, port)
		ok = false
	}
	if !ok {
		for port = n.port(); n.in[port] != nil; port = n.port() {
		}
		n.out[k] = port
		n.in[port] = &mapping{key: k, sent: make(map[netip.AddrPort]time.Time)}
	}
	m := n.in[port]
	m.sent[p.Dst], m.last = now, now
	n.mu.Unlock()
	p.Src = netip.AddrPortFrom(n.public, port)
	n.outer.Send(p)
}

func (n *NAT) port() uint16 { return uint16(1024 + n.random.IntN(1<<16-1024)) }

// enter brings a packet in, if it is expected.
func (n *NAT) enter(p Packet) {
	n.mu.Lock()
	m := n.in[p.Dst.Port()]
	now := time.Now()
	pass := m != nil && now.Sub(m.last) <= n.opts.Timeout
	if pass {
		sent, ok := m.sent[p.Src]
		pass = ok && now.Sub(sent) <= n.opts.Timeout
	}
	n.mu.Unlock()
	if pass {
		p.Dst = m.key.inside
		n.inner.Send(p)
	}
}
