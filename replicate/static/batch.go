package static

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cairn-feeds/cairn/tree"
)

// What is stored at once at most.
const (
	batchBlocks = 64
	batchBytes  = 4 << 20
)

// batch is blocks that have arrived and are to be stored together.
type batch struct {
	deliveries []delivery
	data       []byte // of all blocks
	nodes      []tree.Node
}

// delivery is a block of a batch, as places in its memory.
type delivery struct {
	share                *share
	block                uint64
	data, nodes, dataEnd int
	nodesEnd             int
}

// add takes a Response.
func (b *batch) add(s *share, m *message) {
	d := delivery{share: s, block: m.block, data: len(b.data), nodes: len(b.nodes)}
	b.data = append(b.data, m.data...)
	b.nodes = append(b.nodes, m.proof...)
	d.dataEnd, d.nodesEnd = len(b.data), len(b.nodes)
	b.deliveries = append(b.deliveries, d)
}

func (b *batch) full() bool { return len(b.deliveries) >= batchBlocks || len(b.data) >= batchBytes }

// store verifies and stores the batch and empties it. The error is that of the remote, or of
// the feed.
func (s *Stream) store(ctx context.Context, b *batch) error {
	var err error
	for len(b.deliveries) > 0 && err == nil {
		sh := b.deliveries[0].share
		var ds []tree.Delivery
		for _, d := range b.deliveries {
			if d.share == sh {
				ds = append(ds, tree.Delivery{
					Block: d.block, Data: b.data[d.data:d.dataEnd:d.dataEnd], HasData: true,
					Proof: tree.Proof{Nodes: b.nodes[d.nodes:d.nodesEnd:d.nodesEnd]},
				})
			}
		}
		err = s.deliver(ctx, sh, ds)
		s.release(sh, ds)
		b.deliveries = slices.DeleteFunc(b.deliveries, func(d delivery) bool { return d.share == sh })
	}
	for _, d := range b.deliveries { // after an error
		s.release(d.share, []tree.Delivery{{Block: d.block}})
	}
	b.deliveries, b.nodes = b.deliveries[:0], b.nodes[:0]
	if b.data = b.data[:0]; cap(b.data) > 2*batchBytes {
		b.data = nil
	}
	return err
}

// deliver stores blocks of one feed.
func (s *Stream) deliver(ctx context.Context, sh *share, ds []tree.Delivery) error {
	s.host.mu.Lock()
	feed := sh.feed
	s.host.mu.Unlock()
	if feed == nil {
		return nil
	}
	_, err := feed.Deliver(ctx, ds)
	if _, theirs := errors.AsType[*tree.ProofError](err); theirs {
		return fmt.Errorf("%w: %w", ErrBlock, err)
	}
	if err != nil && !feed.Downloading() {
		return nil // it was closed meanwhile
	}
	return err
}

// release lets blocks that were not stored be asked for again.
func (s *Stream) release(sh *share, ds []tree.Delivery) {
	h := s.host
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range ds {
		sh.requesting.Remove(d.Block, d.Block+1)
	}
	for c := range sh.channels {
		c.fetchLocked()
	}
}
