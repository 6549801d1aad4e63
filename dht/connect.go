package dht

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/internal/noise"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

// ConnectOptions are optional parts of a connect. The zero value, like nil, is usual.
type ConnectOptions struct {
	// KeyPair is what we show to the server. Nil means the node's.
	KeyPair *KeyPair
	// Nodes are nodes close to the server, where the search for it starts.
	Nodes []netip.AddrPort
	// RelayAddresses are nodes that pass messages on to the server, such as those of an
	// Address; they are asked at once. Nil means those that the last connection to the
	// server came by.
	RelayAddresses []netip.AddrPort
	// NoLocalConnection keeps away from the local network that both may be in.
	NoLocalConnection bool
	// NoFastOpen leaves out the probe before the first holepunch message.
	NoFastOpen bool
	// Holepunch decides whether to open a way through NATs when it comes to that; an
	// error aborts. Nil does.
	Holepunch func(h *Holepunch) error
	// RelayThrough are blind relays, one of which carries the connection, chosen at
	// random, until there is a direct way. Nil means none, unless the server has one.
	RelayThrough []PublicKey
}

// Connect connects to the server with a public key. In turn, and partly at the same
// time, it tries to reach the server directly, through the local network, through holes
// in the NATs of both sides, and through blind relays if there are any.
//
// When ctx ends before there is a connection, so does the attempt; afterwards ctx has
// no meaning. Errors, beside that of ctx, are those listed with ErrPeerNotFound,
// ErrClosed and ErrSuspended.
func (n *Node) Connect(ctx context.Context, key PublicKey, o *ConnectOptions) (*Conn, error) {
	d := &dialer{node: n, key: key, target: key.Target()}
	if o != nil {
		d.opts = *o
	}
	if d.opts.KeyPair == nil {
		d.opts.KeyPair = n.opts.KeyPair
	}
	if err := d.opts.KeyPair.check(); err != nil {
		return nil, err
	}
	// What goes on behind a relayed connection outlives ctx.
	connecting := n.connecting()
	if err := cmp.Or(context.Cause(n.ctx), context.Cause(connecting)); err != nil {
		return nil, fmt.Errorf("connect to %v: %w", key, err)
	}
	wait, done := joined(ctx, connecting)
	defer done()
	attempt, stop := context.WithCancel(connecting)
	conn, err := d.connect(wait, attempt, stop)
	if err != nil {
		stop()
		if wait.Err() != nil {
			err = context.Cause(wait)
		}
		return nil, fmt.Errorf("connect to %v: %w", key, err)
	}
	return conn, nil
}

// dialer is an attempt to connect.
type dialer struct {
	node   *Node
	opts   ConnectOptions
	key    PublicKey
	target rpc.ID
	link   *link

	firewall messages.Firewall
	seed     [32]byte                   // of the handshake's ephemeral key
	payload  []byte                     // of the handshake
	request  []byte                     // the Noise message, the same for all nodes
	through  *messages.RelayThroughInfo // the blind relay that we name

	secret  [32]byte // of our address tokens
	punches *puncher
	round   uint64
}

// answer is what came of the handshake.
type answer struct {
	node    netip.AddrPort // that was asked
	server  netip.AddrPort // where the server is, as seen by its relay
	client  netip.AddrPort // where we are, as seen by the node
	relayed bool
	payload *messages.NoisePayload
	result  noise.Result
	sealed  [32]byte // the key of holepunch messages
}

// connect makes the connection. wait ends when the caller gives up. attempt ends with
// stop, which is called when no way is tried any more; the caller calls it after an
// error.
func (d *dialer) connect(wait, attempt context.Context, stop context.CancelFunc) (_ *Conn, err error) {
	n := d.node
	if err := n.Ready(wait); err != nil {
		return nil, n.errorOf(err)
	}
	if d.link, err = n.newLink(true); err != nil {
		return nil, err
	}
	l := d.link
	defer func() {
		if err == nil {
			return
		}
		l.close()
		if conn := l.result(); conn != nil {
			conn.Destroy() // it came at the last moment
		}
	}()
	if err := d.prepare(); err != nil {
		return nil, err
	}
	a, err := d.shake(wait)
	if err != nil {
		return nil, err
	}
	l.handshaken(keysOf(&a.result), a.payload.UDX.ID)

	over := make(chan error, 1)
	if !n.spawn(func() {
		defer stop()
		over <- d.tryAll(attempt, a)
	}) {
		return nil, ErrClosed
	}
	select {
	case <-l.connected:
	case err = <-over:
	case <-wait.Done():
		err = context.Cause(wait)
	}
	if conn := l.result(); conn != nil {
		return conn, nil
	}
	return nil, cmp.Or(err, ErrHolepunchAborted)
}

// tryAll tries to reach the server directly, and through a blind relay if one of the
// sides has named one.
func (d *dialer) tryAll(ctx context.Context, a *answer) error {
	var relayed error
	var relaying sync.WaitGroup
	setup, unneeded := context.WithCancel(ctx)
	defer unneeded()
	if relay := d.relay(a); relay != nil {
		relaying.Go(func() {
			relayed = d.node.relayThrough(setup, d.link, relay, a.payload.RelayThrough == nil)
		})
	}
	err := d.reach(ctx, a)
	if d.punches != nil {
		d.punches.close()
	}
	if d.link.isDirect() {
		unneeded()
	}
	relaying.Wait()
	return errors.Join(err, relayed)
}

// relay returns the blind relay that carries the connection, if there is one: that of
// the server comes first.
func (d *dialer) relay(a *answer) *messages.RelayThroughInfo {
	return firstRelay(a.payload.RelayThrough, d.through)
}

// prepare makes the handshake's first message. It is the same for every node that is
// asked, so that the server takes it for one attempt.
func (d *dialer) prepare() error {
	n := d.node
	d.through = chooseRelay(d.opts.RelayThrough)
	p := messages.NoisePayload{
		UDX:          &messages.UDXInfo{ID: d.link.stream.ID()},
		SecretStream: true,
		RelayThrough: d.through,
	}
	if own, ok := n.RemoteAddr(); ok {
		p.Firewall = messages.FirewallOpen
		p.Addresses4 = append(p.Addresses4, own)
	}
	if !d.opts.NoLocalConnection {
		p.Addresses4 = append(p.Addresses4, n.localAddrs()...)
	}
	d.firewall = p.Firewall
	d.payload = p.Append(nil)
	rand.Read(d.seed[:]) // never fails
	rand.Read(d.secret[:])
	_, request, err := d.newHandshake()
	d.request = request
	return err
}

// newHandshake begins the handshake, always in the same way: a node that answers with
// rubbish must not spoil it for the others.
func (d *dialer) newHandshake() (*noise.Handshake, []byte, error) {
	hs, err := noise.New(noise.Config{
		Pattern: noise.IK, Initiator: true, Key: d.opts.KeyPair.Secret, RemoteKey: d.key[:],
		Prologue: messages.NSHandshake[:], Random: &sameSeed{d.seed},
	})
	if err != nil {
		return nil, nil, err
	}
	request, err := hs.Send(nil, d.payload)
	return hs, request, err
}

// sameSeed yields one seed, once.
type sameSeed struct{ seed [32]byte }

func (s *sameSeed) Read(b []byte) (int, error) {
	if len(b) != len(s.seed) {
		return 0, errors.New("dht: not the size of a seed")
	}
	return copy(b, s.seed[:]), nil
}

// candidates returns nodes that may know the way to the server.
func (d *dialer) candidates() []netip.AddrPort {
	n := d.node
	if _, persistent := n.rpc.ID(); persistent {
		if _, relay := n.router.find(time.Now(), d.target); relay.IsValid() {
			return []netip.AddrPort{relay} // the server announced itself here
		}
	}
	if len(d.opts.RelayAddresses) > 0 {
		return d.opts.RelayAddresses
	}
	return n.ways.get(d.key)
}

// shake brings the handshake to the server and back: through the candidates, one after
// the other, and at the same time through nodes that know the server.
func (d *dialer) shake(ctx context.Context) (*answer, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var (
		attempts sync.WaitGroup
		mu       sync.Mutex
		got      *answer
		failed   error // of an authentic answer
		tried    = make(map[netip.AddrPort]bool)
		asked    []netip.AddrPort
	)
	try := func(node netip.AddrPort) {
		mu.Lock()
		if tried[node] {
			mu.Unlock()
			return
		}
		tried[node] = true
		asked = append(asked, node)
		mu.Unlock()
		a, err := d.ask(ctx, node)
		if a == nil && err == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if got == nil && failed == nil {
			got, failed = a, err
			stop()
		}
	}
	candidates := d.candidates()
	if len(candidates) > 0 {
		attempts.Go(func() {
			for _, node := range candidates {
				if ctx.Err() != nil {
					return
				}
				try(node)
			}
		})
	}
	known := false // somebody has a record of the server
	slots := make(chan struct{}, 2)
	start := append(append([]netip.AddrPort(nil), candidates...), d.opts.Nodes...)
	for r, err := range d.node.FindPeer(ctx, d.key, &rpc.QueryOptions{Nodes: start, Retries: 3}) {
		if err != nil {
			if ctx.Err() == nil {
				d.node.log.Debug("looking for a peer failed", "key", d.key, "error", err)
			}
			break
		}
		known = true
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		attempts.Go(func() {
			defer func() { <-slots }()
			try(r.From)
		})
	}
	attempts.Wait()
	switch {
	case got != nil:
		d.remember(got, asked)
		return got, nil
	case failed != nil:
		return nil, failed
	case known:
		return nil, ErrPeerUnreachable
	default:
		return nil, ErrPeerNotFound
	}
}

// remember notes where to ask for the server next time.
func (d *dialer) remember(a *answer, asked []netip.AddrPort) {
	ways := a.payload.RelayAddresses
	if len(ways) == 0 {
		ways = asked
	}
	d.node.ways.set(d.key, ways)
}

// ask brings the handshake to the server through a node. Without an answer that is
// the server's it returns neither an answer nor an error.
func (d *dialer) ask(ctx context.Context, node netip.AddrPort) (*answer, error) {
	m := messages.Handshake{Mode: messages.FromClient, Noise: d.request}
	r, err := d.node.rpc.Request(ctx, node, rpc.Message{Command: messages.PeerHandshake, Target: &d.target, Value: m.Append(nil)}, nil)
	if err != nil || r.Value == nil {
		return nil, nil
	}
	if m, err = messages.ParseHandshake(r.Value); err != nil || m.Mode != messages.Reply || len(m.Noise) == 0 {
		return nil, nil
	}
	hs, _, err := d.newHandshake()
	if err != nil {
		return nil, err
	}
	b, err := hs.Recv(nil, m.Noise)
	if err != nil {
		d.node.log.Debug("dropped reply to a handshake", "from", node, "error", err)
		return nil, nil
	}
	payload, err := messages.ParseNoisePayload(b)
	result, complete := hs.Result()
	switch {
	case err != nil || !complete:
		return nil, fmt.Errorf("%w: %w", ErrServer, err)
	case payload.Version != messages.Version:
		return nil, fmt.Errorf("%w: version %d", ErrServerIncompatible, payload.Version)
	case payload.Error != messages.ErrorNone:
		return nil, fmt.Errorf("%w: %v", ErrServer, payload.Error)
	case payload.UDX == nil:
		return nil, fmt.Errorf("%w: no stream", ErrServer)
	}
	a := &answer{node: node, server: node, client: r.To, payload: &payload, result: result, sealed: messages.HolepunchSecret(&result.Hash)}
	if m.PeerAddress.IsValid() {
		a.server, a.relayed = m.PeerAddress, true
	}
	return a, nil
}

// wayCache remembers where servers were found.
type wayCache struct {
	mu    sync.Mutex
	nodes *cache[PublicKey, []netip.AddrPort]
}

func (w *wayCache) init() { w.nodes = newCache[PublicKey, []netip.AddrPort](512, 0) }

func (w *wayCache) get(key PublicKey) []netip.AddrPort {
	w.mu.Lock()
	defer w.mu.Unlock()
	nodes, _ := w.nodes.get(time.Now(), key)
	return nodes
}

func (w *wayCache) set(key PublicKey, nodes []netip.AddrPort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes.set(time.Now(), key, nodes[:min(len(nodes), maxRelays)])
}
