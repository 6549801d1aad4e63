package rpc

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Node is a member of the network. Its methods may be called by several goroutines
// at once.
type Node struct {
	opts      Options
	bootstrap []bootstrapNode

	ctx       context.Context // ends with Close
	cancel    context.CancelCauseFunc
	tasks     sync.WaitGroup
	wake      chan struct{} // tells run that something is due earlier than it thinks
	ready     chan struct{} // closed when bootstrapping is over
	resolver  resolver
	addresses addresses

	// life is held by Start, Suspend, Resume and Close, one after the other. It is
	// locked before mu and guards the fields after it.
	life    sync.Mutex
	started bool
	bound   struct{ client, server uint16 } // ports, to be tried first on Resume
	seed    netip.Addr                      // of a bootstrapper: its public address

	// mu guards the fields after it. While it is held, nothing is sent or waited for,
	// and nobody else's code is called but Options.FilterNode.
	mu    sync.Mutex
	core  *core
	armed time.Time // when run wakes up; zero if it does not
}

// New makes a node, which takes part in the network once it is started. Nil options
// are the zero value.
func New(o *Options) (*Node, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{opts: opts, wake: make(chan struct{}, 1), ready: make(chan struct{})}
	for _, s := range opts.Bootstrap {
		b, err := parseBootstrap(s)
		if err != nil {
			return nil, err
		}
		n.bootstrap = append(n.bootstrap, b)
	}
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	n.core = newCore(time.Now(), &opts)
	return n, nil
}

// NewBootstrapper makes the first node of a network, which nobody can tell its
// address: public, an IPv4 address by which others reach it. If its port is zero,
// any is taken. Of the options Port, FixedPort, Mode and NotFirewalled are set; with
// the others, bootstrappers may know each other.
func NewBootstrapper(public netip.AddrPort, o *Options) (*Node, error) {
	if host := public.Addr(); !isIPv4(host) || host.IsUnspecified() {
		return nil, fmt.Errorf("rpc: public address %v: %w", public, ErrAddress)
	}
	var opts Options
	if o != nil {
		opts = *o
	}
	opts.Port, opts.PortEnd, opts.FixedPort = public.Port(), 0, true
	opts.Mode, opts.NotFirewalled = Persistent, true
	n, err := New(&opts)
	if err != nil {
		return nil, err
	}
	n.seed = public.Addr().Unmap()
	return n, nil
}

// unlock unlocks mu and does what was left to do meanwhile.
func (n *Node) unlock() {
	c := n.core
	if next := c.next(); !next.IsZero() && (n.armed.IsZero() || next.Before(n.armed)) {
		n.armed = next
		select {
		case n.wake <- struct{}{}:
		default: // it will see both
		}
	}
	if len(c.outbox) == 0 && len(c.events) == 0 {
		n.mu.Unlock()
		return
	}
	var few [16]datagram
	out := append(few[:0], c.outbox...)
	clear(c.outbox)
	c.outbox = c.outbox[:0]
	events := c.events
	c.events = nil
	n.mu.Unlock()

	for i := range out {
		out[i].send()
	}
	for _, e := range events {
		n.opts.OnEvent(e)
	}
}

// send sends a datagram. That it is lost is nothing special.
func (d *datagram) send() {
	if d.ttl != 0 {
		if s, ok := d.socket.(TTLSender); ok {
			_ = s.WriteToTTL(d.packet, d.to, d.ttl)
			return
		}
	}
	_ = d.socket.WriteTo(d.packet, d.to)
}

// spawn runs f in a goroutine that Close waits for, unless the node is closed.
func (n *Node) spawn(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.core.closed {
		n.tasks.Go(f)
	}
}

// run does what is due until the node is closed.
func (n *Node) run() {
	timer := time.NewTimer(tickInterval)
	defer timer.Stop()
	for {
		n.mu.Lock()
		jobs := n.core.advance(time.Now())
		next := n.core.next()
		n.armed = next
		n.unlock()

		if jobs&jobInterfaces != 0 {
			n.checkAddresses()
		}
		if jobs&jobRefresh != 0 {
			n.Refresh()
		}
		if jobs&jobNetworkState != 0 {
			n.spawn(func() { n.updateNetworkState(false) })
		}

		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-timer.C:
		case <-n.wake:
		case <-n.ctx.Done():
			return
		}
	}
}

// Receive takes in a datagram that arrived on one of the node's sockets, or on
// another one for a request that left from it. It ignores what is not a message. It
// does not keep b.
func (n *Node) Receive(s Socket, b []byte, from netip.AddrPort) {
	from = plain(from)
	if len(b) < 2 || len(b) > MaxDatagram || !isUsable(from) {
		return
	}
	switch b[0] {
	case requestHeader:
		n.receiveRequest(s, b, from)
	case replyHeader:
		n.receiveReply(s, b, from)
	}
}

func (n *Node) receiveReply(s Socket, b []byte, from netip.AddrPort) {
	var p replyPacket
	if err := p.decode(b); err != nil {
		n.opts.Logger.Debug("dropped reply", "from", from, "error", err)
		return
	}
	n.mu.Lock()
	if n.core.arrived(s, from) {
		n.core.reply(time.Now(), s, &p, from)
	}
	n.unlock()
}

func (n *Node) receiveRequest(s Socket, b []byte, from netip.AddrPort) {
	var p requestPacket
	if err := p.decode(b); err != nil {
		n.opts.Logger.Debug("dropped request", "from", from, "error", err)
		return
	}
	r := requests.Get().(*Request)
	defer func() {
		*r = Request{}
		requests.Put(r)
	}()
	*r = Request{
		From: from, FromID: provenID(p.id, from), To: p.to, Command: p.command, Token: p.token, Value: p.value,
		Socket: s, node: n, tid: p.tid, internal: p.internal,
	}
	if p.target != nil {
		r.target = ID(p.target)
		r.Target = &r.target
	}

	var a answer
	v := toIgnore
	n.mu.Lock()
	if n.core.arrived(s, from) {
		v = n.core.request(time.Now(), r, &a)
	}
	n.unlock()

	switch {
	case v == toIgnore:
		return
	case v == toHandle && n.opts.OnRequest != nil && n.opts.OnRequest(r):
		return
	case v == toHandle:
		a.code, a.closer = UnknownCommand, true
	}
	_ = r.send(&a) // a lost answer is nothing special
}

// Ready waits until the node has found its place in the network, and found out, if
// there was a sign of it, that it is not firewalled.
func (n *Node) Ready(ctx context.Context) error {
	select {
	case <-n.ready:
		return nil
	default:
	}
	select {
	case <-n.ready:
		return nil
	case <-n.ctx.Done():
		return context.Cause(n.ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
