package replicate

import (
	"slices"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

// hub coordinates the peers that one feed has on all sessions of a host: what is
// requested of whom, what arrived and waits for the disk, what is to be announced.
//
// Locks are taken in this order: Host.mu, hub.mu, those of the feed's demand,
// holdings.mu, Session.mu. Nothing is delivered, read for uploading, or called back
// under hub.mu.
type hub struct {
	host *Host
	dk   tree.DiscoveryKey
	quit chan struct{} // closed when the last peer has gone
	move chan struct{} // holds a token when another handle is to be watched

	mu         sync.Mutex
	peers      []*Peer
	feed       Feed       // the handle that is watched, one of the peers'
	reserved   bitmap.Set // blocks that are requested or arrived, and not stored yet
	asked      map[uint64]*request
	queue      []arrival
	delivering bool
	announced  uint64 // Offered as far as peers were told

	urgent, ranges []demand.Item // scratch
	runs           []bitmap.Run  // scratch
}

// attach makes a peer one of its feed's hub. Until now nobody else knew it.
func (h *Host) attach(p *Peer, owned bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.owned = owned
	b := h.mu.hubs[p.dk]
	fresh := b == nil
	if fresh {
		b = &hub{host: h, dk: p.dk, quit: make(chan struct{}), move: make(chan struct{}, 1)}
		b.asked = make(map[uint64]*request)
		b.feed = p.feed
		b.announced = p.feed.Offered()
		h.mu.hubs[p.dk] = b
	}
	b.mu.Lock()
	p.hub = b
	b.peers = append(b.peers, p)
	p.source = p.feed.Demand().Attach(p.holdings.can)
	b.mu.Unlock()
	if fresh {
		h.running.Go(b.routineWatch)
	}
}

// detach removes a peer for good. It may be called more than once.
func (p *Peer) detach(reason error) {
	h := p.session.host
	h.mu.Lock()
	b := p.hub
	if b == nil {
		h.mu.Unlock()
		return // add is about to find out that the session has ended
	}
	b.mu.Lock()
	i := slices.Index(b.peers, p)
	if i < 0 {
		b.mu.Unlock()
		h.mu.Unlock()
		return
	}
	b.peers = slices.Delete(b.peers, i, i+1)
	p.gone = true
	p.releaseAll()
	p.session.uploads.Add(-int64(p.uploads.len()))
	p.uploads = uploads{}
	p.holdings.reset()
	if len(b.peers) == 0 {
		delete(h.mu.hubs, b.dk)
		close(b.quit)
	} else {
		if b.feed == p.feed {
			b.feed = b.peers[0].feed
			select {
			case b.move <- struct{}{}:
			default:
			}
		}
		b.wakeAll()
	}
	b.mu.Unlock()
	h.mu.Unlock()
	p.source.Detach()
	closeOwned(p.feed, p.owned)
	p.session.events.put(func() {
		if f := h.opts.Events.PeerRemove; f != nil {
			f(p, reason)
		}
	})
}

// routineWatch follows the changes of the feed, and of what it waits for, until the
// last peer has gone.
func (b *hub) routineWatch() {
	for b.watch() {
	}
}

// watch follows one handle. It returns false when there is nothing more to watch.
func (b *hub) watch() bool {
	b.mu.Lock()
	feed := b.feed
	b.mu.Unlock()
	signal, take, stop := feed.Watch()
	defer stop()
	for {
		changed := feed.Demand().Changed()
		b.onDemand()
		select {
		case <-b.quit:
			return false
		case <-b.move:
			return true
		case <-signal:
			arrived, cleared, closed := take()
			if closed {
				return b.onHandleClosed(feed)
			}
			b.onChanges(feed, arrived, cleared)
		case <-changed:
		}
	}
}

// onHandleClosed closes the channels of the peers whose handle was closed.
func (b *hub) onHandleClosed(feed Feed) bool {
	b.mu.Lock()
	peers := slices.Clone(b.peers)
	b.mu.Unlock()
	for _, p := range peers {
		if p.feed == feed {
			p.remove(ErrClosed)
		}
	}
	select {
	case <-b.quit:
		return false
	case <-b.move: // detach has chosen another handle
		return true
	}
}

// onDemand has peers look again for what they could request.
func (b *hub) onDemand() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wakeAll()
	b.checkEnds()
}

// wakeAll gives all peers a turn. b.mu must be held.
func (b *hub) wakeAll() {
	for _, p := range b.peers {
		p.dry = false
		p.turn()
	}
}

// onChanges announces what the feed has got and lost.
func (b *hub) onChanges(feed Feed, arrived, cleared []bitmap.Run) {
	b.mu.Lock()
	defer b.mu.Unlock()
	offered := feed.Offered()
	if offered > b.announced {
		if feed.Writable() {
			arrived = append(arrived, bitmap.Run{Start: b.announced, End: offered})
		}
		b.announced = offered
	}
	for _, p := range b.peers {
		p.blocked = false
		if err := p.answerLate(); err != nil {
			b.host.opts.Logger.Error("feed cannot be read", "feed", b.dk, "err", err)
		}
		if p.remoteWants && p.uploading {
			for _, r := range cleared {
				p.announce.Remove(r.Start, r.End)
				p.unhave.Add(r.Start, r.End)
			}
			for _, r := range arrived {
				r.End = min(r.End, offered)
				p.announceRun(feed, r)
			}
		}
		if len(cleared) > 0 {
			p.dry = false // they may be wanted again
		}
		p.turn()
	}
	b.checkEnds()
}

// announceRun adds the blocks of a run that are present and that the remote is not
// known to have. Events may have merged runs, so there may be others in it.
func (p *Peer) announceRun(feed Feed, r bitmap.Run) {
	for present, err := range feed.Present(r.Start, r.End) {
		if err != nil {
			return // they will not be uploaded either
		}
		p.holdings.missing(present, func(m bitmap.Run) {
			p.announce.Add(m.Start, m.End)
			p.unhave.Remove(m.Start, m.End)
		})
	}
}

// tick looks after requests that are not answered.
func (b *hub) tick(now time.Time) {
	var late []*Peer
	b.mu.Lock()
	for _, p := range b.peers {
		if len(p.requests) > 0 && !p.checkRequests(now) {
			late = append(late, p)
		}
	}
	b.mu.Unlock()
	for _, p := range late {
		p.session.fail(&PeerError{Feed: p.dk, Type: wire.TypeRequest, Err: ErrRequestTimeout})
	}
}
