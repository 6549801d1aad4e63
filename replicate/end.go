package replicate

import (
	"github.com/cairn-feeds/cairn/replicate/wire"
)

// How a session that is not live ends, feed by feed. Each side says in a Status when
// it stops downloading; who knows that neither downloads closes the channel:
//
//	reader                                  writer
//	  |        <--- Status{uploading, not downloading}
//	  |  ... has everything
//	  | Status{uploading, not downloading} --->
//	  |        <--- Status{neither}, Close
//	  | Close --->
//
// The session ends with its last channel. A sparse reader never ends by itself, and
// a live one neither.

// checkEnds looks at all peers. hub.mu must be held.
func (b *hub) checkEnds() {
	for _, p := range b.peers {
		p.checkEnd()
	}
}

// checkEnd ends the peer if there is nothing left to do. hub.mu must be held.
func (p *Peer) checkEnd() {
	o := &p.session.host.opts
	if o.Live || !p.opened || p.gone {
		return
	}
	switch {
	case o.EndComplete:
		if (p.updated || !p.curious()) && !p.selecting() && (!p.remoteDownloading || p.remoteComplete()) {
			p.close()
		}
	case !p.finished && p.downloading && !p.sparse() && !p.selecting():
		p.finished = true
		p.endStep()
	}
}

// autoEnd is the reaction to a remote that does not download.
func (p *Peer) autoEnd() {
	o := &p.session.host.opts
	if o.Live || o.EndComplete || !p.opened || p.gone || p.downloading && p.selecting() {
		return
	}
	if p.uploading && p.remoteDownloading || p.sparse() && (p.remoteUploading || p.downloading) {
		return
	}
	p.endStep()
}

func (p *Peer) endStep() {
	switch {
	case !p.downloading && !p.remoteDownloading:
		if !p.everDownloading {
			p.send(&wire.Status{})
		}
		p.close()
	case p.downloading:
		p.downloading = false
		p.send(&wire.Status{Uploading: true})
	default:
		p.close()
	}
}

// close closes the channel once hub.mu, which is held, is free.
func (p *Peer) close() {
	p.session.events.put(func() { p.remove(ErrComplete) })
}

// sparse says whether the feed is not wanted as a whole.
func (p *Peer) sparse() bool {
	if p.feed.Writable() {
		return false
	}
	b := p.hub
	b.ranges = p.feed.Demand().Ranges(b.ranges[:0])
	for i := range b.ranges {
		if b.ranges[i].Standing {
			return false
		}
	}
	return true
}

// selecting says whether there is something left to download: an item that waits, or
// a block of the whole feed as far as it is known to any peer.
func (p *Peer) selecting() bool {
	if p.hub.delivering || p.feed.Demand().Waiting() {
		return true
	}
	if p.sparse() || p.feed.Writable() {
		return false
	}
	if !p.updated && p.curious() {
		return true // the remote has not said yet how much there is
	}
	length := p.feed.Length()
	for _, q := range p.hub.peers {
		length = max(length, q.holdings.remoteLength())
	}
	missing, err := p.feed.NextMissing(0)
	return err == nil && missing < length
}

// remoteComplete says whether the remote has every block that we have.
func (p *Peer) remoteComplete() bool {
	for r, err := range p.feed.Present(0, p.feed.Length()) {
		if err != nil || p.holdings.nextMissing(r.Start) < r.End {
			return false
		}
	}
	return true
}
