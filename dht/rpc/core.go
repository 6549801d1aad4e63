package rpc

import (
	"bytes"
	"crypto/rand"
	mrand "math/rand/v2"
	"net/netip"
	"time"
)

// core is a node without sockets, clock, goroutines and locks. It changes by the
// messages that arrive and the time that passes; every method that needs the time is
// told it. What is to be done outside, it leaves in outbox and
// events, and returns as jobs. Node guards it with a mutex.
type core struct {
	opts Options

	table      *table
	nat        *natSampler
	tokens     tokens
	window     congestion
	calls      calls
	estimator  *estimator // nil unless configured
	health     healthMonitor
	delayed    []delayedPong
	delayedDue time.Time // when the first of them is due
	stats      Stats

	client, server Socket // nil before they are bound

	// serverHosts has, while a firewall probe runs, the hosts that were asked, and
	// whether anything came from them to the server socket.
	serverHosts map[netip.Addr]bool

	ephemeral    bool
	firewalled   bool
	bootstrapped bool
	suspended    bool
	closed       bool

	tick          int // counter; begins at random so that nodes do not act in step
	ticked        time.Time
	nextTick      time.Time // zero while there are none
	refreshTicks  int       // until the next refresh
	stableTicks   int       // until the next attempt to become persistent
	checkedHost   netip.Addr
	swaps         int                         // swap checks that run
	checks        int                         // other pings that run, to known nodes
	vetting       map[netip.AddrPort]struct{} // pings that run, to nodes that would be new
	sampledOnly   []netip.AddrPort            // nodes without id that gave a NAT sample
	downHintsSent int                         // in this tick

	outbox []datagram
	events []Event

	// Scratch space of appendReply.
	nodes []*tableNode
	addrs []byte
	token [tokenSize]byte
}

// datagram is one to send. Its packet does not change any more.
type datagram struct {
	socket Socket
	to     netip.AddrPort
	packet []byte
	ttl    int
}

func newCore(now time.Time, opts *Options) *core {
	c := &core{
		opts:       *opts,
		nat:        &natSampler{},
		window:     congestion{limit: opts.MaxWindow},
		ephemeral:  true,
		firewalled: !opts.NotFirewalled,
		tick:       randomOffset(100),
		ticked:     now.Round(0),
		vetting:    make(map[netip.AddrPort]struct{}),
	}
	var id ID
	rand.Read(id[:])
	c.table = newTable(id)
	c.calls.byTID = make(map[uint16]*call)
	c.calls.nextTID = uint16(mrand.Uint32())
	c.refreshTicks = randomOffset(refreshTicks)
	c.stableTicks = stableTicks
	if opts.AdaptiveTimeout != nil {
		c.estimator = newEstimator(*opts.AdaptiveTimeout)
	}
	for i := len(opts.Nodes) - 1; i >= 0; i-- {
		c.addNode(plain(opts.Nodes[i]))
	}
	return c
}

// randomOffset returns a number from just above n/2 to n.
func randomOffset(n int) int { return n - mrand.IntN(n)/2 }

// socket returns where requests leave from: as long as others may not reach the
// server socket, from the client socket, lest a NAT or firewall opens the server
// socket to them and makes it look reachable.
func (c *core) socket() Socket {
	if c.firewalled {
		return c.client
	}
	return c.server
}

// idOn returns the id that messages from s carry, or nil.
func (c *core) idOn(s Socket) []byte {
	if c.ephemeral || s != c.server {
		return nil
	}
	return c.table.id[:]
}

func (c *core) transmit(s Socket, packet []byte, to netip.AddrPort, ttl int) {
	c.outbox = append(c.outbox, datagram{socket: s, to: to, packet: packet, ttl: ttl})
}

func (c *core) event(kind EventKind, addr netip.AddrPort) {
	if c.opts.OnEvent != nil {
		c.events = append(c.events, Event{Kind: kind, Addr: addr})
	}
}

// closer returns the encoded addresses of the nodes closest to target, valid until
// the next call.
func (c *core) closer(target ID) []byte {
	c.nodes = c.table.closest(c.nodes, target, bucketSize)
	c.addrs = c.addrs[:0]
	for _, n := range c.nodes {
		c.addrs = appendCloser(c.addrs, n.addr)
	}
	return c.addrs
}

// answer is what to reply to a request.
type answer struct {
	socket Socket
	to     netip.AddrPort
	code   Code
	value  []byte
	token  bool
	closer bool // closer nodes, if the request has a target
}

// appendReply encodes an answer to the request with this tid and target.
func (c *core) appendReply(b []byte, now time.Time, tid uint16, target []byte, a *answer) ([]byte, error) {
	p := replyPacket{tid: tid, to: a.to, id: c.idOn(a.socket), code: a.code, value: a.value}
	if a.token {
		p.token = c.tokens.append(c.token[:0], now, a.to.Addr())
	}
	if a.closer && target != nil {
		p.closer = c.closer(ID(target))
	}
	if p.size() > MaxDatagram {
		return b, ErrTooLarge
	}
	return p.append(b), nil
}

// provenID returns the id that a message claims if it is that of its source.
func provenID(id []byte, from netip.AddrPort) ID {
	if id == nil {
		return ID{}
	}
	if proven := IDOf(from); bytes.Equal(proven[:], id) {
		return proven
	}
	return ID{}
}

// arrived is told of every message, and reports whether it is to be read.
func (c *core) arrived(s Socket, from netip.AddrPort) bool {
	if c.suspended || c.closed {
		return false
	}
	if _, asked := c.serverHosts[from.Addr()]; asked && s == c.server {
		c.serverHosts[from.Addr()] = true
	}
	return true
}

// reply takes in a reply. Nobody but the node that was asked may answer, unless the
// caller allows it: the transaction id alone is soon guessed. How we are seen is only
// told by answers to what left from the socket that we use.
func (c *core) reply(now time.Time, s Socket, p *replyPacket, from netip.AddrPort) {
	k := c.calls.byTID[p.tid]
	if k == nil || k.sent == 0 || !k.anySource && from != k.to {
		return
	}
	body := make([]byte, 0, len(p.token)+len(p.value))
	r := &Reply{
		From: from, FromID: k.provenID(p.id, from), To: p.to, Code: p.code,
		CloserNodes: closerNodes(p.closer, bucketSize),
		RTT:         now.Sub(k.first),
	}
	if p.token != nil {
		body = append(body, p.token...)
		r.Token = body[:tokenSize:tokenSize]
	}
	if p.value != nil {
		r.Value = append(body, p.value...)[len(r.Token):]
	}
	if c.estimator != nil && k.sent <= 2 {
		c.estimator.observe(now, k.to, r.RTT)
	}
	c.stats.Responses++
	if cs := c.stats.command(k.command); cs != nil && k.internal {
		cs.Responses++
	}
	c.heard(now, r, s == c.socket() && from == k.to)
	c.settle(now, k, r, nil)
}

// heard records that a node answered us and, if its answer is a sample, how it sees
// us.
func (c *core) heard(now time.Time, r *Reply, sample bool) {
	if c.opts.FilterNode != nil && !c.opts.FilterNode(r.From) {
		return
	}
	sample = sample && isUsable(r.To)
	if r.FromID.IsZero() {
		if sample {
			c.sampleOnly(r.From, r.To)
		}
		return
	}
	n := c.table.get(r.FromID)
	if n != nil {
		n.pinged = c.tick
		c.table.touch(n)
	} else if n = c.add(now, r.From, r.FromID); n == nil {
		return
	}
	if sample && (n.sampled == 0 || c.tick-n.sampled >= oldTicks) {
		n.sampled = c.tick
		c.sampleNAT(r.To)
	}
}

// sampleOnly takes a sample from a node without id, such as a bootstrap node, but
// of few different ones, since anybody may be one.
func (c *core) sampleOnly(from, to netip.AddrPort) {
	if len(c.sampledOnly) >= max(1, len(c.opts.Bootstrap)) {
		return
	}
	for _, addr := range c.sampledOnly {
		if addr == from {
			return
		}
	}
	c.sampledOnly = append(c.sampledOnly, from)
	c.sampleNAT(to)
}

func (c *core) sampleNAT(to netip.AddrPort) {
	host, port := c.nat.host, c.nat.port
	c.nat.add(to)
	if c.nat.host != host || c.nat.port != port {
		c.event(EventNATUpdate, netip.AddrPortFrom(c.nat.host, c.nat.port))
	}
}

// add puts a node into the routing table, and returns nil if there is no room for
// it. In a full row the node not heard from for longest may have to give way.
func (c *core) add(now time.Time, addr netip.AddrPort, id ID) *tableNode {
	n := &tableNode{id: id, addr: addr, added: c.tick, pinged: c.tick}
	if !c.table.add(n) {
		if id != c.table.id {
			c.contest(now, n)
		}
		return nil
	}
	c.event(EventAddNode, addr)
	return n
}

// addNode adds a node that we were told of.
func (c *core) addNode(addr netip.AddrPort) {
	n := &tableNode{id: IDOf(addr), addr: addr, added: c.tick, pinged: c.tick}
	if c.table.add(n) {
		c.event(EventAddNode, addr)
	}
}

func (c *core) remove(n *tableNode) {
	if c.table.remove(n) {
		c.event(EventRemoveNode, n.addr)
	}
}
