package replicate

import (
	"iter"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

const (
	// wantSize is the number of blocks of the ranges that peers ask about.
	wantSize = 1 << 20
	// wantAlign is what starts and lengths of ranges must be multiples of.
	wantAlign = 8192
	// maxWants is the number of Wants that may be unanswered.
	maxWants = 16
	// maxScattered is the number of pages, neither full nor empty, of one bitfield;
	// that of a range that we asked about has at most 16.
	maxScattered = 128
	// maxBitfield is the most blocks that one bitfield may speak of.
	maxBitfield = 1 << 32
)

// curious says whether we ask what the remote has: to download it, to learn how long
// a feed of ours is elsewhere, or to know when the remote has everything.
func (p *Peer) curious() bool {
	return p.remoteUploading && !p.oldPeer &&
		(p.downloading || p.session.host.opts.EndComplete || p.feed.Guarded())
}

// sendWants asks about ranges that matter and were not asked about yet. hub.mu must
// be held.
func (p *Peer) sendWants() {
	p.holdings.setAble(p.downloading && p.remoteUploading)
	if !p.curious() {
		return
	}
	p.want(0)
	if !p.downloading {
		for r := uint64(1); r*wantSize < p.holdings.remoteLength() && p.unanswered < maxWants; r++ {
			p.want(r)
		}
		return
	}
	b := p.hub
	d := p.feed.Demand()
	b.urgent = d.Urgent(b.urgent[:0])
	for i := range b.urgent {
		if it := &b.urgent[i]; it.Kind == demand.Seek {
			p.wantNext(it)
		} else {
			p.want(it.Index / wantSize)
		}
	}
	b.ranges = d.Ranges(b.ranges[:0])
	for i := range b.ranges {
		if it := &b.ranges[i]; it.Blocks != nil {
			for _, block := range it.Blocks {
				p.want(block / wantSize)
			}
		} else {
			p.wantNext(it)
		}
	}
}

// wantNext asks about the first range of an item that was not asked about.
func (p *Peer) wantNext(it *demand.Item) {
	end := min(it.End, p.holdings.remoteLength())
	for r := it.Start / wantSize; r*wantSize < end && p.unanswered < maxWants; r++ {
		if p.want(r) {
			return
		}
	}
}

// want asks about a range, if that was not done and not too many questions are open.
func (p *Peer) want(r uint64) bool {
	if _, ok := p.wanted[r]; ok || p.unanswered >= maxWants {
		return false
	}
	p.wanted[r] = struct{}{}
	p.unanswered++
	p.source.Expect()
	p.send(&wire.Want{Start: r * wantSize, Length: wantSize})
	return true
}

// onHave applies what the remote says it has, or has stored.
func (p *Peer) onHave(m *wire.Have) error {
	p.open()
	if m.Start >= tree.MaxLength || !m.HasBitfield && m.Length > tree.MaxLength-m.Start {
		return protocolError("have of blocks %d+%d", m.Start, m.Length)
	}
	blocks := bitmap.Run{Start: m.Start, End: m.Start + m.Length}
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	events := &p.session.host.opts.Events
	if m.Ack {
		if !p.session.host.opts.Ack || !p.feed.Has(m.Start) {
			return nil
		}
		err := p.holdings.change(false, func(s *bitmap.Set) error { s.Add(blocks.Start, blocks.End); return nil })
		if f := events.Ack; f != nil {
			p.session.events.put(func() { f(p, blocks) })
		}
		p.checkEnd()
		return err
	}
	longer, err := p.applyHave(m)
	if err != nil {
		return err
	}
	if f := events.RemoteUpdate; f != nil && (longer || !p.updated) {
		p.session.events.put(func() { f(p) })
	}
	if f := events.Have; f != nil {
		p.session.events.put(func() { f(p, blocks) })
	}
	if m.HasBitfield {
		p.updated = true
	}
	if m.Length == wantSize && p.unanswered > 0 {
		p.unanswered--
		p.source.Answered()
	}
	p.dry = false
	p.turn()
	p.hub.checkEnds()
	return nil
}

// applyHave changes the holdings, and says whether the remote is longer than known.
func (p *Peer) applyHave(m *wire.Have) (longer bool, err error) {
	if !m.HasBitfield {
		err := p.holdings.change(false, func(s *bitmap.Set) error { s.Add(m.Start, m.Start+m.Length); return nil })
		return m.Length > 0 && p.holdings.raise(m.Start+m.Length), err
	}
	if m.Start%wantAlign != 0 {
		return false, protocolError("bitfield at block %d", m.Start)
	}
	if m.Length <= 1 {
		p.oldPeer = true
	}
	var last uint64
	var any bool
	err = p.holdings.change(true, func(s *bitmap.Set) (err error) {
		last, any, err = s.ReplaceRLE(m.Start, m.Bitfield, bitmap.RLELimits{
			Length: min(m.Length, maxBitfield), MaxBlocks: maxBitfield, MaxPages: maxScattered,
		})
		return err
	})
	if err != nil {
		return false, err
	}
	if any && last >= tree.MaxLength {
		return false, protocolError("bitfield with block %d", last)
	}
	return any && p.holdings.raise(last+1), nil
}

// onUnhave applies what the remote says it has no more.
func (p *Peer) onUnhave(m *wire.Unhave) {
	p.open()
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	end := m.Start + m.Length
	// Its error is about memory, of which there is less now.
	_ = p.holdings.change(false, func(s *bitmap.Set) error { s.Remove(m.Start, end); return nil })
	for index, r := range p.requests {
		if m.Start <= index && index < end && r.bytes == 0 {
			p.release(r)
		}
	}
	p.hub.wakeAll()
}

// onWant answers what we have and, from the first time on, lets the remote know of
// changes.
func (p *Peer) onWant(m *wire.Want) error {
	p.open()
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	if !p.uploading || p.gone || m.Start%wantAlign != 0 || m.Length%wantAlign != 0 {
		return nil
	}
	length := p.feed.Length()
	if p.wantsSeen++; uint64(p.wantsSeen) > 64+16*(length/wantAlign) {
		return flood("%d wants for %d blocks", p.wantsSeen, length)
	}
	if p.feed.Writable() && p.feed.Offered() < length {
		// An answer that leaves out what is not synced yet would end a session that
		// is not live.
		p.lateWants = append(p.lateWants, lateWant{*m, length})
		p.feed.RequestSync()
		return nil
	}
	return p.answerWant(m)
}

// lateWant is a Want that waits until a length is offered.
type lateWant struct {
	want   wire.Want
	length uint64
}

// answerLate answers the Wants that waited for the feed to be synced. hub.mu must be
// held.
func (p *Peer) answerLate() error {
	for len(p.lateWants) > 0 && p.lateWants[0].length <= p.feed.Offered() {
		m := p.lateWants[0].want
		p.lateWants = p.lateWants[1:]
		if err := p.answerWant(&m); err != nil {
			return err
		}
	}
	return nil
}

// answerWant says what we have of a range.
func (p *Peer) answerWant(m *wire.Want) error {
	end := m.Start + m.Length
	if m.Length == 0 {
		end = tree.MaxLength
	}
	offered := p.feed.Offered()
	if !p.remoteWants {
		p.remoteWants = true
		if offered > 0 && p.feed.Has(offered-1) {
			p.send(&wire.Have{Start: offered - 1, Length: 1})
		}
	}
	end = min(end, offered)
	var failed error
	runs := func(yield func(bitmap.Run) bool) {
		if m.Start < end {
			yieldRuns(p.feed.Present(m.Start, end), yield, &failed)
		}
	}
	field := bitmap.AppendRLERuns(nil, runs, m.Start, max(m.Start, end))
	if failed != nil {
		return failed
	}
	p.send(&wire.Have{Start: m.Start, Length: m.Length, Bitfield: field, HasBitfield: true})
	return nil
}

// yieldRuns yields runs until one fails, and keeps its error.
func yieldRuns(runs iter.Seq2[bitmap.Run, error], yield func(bitmap.Run) bool, failed *error) {
	for r, err := range runs {
		if err != nil {
			*failed = err
			return
		}
		if !yield(r) {
			return
		}
	}
}

// maxAnnouncements is how many announcements a peer makes in one turn.
const maxAnnouncements = 1024

// appendAnnouncements appends Haves and Unhaves that are due, and says whether there
// are more. hub.mu must be held.
func (p *Peer) appendAnnouncements(dst []byte) (out []byte, more bool) {
	room := maxAnnouncements
	for room > 0 {
		r, ok := firstRun(&p.unhave)
		if !ok {
			break
		}
		dst = (&wire.Unhave{Start: r.Start, Length: r.Len()}).AppendFrame(dst, p.local)
		p.unhave.Remove(r.Start, r.End)
		room--
	}
	for room > 0 {
		r, ok := firstRun(&p.announce)
		if !ok {
			return dst, false
		}
		dst = (&wire.Have{Start: r.Start, Length: r.Len()}).AppendFrame(dst, p.local)
		p.announce.Remove(r.Start, r.End)
		room--
	}
	return dst, true
}

func firstRun(s *bitmap.Set) (bitmap.Run, bool) {
	start, ok := s.NextPresent(0)
	if !ok {
		return bitmap.Run{}, false
	}
	return bitmap.Run{Start: start, End: s.NextMissing(start)}, true
}
