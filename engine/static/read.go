package static

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// Get returns a block, and waits for it if it is not here. Behind the end of the feed, and
// of what was appended to one that has no id yet, the
// error matches engine.ErrRange, also when the end becomes known only while waiting. The
// result belongs to the caller.
func (f *Feed) Get(ctx context.Context, block uint64) ([]byte, error) {
	return f.get(ctx, nil, block)
}

// get appends a block to dst.
func (f *Feed) get(ctx context.Context, dst []byte, block uint64) ([]byte, error) {
	if block >= MaxBlocks {
		return dst, f.fail(blockError(block, engine.ErrRange))
	}
	err := f.wait(ctx, demand.Item{Kind: demand.Get, Index: block}, func(l *live) (bool, error) {
		h, ok := l.has(block)
		if !ok && (h.blocks > 0 && block >= h.blocks || !l.finalized()) {
			return false, blockError(block, engine.ErrRange)
		}
		return ok, nil
	})
	if err != nil {
		if errors.Is(err, engine.ErrRange) {
			err = f.fail(blockError(block, engine.ErrRange))
		}
		return dst, err
	}
	return f.AppendBlock(dst, block)
}

// Ready waits until the number of blocks is known.
func (f *Feed) Ready(ctx context.Context) error {
	return f.wait(ctx, demand.Item{Kind: demand.Update}, func(l *live) (bool, error) { return l.head().blocks > 0, nil })
}

// wait waits for an item until it is settled, unless ready says that there is nothing to
// wait for.
func (f *Feed) wait(ctx context.Context, it demand.Item, ready func(*live) (bool, error)) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	l := f.live.Load()
	if ok, err := ready(l); ok || err != nil {
		return err
	}
	t := l.demand.Add(it)
	// What happened between looking and adding did not settle it.
	if ok, err := ready(l); ok || err != nil {
		l.demand.Remove(t, nil)
		return err
	}
	l.changed(Events{Wanted: it.Kind == demand.Get})
	select {
	case <-t.Done():
		if err := t.Err(); err != nil {
			return f.fail(err)
		}
		return nil
	case <-ctx.Done():
		l.demand.Remove(t, context.Cause(ctx))
		l.changed(Events{})
		return context.Cause(ctx)
	case <-f.done:
		l.demand.Remove(t, engine.ErrClosed)
		l.changed(Events{})
		return f.fail(engine.ErrClosed)
	}
}

// AppendBlock appends a block that is here to dst. The error matches engine.ErrNotPresent
// when it is not.
func (f *Feed) AppendBlock(dst []byte, block uint64) ([]byte, error) {
	n := len(dst)
	err := f.read(block, func(l *live, h *head) (err error) {
		key := rowKey(h.number, dataBlock, block)
		var ok bool
		if dst, ok, err = l.core.table.Append(dst[:n], key[:]); err == nil && !ok {
			err = fmt.Errorf("row is missing: %w", engine.ErrCorrupt)
		}
		return err
	})
	return dst, err
}

// AppendProof appends the proof of a block that is here to dst, in the order that the wire
// has. The error matches engine.ErrNotPresent when the block is not here.
func (f *Feed) AppendProof(dst []tree.Node, block uint64) ([]tree.Node, error) {
	n := len(dst)
	err := f.read(block, func(l *live, h *head) (err error) {
		var space [2 * maxRoots]tree.Index
		dst = dst[:n]
		nodes := nodeReader{l.core.table, h.number}
		for _, i := range appendProofIndexes(space[:0], block, h.blocks) {
			hash, ok, err := nodes.node(i)
			if err == nil && !ok {
				err = fmt.Errorf("node %d is missing: %w", i, engine.ErrCorrupt)
			}
			if err != nil {
				return err
			}
			dst = append(dst, tree.Node{Index: i, Hash: hash})
		}
		return nil
	})
	return dst, err
}

// appendProofIndexes appends the nodes that prove a block of a feed to dst.
func appendProofIndexes(dst []tree.Index, block, blocks uint64) []tree.Index {
	for i := tree.LeafIndex(block).Sibling(); uint64(i.RightSpan()) < 2*blocks; i = i.Parent().Sibling() {
		dst = append(dst, i)
	}
	return tree.AppendFullRoots(dst, blocks)
}

// read calls do with the head of which a block is present. The rows of a head may be
// replaced by those of a feed with the same content: then it calls do again.
func (f *Feed) read(block uint64, do func(*live, *head) error) error {
	if f.closed() {
		return f.fail(engine.ErrClosed)
	}
	for {
		l := f.live.Load()
		h, ok := l.has(block)
		if !ok {
			return f.fail(blockError(block, engine.ErrNotPresent))
		}
		err := do(l, h)
		if err == nil {
			return nil
		}
		if now := f.live.Load(); now == l && now.head().number == h.number {
			return f.fail(blockError(block, err))
		}
	}
}

// ReadOptions say what Read reads. Nil and the zero value read everything.
type ReadOptions struct {
	// Start is the block to begin with.
	Start uint64
	// Limit is the most blocks to read. Zero means no limit.
	Limit uint64
}

// Read yields the blocks of the feed in order, waits for those that are not here, and ends
// behind the last block. A non-nil error is the last pair. The block is valid until the next
// iteration.
func (f *Feed) Read(ctx context.Context, opts *ReadOptions) iter.Seq2[[]byte, error] {
	var o ReadOptions
	if opts != nil {
		o = *opts
	}
	return func(yield func([]byte, error) bool) {
		var buf []byte
		for n := o.Start; o.Limit == 0 || n-o.Start < o.Limit; n++ {
			var err error
			buf, err = f.get(ctx, buf[:0], n)
			if errors.Is(err, engine.ErrRange) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(buf, nil) {
				return
			}
		}
	}
}

// Uploaded records that blocks were sent to somebody, for the subscribers.
func (f *Feed) Uploaded(blocks *bitmap.Set) {
	l := f.live.Load()
	l.state.Lock()
	subs := l.state.subs
	l.state.Unlock()
	for _, s := range subs {
		s.put(Events{Uploaded: blocks})
	}
}
