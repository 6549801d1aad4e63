package dht

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
	"github.com/cairn-feeds/cairn/dht/udx"
)

const (
	// birthdaySockets is how many sockets a side with random ports opens, so that one of
	// the other side's guesses is likely to hit one of them.
	birthdaySockets = 256
	// maxReopens is how many other sockets are tried when the first one's NAT cannot be
	// punched through.
	maxReopens = 3
	// Strategies that guess ports send this many probes, this far apart: 35 seconds.
	randomTries    = 1750
	randomInterval = 20 * time.Millisecond
	// Others send to every address this often, this far apart.
	consistentTries    = 10
	consistentInterval = time.Second
)

// puncher opens a way through NATs for one connection. Its first socket is new, so
// that the NAT has no mapping for it.
type puncher struct {
	node      *Node
	ctx       context.Context
	cancel    context.CancelFunc
	initiator bool
	// found is called once when a probe of the other side arrived. Only the initiator
	// gets to know it like that, the other side from the stream's first packet.
	found func(s *udx.Socket, from netip.AddrPort)
	// given up is closed when all probes were sent.
	givenUp chan struct{}

	reopening chan struct{} // has room for who tries other sockets

	mu       sync.Mutex
	sockets  []*punchSocket // the first is the one that messages go through
	nat      *nat
	remote   remoteSide
	punching bool // probes are being sent
	over     bool // a way was found, or close was called
	random   bool // counts as one of Node.punches
}

// remoteSide is what the other side said of itself.
type remoteSide struct {
	firewall  messages.Firewall
	addresses []remoteAddress
	punching  bool
}

// remoteAddress is verified if the other side has proven to receive what is sent
// to its host.
type remoteAddress struct {
	netip.AddrPort
	verified bool
}

// punchSocket is a socket of a puncher. It closes when the puncher has no use for it
// and no stream is connected through it.
type punchSocket struct {
	*udx.Socket
	puncher  *puncher
	stop     context.CancelFunc // sampling
	released atomic.Bool
	closing  sync.Once
}

// newPuncher makes a puncher, which begins to find out about the NAT. It must be
// closed.
func (n *Node) newPuncher(ctx context.Context, initiator bool, remote messages.Firewall, found func(s *udx.Socket, from netip.AddrPort)) (*puncher, error) {
	p := &puncher{node: n, initiator: initiator, found: found, givenUp: make(chan struct{}), reopening: make(chan struct{}, 1)}
	p.ctx, p.cancel = context.WithCancel(ctx)
	p.remote.firewall = remote
	if err := p.renew(); err != nil {
		p.cancel()
		return nil, err
	}
	return p, nil
}

// open opens another socket.
func (p *puncher) open() (*punchSocket, error) {
	s := &punchSocket{puncher: p, stop: func() {}}
	host := p.node.opts.RPC.Host
	if !host.IsValid() {
		host = netip.IPv4Unspecified()
	}
	sock, err := p.node.open(netip.AddrPortFrom(host, 0), func(sock *udx.Socket, b []byte, from netip.AddrPort) {
		if len(b) == 1 {
			p.probed(sock, from)
		} else {
			p.node.rpc.Receive(sock, b, from)
		}
	}, func() {
		if s.released.Load() {
			p.node.spawn(s.close)
		}
	})
	if err != nil {
		return nil, err
	}
	s.Socket = sock
	if !p.node.punchSockets.add(s) {
		s.close()
		return nil, ErrClosed
	}
	return s, nil
}

// renew replaces the socket by a new one and begins to find out about its NAT.
func (p *puncher) renew() error {
	s, err := p.open()
	if err != nil {
		return err
	}
	nat := newNAT(p.node.rpc.Firewalled())
	var ctx context.Context
	ctx, s.stop = context.WithCancel(p.ctx)
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		s.free()
		return context.Canceled
	}
	old := p.sockets
	p.sockets, p.nat = []*punchSocket{s}, nat
	p.mu.Unlock()
	for _, o := range old {
		o.free()
	}
	if !p.node.spawn(func() { nat.sample(ctx, p.node.rpc, s.Socket) }) {
		nat.finish()
	}
	return nil
}

// free closes a socket as soon as no stream uses it.
func (s *punchSocket) free() {
	s.stop()
	s.released.Store(true)
	if s.Streams() == 0 {
		s.close()
	}
}

// close closes a socket with the streams that use it.
func (s *punchSocket) close() {
	s.closing.Do(func() {
		s.puncher.node.punchSockets.remove(s)
		_ = s.Close()
	})
}

// punchSockets are the sockets of punchers that are open.
type punchSockets struct {
	mu     sync.Mutex
	open   map[*punchSocket]struct{}
	closed bool // no more are taken
}

func (p *punchSockets) add(s *punchSocket) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if p.open == nil {
		p.open = make(map[*punchSocket]struct{})
	}
	p.open[s] = struct{}{}
	return true
}

func (p *punchSockets) remove(s *punchSocket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, s)
}

// closeAll closes all of them. With reopen, more may be added later.
func (p *punchSockets) closeAll(reopen bool) {
	p.mu.Lock()
	all := slices.Collect(maps.Keys(p.open))
	p.closed = !reopen
	p.mu.Unlock()
	for _, s := range all {
		s.close()
	}
}

// socket returns the socket that messages go through.
func (p *puncher) socket() *udx.Socket {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sockets) == 0 {
		return nil
	}
	return p.sockets[0].Socket
}

// local returns what is known of our side.
func (p *puncher) local() (messages.Firewall, []netip.AddrPort) {
	p.mu.Lock()
	nat := p.nat
	p.mu.Unlock()
	return nat.state()
}

// sampled takes in how a node sees the socket.
func (p *puncher) sampled(r *rpc.Reply) { p.seen(r.To, r.From) }

func (p *puncher) seen(addr, from netip.AddrPort) {
	p.mu.Lock()
	nat := p.nat
	p.mu.Unlock()
	nat.add(addr, from)
}

func (p *puncher) freeze() {
	p.mu.Lock()
	nat := p.nat
	p.mu.Unlock()
	nat.freeze()
}

// update takes in what the other side says of itself. verified is a host that it has
// proven to receive at; not valid for none.
func (p *puncher) update(m *messages.HolepunchPayload, verified netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.remote.addresses
	known := func(host netip.Addr) bool {
		for _, a := range old {
			if a.verified && a.Addr() == host {
				return true
			}
		}
		return false
	}
	addresses := m.Addresses[:min(len(m.Addresses), maxRemoteAddresses)]
	p.remote = remoteSide{firewall: m.Firewall, punching: m.Punching}
	for _, a := range addresses {
		p.remote.addresses = append(p.remote.addresses, remoteAddress{a, a.Addr() == verified || known(a.Addr())})
	}
}

// maxRemoteAddresses bounds where the other side can have us send probes to.
const maxRemoteAddresses = 8

func (p *puncher) remoteState() remoteSide {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.remote
}

// analyze waits for the analysis of the NAT. It reports whether a way through it may
// be found; with reopen other sockets are tried if it does not look so.
func (p *puncher) analyze(ctx context.Context, reopen bool) bool {
	p.await(ctx)
	if !p.unstable() {
		return true
	}
	if !reopen {
		return false
	}
	select {
	case p.reopening <- struct{}{}:
		defer func() { <-p.reopening }()
	case <-ctx.Done():
		return false
	}
	for i := 0; i < maxReopens && p.unstable() && ctx.Err() == nil; i++ {
		p.mu.Lock()
		stop := p.over || p.punching
		p.mu.Unlock()
		if stop || p.renew() != nil {
			return false
		}
		p.await(ctx)
	}
	firewall, _ := p.local()
	return consistent(firewall)
}

func (p *puncher) await(ctx context.Context) {
	p.mu.Lock()
	nat := p.nat
	p.mu.Unlock()
	select {
	case <-nat.done:
	case <-ctx.Done():
	case <-p.ctx.Done():
	}
}

func (p *puncher) unstable() bool {
	firewall, _ := p.local()
	return firewall == messages.FirewallUnknown ||
		firewall == messages.FirewallRandom && p.remoteState().firewall >= messages.FirewallRandom
}

// probed handles a probe that arrived.
func (p *puncher) probed(s *udx.Socket, from netip.AddrPort) {
	if !p.initiator {
		sendProbe(s, from, false)
		return
	}
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return
	}
	p.over, p.punching = true, false
	p.mu.Unlock()
	p.found(s, from)
	p.close()
}

// probing reports whether probes are being sent.
func (p *puncher) probing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.punching
}

// isRandom reports whether ports must be guessed.
func (p *puncher) isRandom() bool {
	firewall, _ := p.local()
	return firewall >= messages.FirewallRandom || p.remoteState().firewall >= messages.FirewallRandom
}

// punch begins to send probes. It reports whether there is a way to do that. When
// isRandom, Node.punches must have been asked; the puncher gives back what it got.
func (p *puncher) punch() bool {
	local, _ := p.local()
	p.mu.Lock()
	if p.punching {
		p.mu.Unlock()
		return true
	}
	remote := p.remote
	if p.over || len(remote.addresses) == 0 || len(p.sockets) == 0 {
		p.mu.Unlock()
		return false
	}
	var verified netip.AddrPort
	for _, a := range remote.addresses {
		if a.verified {
			verified = a.AddrPort
			break
		}
	}
	socket := p.sockets[0].Socket
	var strategy func()
	switch {
	case consistent(local) && consistent(remote.firewall):
		strategy = func() { p.probeAddresses(socket) }
	case consistent(local) && remote.firewall >= messages.FirewallRandom && verified.IsValid():
		strategy = func() { p.guessPorts(socket, verified.Addr()) }
	case local >= messages.FirewallRandom && consistent(remote.firewall) && verified.IsValid():
		strategy = func() { p.openMany(verified) }
	default:
		p.mu.Unlock()
		return false
	}
	p.punching = true
	p.mu.Unlock()
	return p.node.spawn(func() {
		strategy()
		p.mu.Lock()
		p.punching = false
		p.mu.Unlock()
		close(p.givenUp)
	})
}

// pause waits. It reports whether probes are still to be sent.
func (p *puncher) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return p.probing()
	case <-p.ctx.Done():
		return false
	}
}

// probeAddresses sends to the addresses of the other side, when both sides keep
// their ports.
func (p *puncher) probeAddresses(s *udx.Socket) {
	if !p.initiator && !p.pause(consistentInterval) {
		return // a probe was sent already when the initiator told us its address
	}
	for try := 1; try <= consistentTries; try++ {
		for _, a := range p.remoteState().addresses {
			if a.verified || try%4 == 0 {
				sendProbe(s, a.AddrPort, false)
			}
		}
		if !p.pause(consistentInterval) {
			return
		}
	}
}

// guessPorts sends to random ports of the other side's host.
func (p *puncher) guessPorts(s *udx.Socket, host netip.Addr) {
	for range randomTries {
		sendProbe(s, netip.AddrPortFrom(host, uint16(1000+rand.IntN(64536))), false)
		if !p.pause(randomInterval) {
			return
		}
	}
}

// openMany sends to the other side's address from many sockets, each of which gets
// another port of our NAT.
func (p *puncher) openMany(to netip.AddrPort) {
	for p.probing() {
		p.mu.Lock()
		enough := len(p.sockets) >= birthdaySockets
		p.mu.Unlock()
		if enough {
			break
		}
		s, err := p.open()
		if err != nil {
			break // there are as many as there can be
		}
		p.mu.Lock()
		if p.over {
			p.mu.Unlock()
			s.free()
			return
		}
		p.sockets = append(p.sockets, s)
		p.mu.Unlock()
		sendProbe(s.Socket, to, true)
	}
	if !p.pause(100 * time.Millisecond) {
		return
	}
	p.mu.Lock()
	sockets := append([]*punchSocket(nil), p.sockets...)
	p.mu.Unlock()
	for i := range randomTries {
		sendProbe(sockets[i%len(sockets)].Socket, to, i < len(sockets))
		if !p.pause(randomInterval) {
			return
		}
	}
}

// close ends probing and closes the sockets, except those that streams use.
func (p *puncher) close() {
	p.cancel()
	p.mu.Lock()
	p.over, p.punching = true, false
	sockets, random := p.sockets, p.random
	p.sockets, p.random = nil, false
	p.mu.Unlock()
	for _, s := range sockets {
		s.free()
	}
	if random {
		p.node.punches.end(true)
	}
}

// hold makes the puncher give back what Node.punches gave.
func (p *puncher) hold() {
	p.mu.Lock()
	over := p.over
	p.random = p.random || !over
	p.mu.Unlock()
	if over {
		p.node.punches.end(false)
	}
}

// punchLimit sees to it that there is one holepunch with guessed ports at a time, and
// time between two: they send thousands of packets, which fills the tables of NATs.
type punchLimit struct {
	mu       sync.Mutex
	interval time.Duration
	deferred bool
	active   bool
	last     time.Time // when the last one ended
}

func (l *punchLimit) init(o *Options) {
	l.interval, l.deferred = o.RandomPunchInterval, o.DeferRandomPunch
	l.resumed()
}

// resumed begins to defer anew, if that is wanted.
func (l *punchLimit) resumed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deferred {
		l.last = time.Now()
	}
}

// begin reports whether a holepunch with guessed ports may begin; then end must be
// called.
func (l *punchLimit) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active || !l.last.IsZero() && time.Since(l.last) < l.interval {
		return false
	}
	l.active = true
	return true
}

// end ends it; sent says whether it sent anything.
func (l *punchLimit) end(sent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active = false
	if sent {
		l.last = time.Now()
	}
}
