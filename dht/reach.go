package dht

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

// reach finds a direct way to the server. It returns when there is one, or will not
// be.
func (d *dialer) reach(ctx context.Context, a *answer) error {
	n, l := d.node, d.link
	punchable := a.payload.Holepunch != nil && len(a.payload.Holepunch.Relays) > 0
	switch {
	case l.isDirect():
		return nil // its traffic came before the answer
	case !a.relayed:
		l.take(n.mainSocket(), a.node)
		return nil
	case a.payload.Firewall == messages.FirewallOpen || !punchable && !d.onLAN(a):
		l.take(n.mainSocket(), publicAddr(a))
		return nil
	case d.firewall == messages.FirewallOpen:
		return d.await(ctx, nil) // the server comes to us
	}

	var lan chan error
	if d.onLAN(a) {
		lan = make(chan error, 1)
		n.spawn(func() { lan <- d.tryLAN(ctx, a) })
	}
	if !punchable {
		if lan == nil {
			return ErrCannotHolepunch
		}
		return <-lan
	}
	err := d.punch(ctx, a)
	if l.isDirect() {
		return nil
	}
	if err != nil && lan != nil {
		if <-lan == nil {
			return nil
		}
	}
	return err
}

// publicAddr returns where a server is that needs no holepunch.
func publicAddr(a *answer) netip.AddrPort {
	for _, addr := range a.payload.Addresses4 {
		if !isBogon(addr) {
			return addr
		}
	}
	return a.server
}

// onLAN reports whether we seem to be in the server's local network.
func (d *dialer) onLAN(a *answer) bool {
	return !d.opts.NoLocalConnection && a.client.Addr() == a.server.Addr() && len(lanAddrs(a)) > 0
}

func lanAddrs(a *answer) []netip.AddrPort {
	return slices.DeleteFunc(slices.Clone(a.payload.Addresses4), isReserved)
}

// tryLAN takes the way through the local network if the server answers there.
func (d *dialer) tryLAN(ctx context.Context, a *answer) error {
	theirs := lanAddrs(a)
	addr, ok := matchAddr(d.node.localAddrs(), theirs)
	if !ok {
		addr = theirs[0]
	}
	if _, err := d.node.rpc.Ping(ctx, addr, nil); err != nil {
		return fmt.Errorf("%w: no way through the local network: %w", ErrCannotHolepunch, err)
	}
	d.link.take(d.node.serverSocket(), addr)
	return nil
}

// await waits until the server has reached us, or the puncher has given up.
func (d *dialer) await(ctx context.Context, p *puncher) error {
	timer := time.NewTimer(handshakeWait)
	defer timer.Stop()
	var givenUp chan struct{}
	timeout := timer.C
	if p != nil {
		givenUp, timeout = p.givenUp, nil
	}
	connected := d.link.directWay
	select {
	case <-connected:
		return nil
	case <-timeout:
	case <-givenUp:
	case <-d.link.stream.Done():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return ErrHolepunchAborted
}

// punch opens a way through the NATs of both sides.
func (d *dialer) punch(ctx context.Context, a *answer) error {
	p, err := d.node.newPuncher(ctx, true, a.payload.Firewall, d.link.take)
	if err != nil {
		return err
	}
	d.punches = p
	relay := serverRelay(a)
	server := a.server

	fast := server
	if d.opts.NoFastOpen {
		fast = netip.AddrPort{}
	}
	probed, err := d.probeRound(ctx, a, fast, relay, true)
	if err != nil || d.link.isDirect() {
		return err
	}
	if relay.RelayAddress == a.node && probed.server != server {
		// The server has chosen another socket, which the node that we asked can tell of.
		server = probed.server
		if socket := p.socket(); socket != nil {
			sendProbe(socket, server, true)
		}
	}
	if hook := d.opts.Holepunch; hook != nil {
		firewall, addresses := p.local()
		remote := p.remoteState()
		if err := hook(holepunchOf(firewall, addresses, &remote)); err != nil {
			return d.abort(ctx, a, relay, fmt.Errorf("%w: %w", ErrHolepunchAborted, err))
		}
	}
	if err := d.punchRound(ctx, a, server, probed.Token, relay); err != nil || d.link.isDirect() {
		return err
	}
	return d.await(ctx, p)
}

// serverRelay chooses a relay of the server: the node that we know, if it is one.
func serverRelay(a *answer) messages.RelayInfo {
	relays := a.payload.Holepunch.Relays
	for _, r := range relays {
		if r.RelayAddress == a.node {
			return r
		}
	}
	return relays[0]
}

// told is the server's answer to a holepunch message.
type told struct {
	messages.HolepunchPayload
	server netip.AddrPort // where it came from, as seen by the relay
	later  bool           // the server cannot punch now
}

// tell sends a holepunch message through a relay to the server, which the relay knows
// at an address, and takes in what it answers.
func (d *dialer) tell(ctx context.Context, a *answer, via, server netip.AddrPort, m *messages.HolepunchPayload) (*told, error) {
	p := d.punches
	m.Round = d.round
	d.round++
	if m.Error == messages.ErrorNone {
		m.Firewall, m.Addresses = p.local()
	}
	value := messages.Holepunch{
		Mode: messages.FromClient, ID: a.payload.Holepunch.ID,
		Payload: messages.SealHolepunch(nil, &a.sealed, m), PeerAddress: server,
	}
	socket := p.socket()
	if socket == nil {
		return nil, ErrHolepunchAborted
	}
	r, err := d.node.rpc.Request(ctx, via, rpc.Message{Command: messages.PeerHolepunch, Target: &d.target, Value: value.Append(nil)},
		&rpc.RequestOptions{Socket: socket})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHolepunchAborted, err)
	}
	reply, err := messages.ParseHolepunch(r.Value)
	if err != nil || reply.Mode != messages.Reply {
		return nil, fmt.Errorf("%w: reply of the relay %v", ErrHolepunchInvalid, via)
	}
	t := &told{server: via}
	if reply.PeerAddress.IsValid() {
		t.server = reply.PeerAddress
	}
	if t.HolepunchPayload, err = messages.OpenHolepunch(reply.Payload, &a.sealed); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHolepunchInvalid, err)
	}
	if t.Error == messages.ErrorTryLater && m.Punching && d.relay(a) != nil {
		t.later = true
		return t, nil
	}
	if t.Error != messages.ErrorNone {
		return nil, fmt.Errorf("%w by the server: %v", ErrHolepunchAborted, t.Error)
	}
	var verified netip.Addr
	if m.Token != nil && t.RemoteToken != nil && bytes.Equal(m.Token[:], t.RemoteToken[:]) {
		verified = server.Addr()
	}
	p.update(&t.HolepunchPayload, verified)
	p.sampled(r)
	return t, nil
}

// probeRound learns what NATs there are.
func (d *dialer) probeRound(ctx context.Context, a *answer, server netip.AddrPort, relay messages.RelayInfo, again bool) (*told, error) {
	p := d.punches
	if socket := p.socket(); server.IsValid() && socket != nil {
		sendProbe(socket, server, true)
	}
	t, err := d.tell(ctx, a, relay.RelayAddress, relay.PeerAddress, &messages.HolepunchPayload{RemoteAddress: server})
	if err != nil || d.link.isDirect() {
		return t, err
	}
	if p.remoteState().firewall == messages.FirewallUnknown {
		// Perhaps it is still finding out, or the probe has come through to it.
		if err := d.sleep(ctx, time.Second); err != nil || d.link.isDirect() {
			return t, err
		}
	}
	if !p.analyze(ctx, false) {
		if p.analyze(ctx, true) {
			return d.probeRound(ctx, a, server, relay, false)
		}
	}
	if ctx.Err() != nil || d.link.isDirect() {
		return t, context.Cause(ctx)
	}
	firewall, _ := p.local()
	remote := p.remoteState().firewall
	switch {
	case (remote == messages.FirewallUnknown || t.Token == nil) && again:
		return d.probeRound(ctx, a, server, relay, false)
	case remote == messages.FirewallUnknown || firewall == messages.FirewallUnknown:
		return nil, d.abort(ctx, a, relay, ErrHolepunchTimeout)
	case remote >= messages.FirewallRandom && firewall >= messages.FirewallRandom:
		return nil, d.abort(ctx, a, relay, ErrDoubleRandomNATs)
	}
	return t, nil
}

// sleep waits, or until there is a direct way.
func (d *dialer) sleep(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.link.directWay:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// punchRound agrees with the server to punch, and begins.
func (d *dialer) punchRound(ctx context.Context, a *answer, server netip.AddrPort, remoteToken *[32]byte, relay messages.RelayInfo) error {
	p := d.punches
	p.freeze() // it is told to the server now
	via, to := a.node, server
	token := func() *[32]byte {
		t := messages.AddressToken(&d.secret, server.Addr())
		return &t
	}
	for delayed := false; ; delayed = true {
		if delayed {
			if err := d.sleep(ctx, 10*time.Second+rand.N(10*time.Second)); err != nil || d.link.isDirect() {
				return err
			}
			// Both are verified, so it may go by the server's relay.
			via, to = relay.RelayAddress, relay.PeerAddress
			token = func() *[32]byte { return nil }
		}
		random := p.isRandom()
		if random && !d.node.punches.begin() {
			if d.relay(a) == nil {
				return fmt.Errorf("%w: another one guesses ports now", ErrHolepunchAborted)
			}
			if !delayed {
				if _, err := d.tell(ctx, a, via, to, &messages.HolepunchPayload{Token: token(), RemoteToken: remoteToken}); err != nil {
					return err
				}
			}
			continue
		}
		t, err := d.tell(ctx, a, via, to, &messages.HolepunchPayload{Punching: true, Token: token(), RemoteToken: remoteToken})
		switch {
		case random && (err != nil || t.later || !t.Punching):
			d.node.punches.end(false)
		case random:
			p.hold()
		}
		switch {
		case err != nil:
			return err
		case d.link.isDirect():
			return nil
		case t.later:
			continue
		case !t.Punching:
			return fmt.Errorf("%w: the server does not punch", ErrCannotHolepunch)
		case !p.punch() && !d.link.isDirect():
			return ErrCannotHolepunch
		}
		return nil
	}
}

// abort tells the server that it was in vain, and returns why.
func (d *dialer) abort(ctx context.Context, a *answer, relay messages.RelayInfo, why error) error {
	_, _ = d.tell(ctx, a, relay.RelayAddress, relay.PeerAddress, &messages.HolepunchPayload{Error: messages.ErrorAborted})
	return why
}
