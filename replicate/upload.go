package replicate

import (
	"time"

	"github.com/cairn-feeds/cairn/replicate/wire"
)

// uploads are the requests of a remote that wait, in the order they came.
type uploads struct {
	queue []wire.Request
	head  int // queue[head:] are waiting
}

func (u *uploads) len() int { return len(u.queue) - u.head }

func (u *uploads) push(m wire.Request) {
	if u.head > 0 && u.head == len(u.queue) {
		u.queue, u.head = u.queue[:0], 0
	}
	if u.head > 1024 && 2*u.head > len(u.queue) {
		u.queue = u.queue[:copy(u.queue, u.queue[u.head:])]
		u.head = 0
	}
	u.queue = append(u.queue, m)
}

// pop removes the first n.
func (u *uploads) pop(n int) {
	u.head += n
	if u.head == len(u.queue) && cap(u.queue) > 1024 {
		*u = uploads{}
	}
}

// uploader is the memory that a session's writer answers requests with.
type uploader struct {
	batch []wire.Request
	block []byte
	data  wire.Data
}

// uploadBatch is the most requests that are answered in one turn.
const uploadBatch = 64

// canceled stands for the index of a request that was taken back.
const canceled = 1<<64 - 1

// onRequest queues a request.
func (p *Peer) onRequest(m *wire.Request) error {
	p.open()
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	if !p.uploading || p.gone {
		return nil
	}
	limit := p.session.host.opts.Limits.Uploads
	if p.session.uploads.Add(1) > int64(limit) {
		p.session.uploads.Add(-1)
		return flood("more than %d requests wait", limit)
	}
	p.uploads.push(*m)
	if p.uploads.len() == 1 || !p.blocked {
		p.turn()
	}
	return nil
}

// onCancel takes a request back, if it is among the latest.
func (p *Peer) onCancel(m *wire.Cancel) {
	p.open()
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	u := &p.uploads
	for i := len(u.queue) - 1; i >= u.head && i >= len(u.queue)-uploadBatch; i-- {
		if r := &u.queue[i]; r.Index == m.Index && r.Bytes == m.Bytes && r.Hash == m.Hash {
			r.Index = canceled
			return
		}
	}
}

// produce appends what the peer has to send, a turn's worth, and says whether there
// is more. The writer calls it.
func (p *Peer) produce(dst []byte, up *uploader, now time.Time) (out []byte, more bool) {
	b := p.hub
	b.mu.Lock()
	if !p.opened || p.gone {
		b.mu.Unlock()
		return dst, false
	}
	dst, more = p.appendAnnouncements(dst)
	dst = p.fill(dst, now)
	up.batch = up.batch[:0]
	if p.uploading && !p.blocked {
		waiting := p.uploads.queue[p.uploads.head:]
		up.batch = append(up.batch, waiting[:min(len(waiting), uploadBatch)]...)
	}
	b.mu.Unlock()
	if len(up.batch) == 0 {
		return dst, more
	}

	done, blocked := 0, false
	blocks, bytes := uint64(0), uint64(0)
	for full := len(dst) + turnSize; done < len(up.batch) && len(dst) < full; done++ {
		var size int
		dst, size, blocked = p.answer(dst, &up.batch[done], up)
		if blocked {
			break
		}
		if size >= 0 {
			blocks++
			bytes += uint64(size)
		}
	}
	p.total.uploaded(blocks, bytes)
	p.session.total.uploaded(blocks, bytes)
	b.host.total.uploaded(blocks, bytes)

	b.mu.Lock()
	defer b.mu.Unlock()
	if p.gone {
		return dst, false
	}
	p.uploads.pop(done)
	p.session.uploads.Add(-int64(done))
	if blocked && p.feed.Offered() < p.feed.Length() {
		p.blocked = true // until Offered has grown
		return dst, more
	}
	return dst, more || p.uploads.len() > 0
}

// answer appends the answer to a request. size is that of the block in it, or -1.
// blocked says that the request has to wait until what was appended is synced: the
// signature in its proof covers blocks that may not be shown yet.
func (p *Peer) answer(dst []byte, m *wire.Request, up *uploader) (out []byte, size int, blocked bool) {
	if m.Index == canceled {
		return dst, -1, false
	}
	index, digest := m.Index, m.Nodes
	if m.Bytes != 0 {
		if m.Bytes == p.lastSeek {
			return dst, -1, false // asked several times, one answer is enough
		}
		if at, err := p.feed.SeekKnown(m.Bytes); err == nil && at.Exact && at.Block < p.feed.Length() {
			p.lastSeek = m.Bytes
			index, digest = at.Block, 0
		}
	}
	if index >= p.feed.Offered() {
		return dst, -1, false // nobody was told of it
	}
	d := &up.data
	d.Index, d.HasValue, d.Value = index, !m.Hash, nil
	if !m.Hash {
		block, ok, err := p.feed.Block(up.block[:0], index)
		if err != nil || !ok {
			return (&wire.Unhave{Start: index, Length: 1}).AppendFrame(dst, p.local), -1, false
		}
		up.block, d.Value = block, block
	}
	behind := p.feed.Writable() && p.feed.Offered() < p.feed.Length()
	proof, err := p.feed.Proof(index, digest, m.Hash)
	if err != nil {
		return (&wire.Unhave{Start: index, Length: 1}).AppendFrame(dst, p.local), -1, false
	}
	if proof.HasSignature && behind {
		p.feed.RequestSync()
		return dst, -1, true
	}
	d.Proof = proof
	if d.BodySize() > wire.MaxBody {
		return (&wire.Unhave{Start: index, Length: 1}).AppendFrame(dst, p.local), -1, false
	}
	dst = d.AppendFrame(dst, p.local)
	if cap(up.block) > turnSize*4 {
		up.block = nil
	}
	if m.Hash {
		return dst, -1, false
	}
	p.feed.Uploaded(index, len(d.Value))
	return dst, len(d.Value), false
}
