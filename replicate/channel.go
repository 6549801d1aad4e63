package replicate

import (
	"errors"
	"slices"

	"github.com/cairn-feeds/cairn/replicate/noise"
	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

// channel is a feed on a session, from the first Open or Add until either side
// closes it:
//
//	        Add                  Open
//	(new) -------> wanted -----------------> open -> (gone)
//	  |               Open sent, peer set    ^
//	  | Open                                 | Add or store, capability right
//	  +----------> offered ------------------+
//	                 remote set, no peer
type channel struct {
	dk         tree.DiscoveryKey
	local      uint64 // our number, 0 before our Open
	remote     uint64 // the remote's number, 0 before its Open
	peer       *Peer  // nil while only the remote has opened it
	capability []byte // of the remote's Open, until the peer is there
}

// open says whether both sides have opened the channel.
func (c *channel) open() bool { return c.local != 0 && c.remote != 0 }

// channels are those of a session, under its mu.
type channels struct {
	feeds   map[tree.DiscoveryKey]*channel
	remote  map[uint64]*channel // those with a remote number
	leaving map[uint64]struct{} // remote numbers of channels that we closed and the remote did not yet
	wanted  []*channel          // added before the handshake was done, in order
	last    uint64              // local number given last
}

func (c *channels) init() {
	c.feeds = make(map[tree.DiscoveryKey]*channel)
	c.remote = make(map[uint64]*channel)
}

// none says whether no feed is open on either side.
func (c *channels) none() bool { return len(c.feeds) == 0 }

// closing is the number of channels that the remote has yet to close.
func (c *channels) closing() int { return len(c.leaving) }

func (c *channels) number() uint64 {
	c.last++
	return c.last
}

// forget removes a channel. The remote will close its side too.
func (c *channels) forget(ch *channel) {
	delete(c.feeds, ch.dk)
	if ch.remote != 0 {
		delete(c.remote, ch.remote)
		c.leave(ch.remote)
	}
	c.wanted = slices.DeleteFunc(c.wanted, func(x *channel) bool { return x == ch })
}

// leave expects the remote to close a channel.
func (c *channels) leave(remote uint64) {
	if c.leaving == nil {
		c.leaving = make(map[uint64]struct{})
	}
	c.leaving[remote] = struct{}{}
}

// AddOptions say how a feed is replicated on a session. Nil and the zero value do
// as the feed's demand and the host's options say.
type AddOptions struct {
	// NoDownload asks for nothing. Writable feeds do that anyway, unless Download
	// is set.
	NoDownload bool
	// Download asks for blocks of a writable feed, too.
	Download bool
	// NoUpload offers nothing and answers no requests.
	NoUpload bool
}

// Add puts a feed on the session and opens it when the handshake is done; when it
// is there already its peer is returned. The feed must stay open until the peer is
// removed; closing it closes the channel. The error is the reason of a session that
// has ended.
func (s *Session) Add(f Feed, opts *AddOptions) (*Peer, error) {
	var o AddOptions
	if opts != nil {
		o = *opts
	}
	return s.add(f, o, false)
}

// add is Add; an owned feed is closed with its hub.
func (s *Session) add(f Feed, o AddOptions, owned bool) (*Peer, error) {
	p := newPeer(s, f, o)
	s.mu.Lock()
	if s.mu.over {
		s.mu.Unlock()
		closeOwned(f, owned)
		return nil, s.reason()
	}
	ch := s.mu.channels.feeds[p.dk]
	if ch != nil && ch.peer != nil {
		s.mu.Unlock()
		closeOwned(f, owned)
		return ch.peer, nil
	}
	if ch == nil {
		ch = &channel{dk: p.dk}
		s.mu.channels.feeds[p.dk] = ch
	}
	ch.peer, p.channel = p, ch
	s.mu.Unlock()

	s.host.attach(p, owned)
	s.events.put(func() {
		if f := s.host.opts.Events.PeerAdd; f != nil {
			f(p)
		}
	})

	s.mu.Lock()
	over, here := s.mu.over, s.mu.channels.feeds[p.dk] == ch
	ready := s.mu.opened
	if here && !ready {
		s.mu.channels.wanted = append(s.mu.channels.wanted, ch)
	}
	s.mu.Unlock()
	switch {
	case over:
		p.detach(s.reason())
		return nil, s.reason()
	case !here: // the remote has closed it meanwhile
		p.detach(ErrChannelClosed)
	case ready:
		s.openChannel(ch)
	}
	return p, nil
}

func closeOwned(f Feed, owned bool) {
	if owned {
		f.Close()
	}
}

// openWaiting opens what was added before the handshake was done.
func (s *Session) openWaiting() {
	s.mu.Lock()
	s.mu.opened = true
	wanted := s.mu.channels.wanted
	s.mu.channels.wanted = nil
	s.mu.Unlock()
	for _, ch := range wanted {
		s.openChannel(ch)
	}
}

// openChannel sends our Open of a channel with a peer.
func (s *Session) openChannel(ch *channel) {
	p := ch.peer
	if f := s.host.opts.AuthenticateFeed; f != nil {
		remote, _ := s.RemotePublicKey()
		if err := f(p.feed, remote); err != nil {
			s.refuse(ch, err)
			return
		}
	}
	key := [32]byte(p.feed.Key())
	s.mu.Lock()
	if s.mu.channels.feeds[ch.dk] != ch || ch.local != 0 {
		s.mu.Unlock()
		return
	}
	if ch.remote != 0 {
		if err := s.transport.VerifyCapability(key, ch.capability); err != nil {
			s.mu.Unlock()
			s.refuse(ch, err)
			return
		}
		ch.capability = nil
	}
	ch.local = s.mu.channels.number()
	s.sendLocked(&wire.Open{DiscoveryKey: ch.dk, Capability: s.transport.AppendCapability(nil, key)}, ch.local)
	both := ch.open()
	s.mu.Unlock()
	s.kick()
	if both {
		p.open()
	}
}

// refuse tells the remote that we do not replicate a feed that we did not open.
func (s *Session) refuse(ch *channel, reason error) {
	s.mu.Lock()
	p := ch.peer
	if s.mu.channels.feeds[ch.dk] == ch {
		s.sendLocked(&wire.Close{DiscoveryKey: ch.dk, HasDiscoveryKey: true}, s.mu.channels.number())
		s.mu.channels.forget(ch)
		s.finishLocked()
	}
	s.mu.Unlock()
	s.kick()
	if p != nil {
		p.detach(reason)
	}
}

// closeChannel closes a channel that we opened, or are about to open.
func (s *Session) closeChannel(ch *channel, reason error) {
	s.mu.Lock()
	if s.mu.channels.feeds[ch.dk] != ch {
		s.mu.Unlock()
		return
	}
	if ch.local != 0 {
		s.sendLocked(&wire.Close{}, ch.local)
	} else if ch.remote != 0 {
		s.sendLocked(&wire.Close{DiscoveryKey: ch.dk, HasDiscoveryKey: true}, s.mu.channels.number())
	}
	s.mu.channels.forget(ch)
	p := ch.peer
	s.finishLocked()
	s.mu.Unlock()
	s.kick()
	if p != nil {
		p.detach(reason)
	}
}

// onOpen handles an Open of the remote.
func (s *Session) onOpen(number uint64, m *wire.Open) error {
	if number == 0 {
		return protocolError("open of channel 0")
	}
	limit := s.host.opts.Limits.Channels
	s.mu.Lock()
	c := &s.mu.channels
	if c.remote[number] != nil {
		s.mu.Unlock()
		return protocolError("channel %d opened twice", number)
	}
	if len(c.remote)+len(c.leaving) >= limit {
		s.mu.Unlock()
		return flood("more than %d channels", limit)
	}
	ch := c.feeds[m.DiscoveryKey]
	if ch != nil && ch.remote != 0 {
		s.mu.Unlock()
		return protocolError("feed %x opened twice", m.DiscoveryKey[:4])
	}
	delete(c.leaving, number)
	if ch != nil && ch.local != 0 {
		if err := s.transport.VerifyCapability([32]byte(ch.peer.feed.Key()), m.Capability); err != nil {
			s.mu.Unlock()
			return &PeerError{Feed: m.DiscoveryKey, Type: wire.TypeOpen, Err: err}
		}
	}
	unknown := ch == nil
	if unknown {
		ch = &channel{dk: m.DiscoveryKey}
		c.feeds[ch.dk] = ch
	}
	ch.remote = number
	c.remote[number] = ch
	both := ch.open()
	if !both && len(m.Capability) == noise.CapabilitySize {
		ch.capability = slices.Clone(m.Capability)
	}
	s.mu.Unlock()
	switch {
	case both:
		ch.peer.open()
	case unknown:
		s.lookup(ch)
	}
	return nil
}

// lookup answers an Open of a feed that is not on the session.
func (s *Session) lookup(ch *channel) {
	keep := false
	if f := s.host.opts.Events.DiscoveryKey; f != nil {
		keep = f(s, ch.dk)
	}
	s.mu.Lock()
	waiting := s.mu.channels.feeds[ch.dk] == ch && ch.peer == nil
	s.mu.Unlock()
	if !waiting {
		return
	}
	if store := s.host.store; store != nil {
		f, err := store.Lookup(s.ctx, ch.dk)
		if err == nil {
			// A wrong capability is answered as if the feed was not there.
			_, err = s.add(f, AddOptions{}, true)
		}
		if err == nil {
			return
		}
		s.host.opts.Logger.Debug("feed not served", "feed", ch.dk, "err", err)
		if !keep {
			s.refuse(ch, errors.Join(ErrRefused, err))
		}
		return
	}
	if s.host.opts.Events.DiscoveryKey != nil && !keep {
		s.refuse(ch, ErrRefused)
	}
}

// onClose handles a Close of the remote.
func (s *Session) onClose(number uint64, m *wire.Close) {
	s.mu.Lock()
	c := &s.mu.channels
	if _, ok := c.leaving[number]; ok {
		delete(c.leaving, number)
		alone := s.mu.wrote && len(c.leaving) == 0
		s.mu.Unlock()
		if alone {
			s.endHalf(true)
		}
		return
	}
	ch, reason := c.remote[number], ErrChannelClosed
	if ch == nil && m.HasDiscoveryKey {
		// The remote refuses a feed on a channel that it never opened.
		ch, reason = c.feeds[m.DiscoveryKey], ErrRefused
		if ch != nil && ch.remote != 0 {
			ch = nil
		}
	}
	if ch == nil {
		s.mu.Unlock()
		return
	}
	if ch.local != 0 {
		s.sendLocked(&wire.Close{}, ch.local)
	}
	c.forget(ch)
	delete(c.leaving, ch.remote)
	p := ch.peer
	s.finishLocked()
	s.mu.Unlock()
	s.kick()
	if p != nil {
		p.detach(reason)
	}
}

// Hold keeps a session that is not live from ending when it has no feeds, while
// feeds are still to be added. The returned function, which may be called more than
// once, ends that.
func (s *Session) Hold() (release func()) {
	s.mu.Lock()
	s.mu.holds++
	s.mu.Unlock()
	released := false
	return func() {
		s.mu.Lock()
		if !released {
			released = true
			s.mu.holds--
			s.finishLocked()
		}
		s.mu.Unlock()
		s.kick()
	}
}

// finishLocked ends our half when the last channel was closed. s.mu must be held.
func (s *Session) finishLocked() {
	if s.mu.channels.none() && s.mu.holds == 0 && !s.host.opts.Live {
		s.mu.ending = true
	}
}

// detachAll removes what is left when the session has ended.
func (s *Session) detachAll() {
	s.mu.Lock()
	var peers []*Peer
	for _, ch := range s.mu.channels.feeds {
		if ch.peer != nil {
			peers = append(peers, ch.peer)
		}
	}
	s.mu.channels.init()
	s.mu.Unlock()
	for _, p := range peers {
		p.detach(s.reason())
	}
}
