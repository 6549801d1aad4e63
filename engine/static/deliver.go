package static

import (
	"context"
	"time"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// Put stores a block that came with a proof, after verifying it. See [Feed.Deliver].
func (f *Feed) Put(ctx context.Context, block uint64, data []byte, proof []tree.Node) error {
	_, err := f.Deliver(ctx, []tree.Delivery{{Block: block, Data: data, HasData: true, Proof: tree.Proof{Nodes: proof}}})
	return err
}

// Deliver verifies and stores what somebody sent, in order, as one change, and returns when
// that is as durable as the sync policy of the store promises. Sizes of nodes and signatures
// mean nothing here. Blocks that are here already are accepted unseen.
//
// It returns how many deliveries were accepted: all, or those before the one that the error
// is about, which are stored all the same. When somebody is to blame for what was sent the
// error is a *tree.ProofError and matches ErrProof; otherwise it is one of the store, or
// ErrNotFinalized. Nothing of ds is kept.
func (f *Feed) Deliver(ctx context.Context, ds []tree.Delivery) (accepted int, err error) {
	if err := f.check(ctx); err != nil {
		return 0, err
	}
	id, ok := f.ID()
	if !ok {
		return 0, f.fail(ErrNotFinalized)
	}
	l := f.live.Load()
	l.writing.Lock()
	accepted, e, err := l.deliver(id, ds)
	l.writing.Unlock()
	if !e.empty() {
		l.settle()
		l.changed(e)
	}
	if err != nil {
		err = f.fail(err)
	}
	return accepted, err
}

// deliver is Deliver without telling anybody; l.writing must be held.
func (l *live) deliver(id ID, ds []tree.Delivery) (accepted int, e Events, err error) {
	l.state.Lock()
	old, m, gone := l.state.head, l.state.m, l.state.gone
	set := m.set.Clone()
	l.state.Unlock()
	switch {
	case gone:
		return 0, e, engine.ErrClosed
	case l.core.table.ReadOnly():
		return 0, e, engine.ErrReadOnly
	}
	v := newVerifier(id, old, l.core.table)
	next := *old
	var added []uint64
	var places []int // of added in ds
	var refused error
	for i := range ds {
		d := &ds[i]
		if set.Has(d.Block) {
			accepted++
			continue
		}
		if refused = v.verify(d.Block, d.Data, d.Proof.Nodes); refused != nil {
			break
		}
		accepted++
		set.Add(d.Block, d.Block+1)
		added, places = append(added, d.Block), append(places, i)
		next.present++
		next.bytes += uint64(len(d.Data))
	}
	if len(added) == 0 {
		return accepted, e, refused
	}
	if next.blocks = v.blocks; old.blocks == 0 {
		next.created = time.Now()
		if next.number, err = l.core.number(); err != nil {
			return 0, e, err
		}
	}
	next.prefix = set.NextMissing(next.prefix)
	var rows map[uint64]struct{}
	err = l.core.table.Write(func(b *engine.TableBatch) error {
		for _, i := range places {
			setBlock(b, next.number, ds[i].Block, ds[i].Data)
		}
		for i, h := range v.fresh {
			setNode(b, next.number, tree.Node{Index: i, Hash: h})
		}
		b.Set(recordKey(id), appendRecord(nil, &next))
		rows, err = m.write(b, &next, set, added, old.prefix)
		return err
	})
	if err != nil {
		return 0, e, err
	}
	l.state.Lock()
	l.state.head = &next
	l.state.m = &blockMap{set: set, rows: rows}
	l.state.Unlock()
	e = Events{Ready: old.blocks == 0, Downloaded: bitmap.NewSet(), Synced: next.complete()}
	for _, n := range added {
		e.Downloaded.Add(n, n+1)
	}
	return accepted, e, refused
}
