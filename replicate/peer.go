package replicate

import (
	"sync"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

// A Peer is the remote of a session as far as one feed is concerned. The methods
// may be called from any goroutine.
type Peer struct {
	session *Session
	feed    Feed // its own handle
	owned   bool // the handle is ours to close
	dk      tree.DiscoveryKey
	channel *channel
	hub     *hub
	source  *demand.Source // what the demand thinks of us
	total   counters
	opening sync.Once

	queued          bool // for a turn of the session; under Session.mu
	sentExtensions  extensionSent
	theirExtensions []string // the reader's

	holdings holdings

	// The rest is under hub.mu.

	opened, gone bool
	local        uint64 // the number of our channel

	uploading, downloading             bool // what we do
	everDownloading                    bool
	remoteUploading, remoteDownloading bool // what the remote says it does
	remoteWants                        bool // the remote sent a Want, so it gets announcements
	remoteAck                          bool // the remote wants to know what we stored
	updated                            bool // news of the remote's holdings came

	wanted     map[uint64]struct{} // ranges of wantSize blocks that we asked about
	unanswered int                 // of these
	wantsSeen  int                 // of the remote
	oldPeer    bool                // it does not know ranges

	requests   map[uint64]*request // unanswered, by block
	last       *request            // the one for a block that was sent last
	seeks      int                 // of the requests
	window     window
	dry        bool   // there is nothing more to request, until something changes
	cursor     uint64 // where the last run of requests ended
	guardAsked [2]uint64
	lacking    int // proofs that did not suffice

	lateWants []lateWant // of the remote, that wait until the feed is synced

	uploads  uploads
	lastSeek uint64
	blocked  bool // the first upload waits until the feed is synced

	announce bitmap.Set // blocks to announce
	unhave   bitmap.Set // blocks to take back

	finished bool // the end of downloading was reached once
}

func newPeer(s *Session, f Feed, o AddOptions) *Peer {
	p := &Peer{session: s, feed: f, dk: f.DiscoveryKey()}
	p.uploading = !o.NoUpload
	p.downloading = o.Download || !o.NoDownload && !f.Writable()
	p.everDownloading = p.downloading
	p.remoteUploading, p.remoteDownloading = true, true
	p.wanted = make(map[uint64]struct{})
	p.requests = make(map[uint64]*request)
	p.window.init(s.host.opts.Limits.Requests)
	p.holdings.session = s
	return p
}

// Session returns the session that the peer is on.
func (p *Peer) Session() *Session { return p.session }

// DiscoveryKey names the feed.
func (p *Peer) DiscoveryKey() tree.DiscoveryKey { return p.dk }

// Feed returns the handle of the feed that the peer works with.
func (p *Peer) Feed() Feed { return p.feed }

// Stats returns what was exchanged with the peer.
func (p *Peer) Stats() Stats { return p.total.stats() }

// RemoteLength returns how many blocks the remote is known to have, up to the last
// one; there may be gaps.
func (p *Peer) RemoteLength() uint64 { return p.holdings.remoteLength() }

// RemoteHas says whether the remote is known to have a block.
func (p *Peer) RemoteHas(index uint64) bool { return p.holdings.has(index) }

// A PeerState is a look at a peer.
type PeerState struct {
	Open                               bool // both sides have opened the feed
	Uploading, Downloading             bool // what we do
	RemoteUploading, RemoteDownloading bool // what the remote says it does
	RemoteWants                        bool // the remote has asked what we have
	Answered                           bool // the remote has said what it has
	RemoteLength                       uint64
	Requests                           int // of ours that are not answered
	Uploads                            int // requests of the remote that are not answered
}

// State returns how the peer stands.
func (p *Peer) State() PeerState {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	return PeerState{
		Open: p.opened && !p.gone, Uploading: p.uploading, Downloading: p.downloading,
		RemoteUploading: p.remoteUploading, RemoteDownloading: p.remoteDownloading,
		RemoteWants: p.remoteWants, Answered: p.updated, RemoteLength: p.holdings.remoteLength(),
		Requests: len(p.requests), Uploads: p.uploads.len(),
	}
}

// Close closes the feed's channel; the session goes on, unless this was the last one
// and it is not live.
func (p *Peer) Close() { p.remove(ErrClosed) }

// remove closes the channel for a reason. No lock may be held.
func (p *Peer) remove(reason error) { p.session.closeChannel(p.channel, reason) }

// SetDownloading starts or stops asking the remote for blocks.
func (p *Peer) SetDownloading(on bool) {
	p.setStatus(func() {
		p.downloading = on
		p.everDownloading = p.everDownloading || on
		if !on {
			p.releaseAll()
		}
	})
}

// SetUploading starts or stops answering the remote's requests.
func (p *Peer) SetUploading(on bool) { p.setStatus(func() { p.uploading = on }) }

func (p *Peer) setStatus(set func()) {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	set()
	p.dry = false
	if p.opened && !p.gone {
		p.sendStatus()
		p.turn()
	}
}

// number returns the number of our channel, and whether the peer is open.
func (p *Peer) number() (local uint64, open bool) {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	return p.local, p.opened && !p.gone
}

// turn has the writer come by.
func (p *Peer) turn() {
	if p.opened && !p.gone {
		p.session.turn(p)
	}
}

// send queues a message on the peer's channel. hub.mu must be held.
func (p *Peer) send(m wire.Message) { p.session.send(m, p.local) }

// open begins to exchange messages: both sides have opened the channel.
func (p *Peer) open() { p.opening.Do(p.begin) }

func (p *Peer) begin() {
	s, h := p.session, p.hub
	s.mu.Lock()
	local := p.channel.local
	s.mu.Unlock()
	h.mu.Lock()
	if p.gone {
		h.mu.Unlock()
		return
	}
	p.local, p.opened = local, true
	h.mu.Unlock()
	p.sendOptions()

	h.mu.Lock()
	if !p.uploading || !p.downloading {
		p.sendStatus()
	}
	p.sendWants()
	p.source.Answered() // we know what to expect now
	if p.feed.Offered() < p.feed.Length() {
		p.feed.RequestSync()
	}
	p.turn()
	h.mu.Unlock()
	s.events.put(func() {
		if f := s.host.opts.Events.PeerOpen; f != nil {
			f(p)
		}
	})
}

// sendStatus says what we do. hub.mu must be held.
func (p *Peer) sendStatus() {
	p.send(&wire.Status{Uploading: p.uploading, Downloading: p.downloading})
}

// onStatus applies what the remote says it does.
func (p *Peer) onStatus(m *wire.Status) {
	p.open()
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	p.remoteUploading, p.remoteDownloading = m.Uploading, m.Downloading
	if !m.Uploading {
		p.releaseAll()
		clear(p.wanted)
		for ; p.unanswered > 0; p.unanswered-- {
			p.source.Answered()
		}
	}
	p.dry = false
	p.turn()
	if !m.Downloading {
		p.autoEnd()
	}
	p.checkEnd()
}
