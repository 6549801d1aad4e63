package dht

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/internal/noise"
	"github.com/cairn-feeds/cairn/dht/rpc"
	"github.com/cairn-feeds/cairn/dht/secretstream"
	"github.com/cairn-feeds/cairn/dht/udx"
)

// maxPunchMessages bounds how many holepunch messages of one client are worked at at
// the same time.
const maxPunchMessages = 4

// call is a client that wants to connect, from its handshake until some time after
// the connection was made or given up:
//
//	handshake -> firewall -> reply -> the client reaches us, or we it
//	                               -> it sends holepunch messages; both punch
//	                               -> a blind relay joins both
type call struct {
	server *Server
	noise  string // the handshake message
	id     int    // what the client calls it in holepunch messages
	client path   // where the client is, as seen by the relay or us; with our socket if direct
	direct bool   // not relayed
	secret [32]byte

	ctx    context.Context // ends when there is a connection, or none will be
	cancel context.CancelFunc

	mu       sync.Mutex
	reply    []byte // Noise message; nil before there is one
	via      *udx.Socket
	link     *link
	sealed   *[32]byte // holepunch messages are sealed with it; nil if there are to be none
	puncher  *puncher
	round    uint64
	busy     int  // holepunch messages that are being worked at
	relaying bool // a blind relay is asked
}

func newCall(s *Server, r *rpc.Request, m *messages.Handshake, via *udx.Socket) *call {
	c := &call{server: s, noise: string(m.Noise), client: path{via, m.PeerAddress}}
	if !m.PeerAddress.IsValid() {
		c.client.addr, c.direct = r.From, true
	}
	rand.Read(c.secret[:]) // never fails
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	return c
}

// run sees a call through.
func (c *call) run(r *rpc.Request, m *messages.Handshake) {
	s := c.server
	defer c.close()
	defer time.AfterFunc(s.opts.HandshakeClearWait, func() { s.leave(c) })
	ok := func() bool {
		defer s.shaken()
		payload := c.shake(r)
		if payload == nil {
			return false
		}
		c.proceed(r, payload)
		c.answer(r, m)
		return true
	}()
	if !ok {
		return
	}
	c.mu.Lock()
	link := c.link
	c.mu.Unlock()
	if link == nil {
		return // there was an error to tell
	}
	c.await(link)
	link.close()
	if conn := link.result(); conn != nil {
		s.deliver(conn)
		c.punchOn(link)
	}
}

// shake answers the handshake, if the client may connect.
func (c *call) shake(r *rpc.Request) *messages.NoisePayload {
	s, n := c.server, c.server.node
	hs, err := noise.New(noise.Config{Pattern: noise.IK, Key: s.key.Secret, Prologue: messages.NSHandshake[:]})
	if err != nil {
		n.log.Error("handshake cannot begin", "error", err)
		return nil
	}
	b, err := hs.Recv(nil, []byte(c.noise))
	if err != nil {
		n.log.Debug("dropped handshake", "from", r.From, "error", err)
		return nil
	}
	payload, err := messages.ParseNoisePayload(b)
	if err != nil {
		n.log.Debug("dropped handshake", "from", r.From, "error", err)
		return nil
	}
	if s.opts.Firewall != nil {
		err := s.opts.Firewall(c.ctx, &Request{
			RemotePublicKey: PublicKey(hs.RemotePublicKey()), RemoteAddr: c.client.addr,
			Addresses: payload.Addresses4, Relayed: !c.direct,
		})
		if err != nil {
			n.log.Debug("refused connection", "from", c.client.addr, "error", err)
			return nil
		}
	}
	if c.ctx.Err() != nil {
		return nil
	}

	answer := messages.NoisePayload{SecretStream: true, UDX: &messages.UDXInfo{}}
	switch {
	case payload.Version != messages.Version:
		answer.Error = messages.ErrorVersionMismatch
	case payload.UDX == nil:
		answer.Error = messages.ErrorAborted
	}
	relays, nodes := s.announcer.state()
	if len(nodes) > 0 {
		answer.RelayAddresses = nodes
	}
	if own, ok := n.RemoteAddr(); ok {
		answer.Firewall = messages.FirewallOpen
		answer.Addresses4 = append(answer.Addresses4, own)
	} else {
		answer.Holepunch = &messages.HolepunchInfo{ID: uint64(c.id), Relays: relays}
	}
	if !s.opts.HideLocalAddresses {
		answer.Addresses4 = append(answer.Addresses4, n.workingAddrs()...)
	}
	var l *link
	if answer.Error == messages.ErrorNone {
		if l, err = n.newLink(false); err != nil {
			n.log.Warn("stream cannot be made", "error", err)
			return nil
		}
		answer.UDX.ID = l.stream.ID()
		answer.RelayThrough = chooseRelay(s.opts.RelayThrough)
	}
	message, err := hs.Send(nil, answer.Append(nil))
	result, complete := hs.Result()
	if err != nil || !complete {
		if l != nil {
			l.close()
		}
		return nil
	}
	c.mu.Lock()
	c.reply, c.link = message, l
	if l != nil {
		sealed := messages.HolepunchSecret(&result.Hash)
		c.sealed = &sealed
	}
	c.mu.Unlock()
	if l == nil {
		return &payload
	}
	l.handshaken(keysOf(&result), payload.UDX.ID)
	if relay := firstRelay(answer.RelayThrough, payload.RelayThrough); relay != nil {
		c.relay(relay, answer.RelayThrough != nil)
	}
	return &payload
}

// keysOf returns what a secret stream needs of a handshake.
func keysOf(r *noise.Result) *secretstream.Keys {
	return &secretstream.Keys{TX: r.TX, RX: r.RX, Hash: r.Hash, PublicKey: r.PublicKey, RemotePublicKey: r.RemotePublicKey}
}

// firstRelay chooses the blind relay: that of the server comes first.
func firstRelay(server, client *messages.RelayThroughInfo) *messages.RelayThroughInfo {
	if server != nil {
		return server
	}
	return client
}

// relay has a blind relay join the two sides.
func (c *call) relay(relay *messages.RelayThroughInfo, initiator bool) {
	c.mu.Lock()
	c.relaying = true
	l := c.link
	c.mu.Unlock()
	n := c.server.node
	n.spawn(func() {
		if err := n.relayThrough(c.ctx, l, relay, initiator); err != nil {
			n.log.Debug("relaying failed", "error", err)
		}
		c.mu.Lock()
		c.relaying = false
		c.mu.Unlock()
	})
}

// proceed decides how the connection is made, after a handshake that went well.
func (c *call) proceed(r *rpc.Request, payload *messages.NoisePayload) {
	s, n, l := c.server, c.server.node, c.link
	switch {
	case l == nil:
		return
	case c.direct:
		l.take(c.client.socket, c.client.addr)
		return
	case payload.Firewall == messages.FirewallOpen:
		l.take(n.mainSocket(), c.client.addr)
		return
	}
	lan := false
	if c.client.addr.Addr() == r.To.Addr() && !s.opts.HideLocalAddresses {
		theirs := slices.DeleteFunc(slices.Clone(payload.Addresses4), func(a netip.AddrPort) bool { return !isPrivate(a) })
		_, lan = matchAddr(n.workingAddrs(), theirs)
	}
	if _, open := n.RemoteAddr(); !lan && (open || s.opts.NoHolepunch) {
		return
	}
	// The punching goes on while a blind relay carries the connection.
	p, err := n.newPuncher(s.ctx, false, payload.Firewall, nil)
	if err != nil {
		n.log.Warn("socket cannot be opened", "error", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.puncher = p
	if !lan {
		c.via = p.socket()
	}
}

// await waits until the client is connected, or will not be.
func (c *call) await(l *link) {
	c.mu.Lock()
	p := c.puncher
	c.mu.Unlock()
	var givenUp chan struct{}
	if p != nil {
		givenUp = p.givenUp
	}
	timer := time.NewTimer(handshakeWait)
	defer timer.Stop()
	for {
		select {
		case <-l.connected:
			return
		case <-timer.C:
		case <-givenUp:
			p.close()
			givenUp = nil
		case <-c.ctx.Done():
			return
		}
		c.mu.Lock()
		relaying := c.relaying
		c.mu.Unlock()
		if !relaying && (p == nil || !p.probing()) {
			return
		}
		timer.Reset(time.Second)
	}
}

// punchOn waits until a relayed connection is direct, or will not be.
func (c *call) punchOn(l *link) {
	c.mu.Lock()
	p := c.puncher
	c.mu.Unlock()
	if p == nil || l.isDirect() {
		return
	}
	// The client decides how often it tries.
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for !l.isDirect() {
		select {
		case <-ticker.C:
		case <-p.givenUp:
			return
		case <-l.stream.Done():
			return
		case <-c.ctx.Done():
			return
		}
	}
}

// close gives up what is not connected.
func (c *call) close() {
	c.cancel()
	c.mu.Lock()
	p, l := c.puncher, c.link
	c.mu.Unlock()
	if l != nil {
		l.close()
	}
	if p != nil {
		p.close()
	}
}

// answered reports whether there is an answer to the handshake.
func (c *call) answered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reply != nil
}

// answer answers a handshake message the way it came. The reply leaves from the
// puncher's socket if there is one, so that the client is told of that one's address.
func (c *call) answer(r *rpc.Request, m *messages.Handshake) {
	c.mu.Lock()
	reply, via := c.reply, c.via
	c.mu.Unlock()
	if reply == nil {
		return
	}
	answer := messages.Handshake{Mode: messages.FromServer, Noise: reply, PeerAddress: m.PeerAddress}
	switch m.Mode {
	case messages.FromClient:
		answer.Mode, answer.PeerAddress = messages.Reply, netip.AddrPort{}
		_ = r.Reply(answer.Append(nil), &rpc.ReplyOptions{NoToken: true, NoCloserNodes: true})
	case messages.FromRelay:
		_ = r.Relay(answer.Append(nil), r.From, socketOrNil(via))
	case messages.FromSecondRelay:
		_ = r.Relay(answer.Append(nil), m.RelayAddress, socketOrNil(via))
	default: // the others are not for here
	}
}

// socketOrNil makes a nil pointer a nil interface.
func socketOrNil(s *udx.Socket) rpc.Socket {
	if s == nil {
		return nil
	}
	return s
}

// holepunch takes a holepunch message, on the goroutine that reads the socket.
func (c *call) holepunch(r *rpc.Request, m *messages.Holepunch) {
	c.mu.Lock()
	sealed, busy := c.sealed, c.busy >= maxPunchMessages
	c.mu.Unlock()
	if sealed == nil || busy || c.ctx.Err() != nil {
		return
	}
	payload, err := messages.OpenHolepunch(m.Payload, sealed)
	if err != nil {
		return
	}
	c.mu.Lock()
	c.busy++
	c.mu.Unlock()
	request, peer := r.Clone(), m.PeerAddress
	if !c.server.node.spawn(func() {
		answer, via := c.punch(request, peer, &payload)
		c.mu.Lock()
		c.busy--
		c.mu.Unlock()
		if answer == nil {
			return
		}
		m := messages.Holepunch{Mode: messages.FromServer, Payload: messages.SealHolepunch(nil, sealed, answer), PeerAddress: peer}
		_ = request.Relay(m.Append(nil), request.From, socketOrNil(via))
	}) {
		c.cancel()
	}
}

// punch does what a holepunch message asks for. It returns the answer and the socket
// that it is to leave from.
func (c *call) punch(r *rpc.Request, peer netip.AddrPort, m *messages.HolepunchPayload) (*messages.HolepunchPayload, *udx.Socket) {
	s, n := c.server, c.server.node
	c.mu.Lock()
	p := c.puncher
	newer := m.Round >= c.round
	if newer {
		c.round = m.Round
	}
	c.mu.Unlock()
	if p == nil || m.Error != messages.ErrorNone {
		return c.abort(messages.ErrorAborted)
	}
	token := messages.AddressToken(&c.secret, peer.Addr())
	ours := s.announcer.isRelay(r.From)
	var verified netip.Addr
	if ours && m.RemoteToken != nil && bytes.Equal(m.RemoteToken[:], token[:]) {
		verified = peer.Addr()
	}
	if r.Socket == socketOrNil(p.socket()) {
		p.seen(r.To, r.From)
	}
	if newer {
		p.update(m, verified)
	}

	stable := p.analyze(c.ctx, false)
	if !stable && !p.remoteState().punching {
		stable = p.analyze(c.ctx, true)
		if !stable && c.ctx.Err() == nil {
			return c.abort(messages.ErrorAborted)
		}
	}
	if c.ctx.Err() != nil {
		return nil, nil
	}
	firewall, addresses := p.local()
	if consistent(firewall) && m.RemoteAddress.IsValid() && slices.Contains(addresses, m.RemoteAddress) {
		// The client has opened a way to us with a probe that did not get this far.
		if socket := p.socket(); socket != nil {
			sendProbe(socket, peer, false)
		}
	}
	answer := &messages.HolepunchPayload{Firewall: firewall, Addresses: addresses, RemoteToken: m.Token}
	if ours {
		answer.Token = &token
	}
	if remote := p.remoteState(); remote.punching && !p.probing() {
		if err := s.allowed(firewall, addresses, &remote); err != nil {
			return c.abort(messages.ErrorAborted)
		}
		if p.isRandom() {
			if !n.punches.begin() {
				c.mu.Lock()
				relayed := c.relaying || c.link.result() != nil
				c.mu.Unlock()
				if !relayed {
					return c.abort(messages.ErrorTryLater)
				}
				answer.Error = messages.ErrorTryLater
			} else {
				p.hold()
			}
		}
		if answer.Error == messages.ErrorNone && !p.punch() {
			return c.abort(messages.ErrorAborted)
		}
	}
	if firewall != messages.FirewallUnknown {
		p.freeze()
	}
	c.mu.Lock()
	answer.Round = c.round
	answer.Connected = c.link.result() != nil && c.link.isDirect()
	c.mu.Unlock()
	answer.Punching = p.probing()
	return answer, p.socket()
}

// allowed asks the server's hook whether to punch.
func (s *Server) allowed(local messages.Firewall, addresses []netip.AddrPort, remote *remoteSide) error {
	if s.opts.Holepunch == nil {
		return nil
	}
	return s.opts.Holepunch(holepunchOf(local, addresses, remote))
}

func holepunchOf(local messages.Firewall, addresses []netip.AddrPort, remote *remoteSide) *Holepunch {
	h := &Holepunch{Local: NAT(local), Remote: NAT(remote.firewall), LocalAddresses: addresses}
	for _, a := range remote.addresses {
		h.RemoteAddresses = append(h.RemoteAddresses, a.AddrPort)
	}
	return h
}

// abort ends the holepunch and returns the answer that says so. The client may still
// come another way, through the local network or a blind relay.
func (c *call) abort(code messages.Error) (*messages.HolepunchPayload, *udx.Socket) {
	c.mu.Lock()
	p, round := c.puncher, c.round
	c.mu.Unlock()
	if p != nil {
		p.close()
	}
	return &messages.HolepunchPayload{Error: code, Round: round}, c.server.node.mainSocket()
}
