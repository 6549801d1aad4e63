package replicate

import (
	"errors"
	"math/bits"
	"math/rand/v2"
	"time"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

// request is one that was sent and not answered.
type request struct {
	index uint64
	bytes uint64 // not 0: a seek
	hash  bool
	item  uint64 // the item of demand that it is for, if only one at a time may be
	sent  int64  // in nanoseconds

	// after is the request whose answer this one's digest takes for granted. Its own
	// answer is held until that of after has come.
	after *request
	next  *request // the one that counts on this one
	held  *arrival // its answer while it is held
	over  bool     // answered and passed on, or given up
	freed bool     // its reservation was taken back: others may be asked
}

// fill appends requests until enough are under way: what somebody waits for first.
// hub.mu must be held.
func (p *Peer) fill(dst []byte, now time.Time) []byte {
	p.sendWants()
	if p.dry || !p.remoteUploading {
		return dst
	}
	at := now.UnixNano()
	if p.feed.Guarded() {
		dst = p.askForGuard(dst, at)
	}
	if !p.downloading {
		return dst
	}
	dst = p.fillUrgent(dst, at)
	if room := p.window.size - len(p.requests); room > 0 {
		dst = p.fillRanges(dst, room, at)
	}
	return dst
}

// askForGuard asks for a proof of the remote's length, from nothing, so that the
// feed learns whether it is behind.
func (p *Peer) askForGuard(dst []byte, now int64) []byte {
	n := p.holdings.remoteLength()
	now2 := [2]uint64{n, p.feed.Length()}
	if n == 0 || p.guardAsked == now2 || p.requests[n-1] != nil || !p.holdings.has(n-1) {
		return dst
	}
	p.guardAsked = now2
	return p.request(dst, &request{index: n - 1, hash: true, sent: now}, 0)
}

// fillUrgent appends requests for gets, updates and seeks.
func (p *Peer) fillUrgent(dst []byte, now int64) []byte {
	b := p.hub
	b.urgent = p.feed.Demand().Urgent(b.urgent[:0])
	for i := range b.urgent {
		if len(p.requests) >= p.window.size+extraUrgent {
			break
		}
		switch it := &b.urgent[i]; it.Kind {
		case demand.Get:
			if p.wants(it.Index) {
				dst = p.requestBlock(dst, it.Index, 0, now)
			}
		case demand.Update:
			dst = p.requestUpdate(dst, it, now)
		case demand.Seek:
			dst = p.requestSeek(dst, it, now)
		default: // the others are not for here
		}
	}
	return dst
}

// wants says whether a block can be requested: the remote has it, we do not, and
// nobody was asked for it.
func (p *Peer) wants(index uint64) bool {
	return p.requests[index] == nil && !p.hub.reserved.Has(index) && p.holdings.has(index) && !p.feed.Has(index)
}

// requestUpdate asks for what proves a length.
func (p *Peer) requestUpdate(dst []byte, it *demand.Item, now int64) []byte {
	if p.hub.asked[it.ID] != nil {
		return dst
	}
	// Any later block proves it too.
	index, ok := p.holdings.next(it.Index)
	if !ok || p.requests[index] != nil || p.hub.reserved.Has(index) {
		return dst
	}
	if !it.HashOnly && !p.feed.Has(index) {
		return p.requestBlock(dst, index, it.ID, now)
	}
	return p.requestHash(dst, &request{index: index, hash: true, item: it.ID, sent: now})
}

// requestSeek asks for what tells where a byte is. The remote answers with the block
// that holds the byte if it knows that; if not with the block in the middle, which
// halves what is left to search.
func (p *Peer) requestSeek(dst []byte, it *demand.Item, now int64) []byte {
	if p.hub.asked[it.ID] != nil {
		return dst
	}
	start, end := it.Start, min(it.End, p.holdings.remoteLength())
	if r, err := p.feed.SeekKnown(it.Bytes); err == nil {
		if r.Exact {
			if it.HashOnly || !p.wants(r.Block) {
				return dst
			}
			return p.requestBlock(dst, r.Block, it.ID, now)
		}
		start, end = max(start, r.Start), min(end, r.End)
	}
	if start >= end {
		return dst
	}
	index, ok := p.holdings.next(start + (end-start)/2)
	if !ok || index >= end {
		index, ok = p.holdings.next(start)
	}
	if !ok || index >= end || p.requests[index] != nil {
		return dst
	}
	return p.requestHash(dst, &request{index: index, bytes: it.Bytes, hash: true, item: it.ID, sent: now})
}

// requestHash asks for a proof only.
func (p *Peer) requestHash(dst []byte, r *request) []byte {
	digest, err := p.feed.Digest(r.index)
	if err != nil {
		return dst
	}
	return p.request(dst, r, digest)
}

// requestBlock asks for a block.
func (p *Peer) requestBlock(dst []byte, index, item uint64, now int64) []byte {
	digest, after, err := p.digest(index)
	if err != nil {
		return dst // the store cannot be read; the next read will say so
	}
	r := &request{index: index, item: item, sent: now, after: after}
	if after != nil {
		after.next = r
	}
	p.hub.reserved.Add(index, index+1)
	dst = p.request(dst, r, digest)
	p.last = r
	return dst
}

// request sends r and remembers it.
func (p *Peer) request(dst []byte, r *request, digest uint64) []byte {
	if len(p.requests) == 0 {
		p.window.sent(r.sent)
	}
	p.requests[r.index] = r
	if r.item != 0 {
		p.hub.asked[r.item] = r
	}
	if r.bytes != 0 {
		p.seeks++
	}
	m := wire.Request{Index: r.index, Bytes: r.bytes, Hash: r.hash, Nodes: digest}
	return m.AppendFrame(dst, p.local)
}

// digest returns what a request says about the nodes on the block's path.
//
// A block within the known length, whose predecessor is here or was requested from
// the same remote just before, needs no look at the tree. The proof of block i-1 has
// every sibling on its path, and one of them is the largest tree that begins with
// block i. So that is what is known of block i's path once its predecessor is stored:
// an ancestor as many levels up as i has trailing zero bits, and no sibling below. On
// average such a proof has one node, however long the feed is and however many
// requests are under way, where a look at the tree at the time of the request
// would ask for the same nodes again and again.
func (p *Peer) digest(i uint64) (digest uint64, after *request, err error) {
	if length := p.feed.Length(); i > 0 && i < length {
		if last := p.last; last != nil && last.index == i-1 && !last.over {
			return successorDigest(i, length), last, nil
		}
		if p.feed.Has(i - 1) {
			return successorDigest(i, length), nil, nil
		}
	}
	digest, err = p.feed.Digest(i)
	return digest, nil, err
}

// successorDigest is the digest of block i of a feed of that length for somebody who
// has block i-1, and nothing of the tree that begins with i but its top.
func successorDigest(i, length uint64) uint64 {
	depth := bits.TrailingZeros64(i)
	for i+1<<depth > length {
		depth-- // not a tree yet; the full root that begins with i is
	}
	if depth == 0 {
		return 1
	}
	return 1<<(depth+1) | 1
}

// fillRanges appends requests for blocks of ranges.
func (p *Peer) fillRanges(dst []byte, room int, now int64) []byte {
	b := p.hub
	b.ranges = p.feed.Demand().Ranges(b.ranges[:0])
	found := false
	for i := range b.ranges {
		runs, err := b.pick(b.runs[:0], p, &b.ranges[i], uint64(room))
		b.runs = runs
		if err != nil {
			return dst
		}
		found = found || len(runs) > 0
		for _, r := range runs {
			for index := r.Start; index < r.End; index++ {
				if p.requests[index] != nil {
					continue // for its hash
				}
				dst = p.requestBlock(dst, index, 0, now)
				room--
			}
			p.cursor = r.End
		}
		if room <= 0 {
			return dst
		}
	}
	p.dry = !found // what was left out this time comes next time
	return dst
}

// pick appends runs of blocks of an item to request next, room blocks at most.
func (b *hub) pick(dst []bitmap.Run, p *Peer, it *demand.Item, room uint64) ([]bitmap.Run, error) {
	if it.Blocks != nil {
		for _, block := range it.Blocks {
			if room > 0 && p.wants(block) {
				dst = append(dst, bitmap.Run{Start: block, End: block + 1})
				room--
			}
		}
		return dst, nil
	}
	start, end := it.Start, min(it.End, p.holdings.remoteLength())
	s := search{b: b, p: p, runs: dst, room: room}
	if it.Linear {
		s.scan(start, end)
		return s.runs, s.err
	}
	if p.cursor < start || p.cursor > end {
		p.cursor = start
	}
	if len(b.peers) > 1 {
		// What nobody else has first: when this peer leaves, it is gone.
		s.rare = true
		s.scan(p.cursor, end)
		s.scan(start, p.cursor)
		s.rare = false
		if s.room == room && p.cursor == start && end > start {
			p.cursor = start + rand.Uint64N(end-start) // apart from the others
		}
	}
	// Runs that were found already are found again only if nothing was reserved in
	// between: leave it at those.
	if s.room == room {
		s.scan(p.cursor, end)
		s.scan(start, p.cursor)
	}
	return s.runs, s.err
}

// search looks for blocks to request of one peer.
type search struct {
	b    *hub
	p    *Peer
	rare bool // only blocks that no other peer has
	runs []bitmap.Run
	room uint64
	err  error
}

// maxSteps bounds one scan. A remote that has every other block makes for many steps.
const maxSteps = 4096

// scan goes through [i, end).
func (s *search) scan(i, end uint64) {
	feed, held, reserved := s.p.feed, &s.p.holdings, &s.b.reserved
	for range maxSteps {
		if i >= end || s.room == 0 || s.err != nil {
			return
		}
		missing, err := feed.NextMissing(i)
		if err != nil {
			s.err = err
			return
		}
		next, ok := held.next(missing)
		if !ok || next >= end {
			return
		}
		if free := reserved.NextMissing(next); free > next {
			next = free
		}
		if next > missing || next > i && !held.has(next) {
			i = next
			continue // is it missing here, and is it there?
		}
		i = next
		stop := min(end, i+s.room, held.nextMissing(i))
		if r, ok := reserved.NextPresent(i); ok {
			stop = min(stop, r)
		}
		if s.rare {
			if i, stop = s.unique(i, stop); i >= stop {
				continue
			}
		}
		for r, err := range feed.Present(i, stop) {
			if err != nil {
				s.err = err
				return
			}
			stop = r.Start
			break
		}
		if stop > i {
			s.runs = append(s.runs, bitmap.Run{Start: i, End: stop})
			s.room -= stop - i
		}
		i = max(stop, i+1)
	}
}

// unique returns the beginning of [i, stop) as far as no other peer has it. When one
// has block i the result is empty and begins where that one's run ends.
func (s *search) unique(i, stop uint64) (start, end uint64) {
	for _, q := range s.b.peers {
		if q == s.p || !q.remoteUploading {
			continue
		}
		next, ok := q.holdings.next(i)
		if ok && next == i {
			return q.holdings.nextMissing(i), i
		}
		if ok {
			stop = min(stop, next)
		}
	}
	return i, stop
}

// release gives a request up: others may be asked. Its answer, should it come, was
// not asked for. hub.mu must be held.
func (p *Peer) release(r *request) {
	p.forget(r)
	if !r.hash && !r.freed {
		p.hub.reserved.Remove(r.index, r.index+1)
	}
	p.passOn(r)
}

// forget removes a request from those under way.
func (p *Peer) forget(r *request) {
	delete(p.requests, r.index)
	if r.item != 0 {
		delete(p.hub.asked, r.item)
	}
	if r.bytes != 0 {
		p.seeks--
	}
	if p.last == r && !r.over {
		p.last = nil
	}
}

// releaseAll gives all requests up.
func (p *Peer) releaseAll() {
	for _, r := range p.requests {
		p.release(r)
	}
}

// checkRequests looks for requests that stay unanswered: what others could bring is
// left to them soon. It returns false when the remote is to be dropped.
func (p *Peer) checkRequests(now time.Time) bool {
	timeout := p.session.host.opts.Timeout
	if timeout <= 0 || p.session.full() {
		return true
	}
	at := now.UnixNano()
	silent := time.Duration(at - p.window.answered)
	if silent >= timeout {
		// Those that were satisfied otherwise do not count.
		for index, r := range p.requests {
			if r.hash || !p.feed.Has(index) {
				return false
			}
			p.release(r)
		}
		return true
	}
	patience := max(2*time.Second, 8*p.window.rtt)
	freed := false
	for index, r := range p.requests {
		age := time.Duration(at - r.sent)
		switch {
		case age >= timeout:
			// Others were answered; this block it seems not to have any more.
			p.release(r)
			_ = p.holdings.change(false, func(s *bitmap.Set) error { s.Remove(index, index+1); return nil })
			freed = true
		case silent >= patience && age >= patience && !r.hash && !r.freed && len(p.hub.peers) > 1:
			r.freed = true
			p.hub.reserved.Remove(index, index+1)
			freed = true
		}
	}
	if freed {
		p.hub.wakeAll()
	}
	return true
}

// insufficient says whether an error is about a proof that did not reach what is
// known. That happens to honest peers when what a request took for granted did not
// come true.
func insufficient(err error) bool {
	return errors.Is(err, tree.ErrMissingRoots) || errors.Is(err, tree.ErrMissingSignature)
}
