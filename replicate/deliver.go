package replicate

import (
	"errors"
	"time"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

// arrival is an answer that waits to be verified and stored.
type arrival struct {
	p        *Peer
	r        *request
	delivery tree.Delivery
	memory   *wire.Buffer // what the data is in
	charge   int          // counted against the session
}

const (
	// maxBatchArrivals and maxBatchBytes bound what is stored as one change.
	maxBatchArrivals = 8192
	maxBatchBytes    = 8 << 20
	// bufferCharge is what the first data in a buffer counts beside itself: keeping
	// it keeps the buffer.
	bufferCharge = 256 << 10
	// nodeMemory is the number of nodes for which memory is made at once.
	nodeMemory = 2048
	// maxLacking is how many proofs that do not suffice a remote may send.
	maxLacking = 64
)

// freeNodes returns memory for the nodes of one proof.
func (d *decoders) freeNodes() []tree.Node {
	if cap(d.nodes) < wire.MaxNodes {
		d.nodes = make([]tree.Node, 0, nodeMemory)
	}
	return d.nodes
}

// keepData makes what was decoded stay.
func (d *decoders) keepData(r *wire.Reader, size int) (a arrival) {
	m := &d.data
	nodes := m.Proof.Nodes
	d.nodes = nodes[len(nodes):]
	m.Proof.Nodes = nodes[:len(nodes):len(nodes)]
	a.delivery = tree.Delivery{Block: m.Index, Data: m.Value, HasData: m.HasValue, Proof: m.Proof}
	a.memory = r.Keep()
	a.charge = size
	if a.memory != d.kept {
		d.kept = a.memory
		a.charge += bufferCharge
	}
	return a
}

// onData takes an answer.
func (p *Peer) onData(f wire.Frame, reader *wire.Reader, d *decoders) error {
	p.open()
	m := &d.data
	b := p.hub
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.gone {
		return nil
	}
	r := p.requests[m.Index]
	if (r == nil || r.bytes == 0 && r.hash == m.HasValue) && p.seeks > 0 {
		for _, q := range p.requests { // the answer to a seek is about any block
			if q.bytes != 0 && q.hash != m.HasValue {
				r = q
				break
			}
		}
	}
	if r == nil {
		// Nobody asked for it, or not any more.
		if m.HasValue && p.remoteWants && !p.feed.Has(m.Index) {
			p.send(&wire.Unhave{Start: m.Index, Length: 1})
		}
		return nil
	}
	p.window.answer(r.sent, time.Now().UnixNano())
	a := d.keepData(reader, len(f.Body))
	a.p, a.r = p, r
	p.session.take(a.charge)
	p.forget(r)
	if r.after != nil && !r.after.over {
		r.held = &a
	} else {
		b.enqueue(&a)
		p.passOn(r)
	}
	if !p.dry && p.window.size-len(p.requests) > p.window.size/4 || len(p.requests) == 0 {
		p.turn()
	}
	return nil
}

// passOn marks a request as over and lets the answers that counted on it go on.
func (p *Peer) passOn(r *request) {
	for {
		r.over = true
		r.after = nil
		n := r.next
		r.next = nil
		if n == nil || n.held == nil {
			return
		}
		p.hub.enqueue(n.held)
		n.held = nil
		r = n
	}
}

// enqueue hands an answer to the one that delivers. hub.mu must be held.
func (b *hub) enqueue(a *arrival) {
	b.queue = append(b.queue, *a)
	if !b.delivering {
		b.delivering = true
		b.host.running.Go(b.routineDeliver)
	}
}

// routineDeliver stores what has arrived, as much as there is at a time, until there
// is no more.
func (b *hub) routineDeliver() {
	var ds []tree.Delivery
	for {
		batch := b.takeBatch()
		if batch == nil {
			return
		}
		for len(batch) > 0 {
			p, n := batch[0].p, 1
			for n < len(batch) && batch[n].p == p {
				n++
			}
			ds = b.deliver(p, batch[:n], ds)
			batch = batch[n:]
		}
	}
}

// takeBatch takes the next arrivals from the queue, those of one peer together. It
// returns nil when the goroutine shall end.
func (b *hub) takeBatch() []arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, size := 0, 0
	several := false
	for n < len(b.queue) && n < maxBatchArrivals && size < maxBatchBytes {
		size += len(b.queue[n].delivery.Data)
		several = several || b.queue[n].p != b.queue[0].p
		n++
	}
	if n == 0 {
		b.queue = nil
		b.delivering = false
		b.checkEnds()
		return nil
	}
	batch := b.queue[:n:n]
	b.queue = b.queue[n:]
	if !several {
		return batch
	}
	sorted := make([]arrival, 0, n)
	for i := range batch {
		p := batch[i].p
		if p == nil {
			continue
		}
		for j := i; j < n; j++ {
			if batch[j].p == p {
				sorted = append(sorted, batch[j])
				batch[j].p = nil
			}
		}
	}
	return sorted
}

// deliver stores what one peer sent. ds is memory to use.
func (b *hub) deliver(p *Peer, as []arrival, ds []tree.Delivery) []tree.Delivery {
	ds = ds[:0]
	for i := range as {
		ds = append(ds, as[i].delivery)
	}
	for rest := ds; len(rest) > 0; {
		n, err := p.feed.Deliver(b.host.ctx, p, rest)
		b.delivered(p, as[:n])
		as, rest = as[n:], rest[n:]
		if err == nil {
			break
		}
		if len(as) > 0 {
			b.refused(p, &as[0], err)
			as, rest = as[1:], rest[1:]
		}
		if b.dropped(p, err) {
			b.giveBack(p, as)
			break
		}
	}
	clear(ds)
	return ds
}

// delivered settles what was stored.
func (b *hub) delivered(p *Peer, as []arrival) {
	if len(as) == 0 {
		return
	}
	charge, blocks, bytes := 0, uint64(0), uint64(0)
	b.mu.Lock()
	var run bitmap.Run
	for i := range as {
		a := &as[i]
		charge += a.charge
		a.memory.Release()
		if !a.delivery.HasData {
			continue
		}
		blocks++
		bytes += uint64(len(a.delivery.Data))
		index := a.delivery.Block
		if index != run.End {
			b.reserved.Remove(run.Start, run.End)
			run = bitmap.Run{Start: index, End: index}
		}
		run.End++
		if p.remoteAck && !p.gone {
			p.send(&wire.Have{Start: index, Length: 1, Ack: true})
		}
	}
	b.reserved.Remove(run.Start, run.End)
	p.total.downloaded(blocks, bytes)
	p.session.total.downloaded(blocks, bytes)
	b.host.total.downloaded(blocks, bytes)
	p.turn()
	b.checkEnds()
	b.mu.Unlock()
	p.session.drop(charge)
}

// refused settles an answer that was not stored.
func (b *hub) refused(p *Peer, a *arrival, err error) {
	b.mu.Lock()
	if a.delivery.HasData {
		b.reserved.Remove(a.r.index, a.r.index+1)
	}
	p.lacking++
	if insufficient(err) && p.lacking > maxLacking/2 {
		index := a.delivery.Block
		_ = p.holdings.change(false, func(s *bitmap.Set) error { s.Remove(index, index+1); return nil })
	}
	p.last = nil
	b.wakeAll()
	b.mu.Unlock()
	a.memory.Release()
	p.session.drop(a.charge)
}

// giveBack settles answers that nobody looked at.
func (b *hub) giveBack(p *Peer, as []arrival) {
	charge := 0
	b.mu.Lock()
	for i := range as {
		charge += as[i].charge
		as[i].memory.Release()
		if as[i].delivery.HasData {
			b.reserved.Remove(as[i].r.index, as[i].r.index+1)
		}
	}
	b.wakeAll()
	b.mu.Unlock()
	p.session.drop(charge)
}

// dropped ends the session of a peer for what it sent, or for what we cannot store,
// and says whether it did. A proof that did not suffice is not the peer's fault a few
// times: the block is requested again, without taking anything for granted.
func (b *hub) dropped(p *Peer, err error) bool {
	if _, ok := errors.AsType[*tree.ProofError](err); ok && insufficient(err) {
		b.mu.Lock()
		lacking := p.lacking
		b.mu.Unlock()
		if lacking <= maxLacking {
			return false
		}
	}
	p.session.fail(&PeerError{Feed: p.dk, Type: wire.TypeData, Err: err})
	return true
}
