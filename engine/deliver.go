package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// Put stores a block of the feed that came with a proof, after verifying it. It
// returns when the block is as durable as the store's sync policy promises. Errors
// of the proof are *tree.ProofError or *tree.ForkError; then nothing is stored.
func (f *Feed) Put(ctx context.Context, index uint64, data []byte, p tree.Proof) error {
	_, err := f.Deliver(ctx, nil, []tree.Delivery{{Block: index, Data: data, HasData: true, Proof: p}})
	return err
}

// Deliver verifies and stores what one peer sent, in order, as one change together
// with what others deliver meanwhile. It returns how many deliveries were accepted:
// all of them, or those before the one that the error is about, which are stored
// all the same.
//
// The error is a *tree.ProofError when the peer sent something that does not
// verify, a *tree.ForkError when it proved that the feed's owner signed two
// different histories (the proof is then kept, see [Store.Forks]), a *BlockError
// when the OnWrite hook refused a block, and else one of the errors of Append.
// from is passed to the hook. The data is not kept.
func (f *Feed) Deliver(ctx context.Context, from any, ds []tree.Delivery) (accepted int, err error) {
	if err := f.check(ctx); err != nil {
		return 0, err
	}
	if f.live.readOnly {
		return 0, f.fail(ErrReadOnly)
	}
	if len(ds) == 0 {
		return 0, nil
	}
	o := &op{kind: opDeliver, feed: f, deliveries: ds, from: from}
	err = f.live.write(o)
	if err != nil {
		err = f.fail(err)
	}
	return int(o.n), err
}

// overlay shows nodes that are verified but not yet stored over those that are.
type overlay struct {
	base    backend
	pending map[tree.Index]tree.Node
}

// Has implements tree.Reader.
func (o *overlay) Has(i tree.Index) (bool, error) {
	if _, ok := o.pending[i]; ok {
		return true, nil
	}
	return o.base.known(i)
}

// Node implements tree.Reader.
func (o *overlay) Node(i tree.Index) (tree.Node, error) {
	if n, ok := o.pending[i]; ok {
		return n, nil
	}
	known, err := o.base.known(i)
	if err != nil {
		return tree.Node{}, err
	}
	if !known {
		return tree.Node{}, tree.ErrUnknownNode
	}
	return o.base.Node(i)
}

// delivery collects the change of one batch of deliveries.
type delivery struct {
	l      *live
	old    *head
	next   head
	nodes  overlay
	have   blockMap // before the change
	c      *change
	blocks map[uint64]struct{} // those in c
	bytes  uint64
	grown  bool
	proven bool // a signature was verified
}

// runDeliver verifies the deliveries and writes what is new as one change.
func (l *live) runDeliver(batch []*op) {
	h := l.head.Load()
	d := &delivery{l: l, old: h, next: *h, c: &change{}, blocks: make(map[uint64]struct{})}
	d.have = blockMap{pages: &pageMemo{pageReader: l.be}, prefix: h.prefix, length: h.length}
	d.nodes = overlay{base: l.be, pending: make(map[tree.Index]tree.Node)}
	for _, o := range batch {
		for i := range o.deliveries {
			if o.err = d.take(o, &o.deliveries[i]); o.err != nil {
				break
			}
			o.n++
		}
	}
	if err := d.commit(); err != nil {
		for _, o := range batch {
			o.n = 0
			o.err = err
		}
		return
	}
	for _, o := range batch {
		if fork, ok := errors.AsType[*tree.ForkError](o.err); ok {
			if err := l.soundNodes(fork.Ours, o.feed.opts.Crypto); err != nil {
				o.err = err // the fault is ours
			} else if err := l.keepFork(fork); err != nil {
				o.err = errors.Join(o.err, err)
			}
		}
	}
}

// take verifies one delivery and adds it to the change.
func (d *delivery) take(o *op, in *tree.Delivery) error {
	if in.Block >= maxLength {
		return &tree.ProofError{Block: in.Block, Err: ErrRange}
	}
	if len(in.Data) > maxUnsendable {
		return &tree.ProofError{Block: in.Block, Err: ErrBlockTooLarge}
	}
	v := tree.Verifier{Reader: &d.nodes, Key: d.l.key, Crypto: o.feed.opts.Crypto, Length: d.next.length, Live: true}
	if d.next.length == 0 {
		v.Live = false // what the first proof is decides
	}
	got, err := verify(&v, in)
	if errors.Is(err, tree.ErrInconsistent) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return err
	}
	_, inBatch := d.blocks[in.Block]
	fresh := in.HasData && !inBatch
	if fresh {
		have, err := d.have.has(in.Block)
		if err != nil {
			return err
		}
		fresh = !have
	}
	if o.feed.opts.OnWrite != nil && (fresh || !in.HasData) {
		var data []byte
		if in.HasData {
			data = in.Data
		}
		if err := o.feed.opts.OnWrite(in.Block, data, o.from); err != nil {
			return &BlockError{Block: in.Block, Err: err}
		}
	}
	if err := d.add(in, &got, fresh); err != nil {
		return err
	}
	if _, files := o.from.(fromFiles); d.old.guarded() && !d.proven && !files && in.Proof.HasSignature {
		d.proven = d.provesLength(o, in)
	}
	return nil
}

func verify(v *tree.Verifier, in *tree.Delivery) (tree.Verified, error) {
	if in.HasData {
		return v.Block(in.Block, in.Data, in.Proof)
	}
	return v.Hash(in.Block, in.Proof)
}

// add puts what was verified into the change.
func (d *delivery) add(in *tree.Delivery, got *tree.Verified, fresh bool) error {
	for _, n := range got.Nodes {
		if err := d.addNode(n); err != nil {
			return err
		}
	}
	if got.HasSignature {
		d.c.signatures = append(d.c.signatures, signedLength{got.SignatureSlot + 1, got.Signature})
	}
	if got.Length > d.next.length {
		d.next.length = got.Length
		d.next.byteLength = got.ByteLength
		d.next.roots = slices.Clone(got.Roots)
		d.grown = true
	}
	if fresh {
		d.blocks[in.Block] = struct{}{}
		d.c.blocks = append(d.c.blocks, placedBlock{index: in.Block, offset: got.ByteOffset, data: in.Data})
		d.bytes += uint64(len(in.Data))
	}
	return nil
}

// addNode puts a node into the change. The size of a leaf may correct what was
// stored before, see tree.Verifier.Hash; other nodes that are known do not change.
func (d *delivery) addNode(n tree.Node) error {
	if !n.Index.IsLeaf() {
		if _, ok := d.nodes.pending[n.Index]; !ok {
			d.nodes.pending[n.Index] = n
			d.c.nodes = append(d.c.nodes, n)
		}
		return nil
	}
	old, err := d.nodes.Node(n.Index)
	switch {
	case errors.Is(err, tree.ErrUnknownNode):
		d.c.nodes = append(d.c.nodes, n)
	case err != nil:
		return err
	case old != n:
		d.c.corrected = append(d.c.corrected, n)
	}
	d.nodes.pending[n.Index] = n
	return nil
}

// provesLength reports whether the delivery proves, by itself and with a
// signature, a length that is not above ours. A proof that ends at nodes we know
// leaves its signature unchecked, so it is verified once more against nothing.
func (d *delivery) provesLength(o *op, in *tree.Delivery) bool {
	v := tree.Verifier{Reader: nothingKnown{}, Key: d.l.key, Crypto: o.feed.opts.Crypto, Live: true}
	got, err := verify(&v, in)
	return err == nil && got.HasSignature && got.Length <= d.next.length
}

// nothingKnown is the tree of a feed of which nothing is known.
type nothingKnown struct{}

// Has implements tree.Reader.
func (nothingKnown) Has(tree.Index) (bool, error) { return false, nil }

// Node implements tree.Reader.
func (nothingKnown) Node(tree.Index) (tree.Node, error) { return tree.Node{}, tree.ErrUnknownNode }

// commit writes the change and tells those who wait.
func (d *delivery) commit() error {
	if d.proven {
		d.next.flags &^= flagGuarded
	}
	if len(d.c.nodes)+len(d.c.corrected) == 0 && len(d.c.blocks) == 0 && len(d.c.signatures) == 0 && d.next.flags == d.old.flags {
		return nil
	}
	slices.SortFunc(d.c.blocks, func(a, b placedBlock) int { return cmp.Compare(a.index, b.index) })
	next := d.next
	set := blockRuns(d.c.blocks)
	if err := d.c.setPresent(d.l.be, d.old, &next, set, nil); err != nil {
		return err
	}
	if err := d.l.commit(d.old, d.c); err != nil {
		return err
	}
	d.l.stats.downloaded(uint64(len(d.c.blocks)), d.bytes)
	ev := Events{Appended: d.grown, Downloaded: set}
	ev.Synced = len(set) > 0 && next.complete() && !d.l.writable
	d.l.broadcast(ev)
	d.l.settle()
	return nil
}

// blockRuns returns the runs of sorted blocks.
func blockRuns(blocks []placedBlock) []bitmap.Run {
	var runs []bitmap.Run
	m := runMerger{yield: func(r bitmap.Run) bool { runs = append(runs, r); return true }}
	for _, b := range blocks {
		m.add(b.index, b.index+1)
	}
	m.flush()
	return runs
}

// keepFork records the proof that the feed has two histories.
func (l *live) keepFork(fork *tree.ForkError) error {
	l.broadcast(Events{Err: fork})
	if l.store == nil {
		return nil
	}
	if err := l.store.keepEvidence(l, fork); err != nil {
		return fmt.Errorf("keep evidence of the fork: %w", err)
	}
	return nil
}
