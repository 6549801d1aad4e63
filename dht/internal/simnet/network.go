package simnet

import (
	"container/heap"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// DefaultTTL is the time to live of packets whose sender did not choose one.
const DefaultTTL = 64

// Packet is a datagram on its way.
type Packet struct {
	Src, Dst netip.AddrPort
	TTL      int
	Data     []byte // must not be changed once the packet was sent
}

// Network is an address space and the links between its addresses. All its
// methods may be called concurrently, also from handlers and gateways.
type Network struct {
	seed uint64

	mu       sync.Mutex
	link     Link                     // of pairs without one of their own
	links    map[[2]netip.Addr]Link   // by source and destination
	cut      map[[2]netip.Addr]bool   // likewise
	ways     map[[2]netip.Addr]*way   // likewise
	conns    map[netip.AddrPort]*Conn // who listens
	handlers map[netip.Addr]func(p Packet)
	gateway  func(p Packet)
	ports    uint16
	transit  transit
	sent     uint64 // packets; breaks ties between arrivals at one instant
	timer    *time.Timer
	armed    time.Time
	busy     bool // deliver is at work
	stats    Stats
}

// Stats counts packets.
type Stats struct {
	Sent      uint64 // handed to the network, duplicates not included
	Delivered uint64 // to a host, a handler or the gateway
	Dropped   uint64 // by links
}

// New returns an empty network whose links deliver everything at once.
func New(seed uint64) *Network {
	return &Network{
		seed:     seed,
		links:    make(map[[2]netip.Addr]Link),
		cut:      make(map[[2]netip.Addr]bool),
		ways:     make(map[[2]netip.Addr]*way),
		conns:    make(map[netip.AddrPort]*Conn),
		handlers: make(map[netip.Addr]func(p Packet)),
		ports:    49151,
	}
}

// SetLink sets the link of all pairs of addresses that have none of their own.
func (n *Network) SetLink(l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.link = l
}

// SetLinkBetween sets the links between two addresses, both ways.
func (n *Network) SetLinkBetween(a, b netip.Addr, l Link) {
	n.SetLinkFrom(a, b, l)
	n.SetLinkFrom(b, a, l)
}

// SetLinkFrom sets the link from one address to another.
func (n *Network) SetLinkFrom(from, to netip.Addr, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[[2]netip.Addr{from, to}] = l
}

// Partition cuts every address of one side off from every address of the other,
// both ways. Packets on their way still arrive.
func (n *Network) Partition(one, other []netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range one {
		for _, b := range other {
			n.cut[[2]netip.Addr{a, b}] = true
			n.cut[[2]netip.Addr{b, a}] = true
		}
	}
}

// Heal ends all partitions.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
}

// SetGateway gives f the packets for addresses that nobody has. It runs without
// a lock, one call at a time in the order of arrival, and must not block.
func (n *Network) SetGateway(f func(p Packet)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gateway = f
}

// Handle gives f all packets for an address, whatever their port; nil ends that.
// Hosts that listen on a port of that address come first. f runs as a gateway
// does.
func (n *Network) Handle(addr netip.Addr, f func(p Packet)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if f == nil {
		delete(n.handlers, addr)
	} else {
		n.handlers[addr] = f
	}
}

// Listen returns a host's socket. Port 0 means any that is free. The error wraps
// syscall.EADDRINUSE.
func (n *Network) Listen(addr netip.AddrPort) (*Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Port() == 0 {
		for taken := true; taken; _, taken = n.conns[addr] {
			if n.ports++; n.ports < 49152 {
				n.ports = 49152
			}
			addr = netip.AddrPortFrom(addr.Addr(), n.ports)
		}
	}
	if n.conns[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "sim", Err: fmt.Errorf("%v: %w", addr, syscall.EADDRINUSE)}
	}
	c := newConn(n, addr)
	n.conns[addr] = c
	return c, nil
}

// Stats returns what was counted so far.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// Send puts a packet on the link from its source to its destination, whether or
// not somebody listens at the source. It never blocks.
func (n *Network) Send(p Packet) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stats.Sent++
	pair := [2]netip.Addr{p.Src.Addr(), p.Dst.Addr()}
	link, ok := n.links[pair]
	if !ok {
		link = n.link
	}
	w := n.ways[pair]
	if w == nil {
		w = newWay(n.seed, pair[0], pair[1])
		n.ways[pair] = w
	}
	if n.cut[pair] {
		n.stats.Dropped++
		return
	}
	now := time.Now()
	arrivals := w.arrivals(&link, now, &p)
	if len(arrivals) == 0 {
		n.stats.Dropped++
		return
	}
	for _, at := range arrivals {
		n.sent++
		heap.Push(&n.transit, arrival{at, n.sent, p})
	}
	n.arm(now)
}

// arm sets the timer for the next arrival.
func (n *Network) arm(now time.Time) {
	if len(n.transit) == 0 || n.busy {
		return
	}
	next := n.transit[0].at
	if !n.armed.IsZero() && !n.armed.After(next) {
		return
	}
	n.armed = next
	if n.timer == nil {
		n.timer = time.AfterFunc(next.Sub(now), n.deliver)
	} else {
		n.timer.Reset(next.Sub(now))
	}
}

// deliver hands out what has arrived, on the goroutine of the timer. Handlers
// run without the lock, and what they send is delivered by the same call, so that
// there is one of it at a time.
func (n *Network) deliver() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.armed = time.Time{}
	if n.busy {
		return
	}
	n.busy = true
	now := time.Now()
	for len(n.transit) > 0 && !n.transit[0].at.After(now) {
		p := heap.Pop(&n.transit).(arrival).p
		conn, handler := n.conns[p.Dst], n.handlers[p.Dst.Addr()]
		if handler == nil {
			handler = n.gateway
		}
		switch {
		case conn != nil:
			n.stats.Delivered++
			conn.put(p)
		case handler != nil:
			n.stats.Delivered++
			n.mu.Unlock()
			handler(p)
			n.mu.Lock()
		default:
			n.stats.Dropped++
		}
	}
	n.busy = false
	n.arm(now)
}

// arrival is a packet in transit.
type arrival struct {
	at    time.Time
	order uint64
	p     Packet
}

// transit is a heap of arrivals.
type transit []arrival

func (t transit) Len() int { return len(t) }
func (t transit) Less(i, j int) bool {
	if t[i].at.Equal(t[j].at) {
		return t[i].order < t[j].order
	}
	return t[i].at.Before(t[j].at)
}
func (t transit) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *transit) Push(x any)   { *t = append(*t, x.(arrival)) }
func (t *transit) Pop() any {
	old := *t
	x := old[len(old)-1]
	old[len(old)-1] = arrival{}
	*t = old[:len(old)-1]
	return x
}
