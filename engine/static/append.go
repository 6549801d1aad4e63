package static

import (
	"context"
	"fmt"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// maxAppendBytes bounds what one commit of an append writes.
const maxAppendBytes = 4 << 20

// Append appends blocks to a feed without id and returns the number of the first. Either all
// of them are appended or none. Errors match ErrFinalized, ErrTooLong,
// engine.ErrBlockTooLarge or are those of the store. The blocks are not kept. After a failed
// append of more than 4 MiB all that is left is to close the feed.
//
// What is appended is not forced to disk before [Feed.Finalize], which forces all of it:
// without an id nobody could ask for it.
func (f *Feed) Append(ctx context.Context, blocks ...[]byte) (first uint64, err error) {
	if err := f.check(ctx); err != nil {
		return 0, err
	}
	l := f.live.Load()
	l.writing.Lock()
	defer l.writing.Unlock()
	if first, err = l.append(blocks); err != nil {
		return 0, f.fail(err)
	}
	return first, nil
}

// append is Append; l.writing must be held.
func (l *live) append(blocks [][]byte) (first uint64, err error) {
	old := l.head()
	first = old.blocks
	switch {
	case l.finalized():
		return 0, ErrFinalized
	case l.state.gone:
		return 0, engine.ErrClosed
	case l.broken != nil:
		return 0, l.broken
	case uint64(len(blocks)) > MaxBlocks-first:
		return 0, ErrTooLong
	case l.core.table.ReadOnly():
		return 0, engine.ErrReadOnly
	}
	for i, b := range blocks {
		if len(b) > MaxBlockSize {
			return 0, blockError(first+uint64(i), fmt.Errorf("%w: %d bytes, the most is %d", engine.ErrBlockTooLarge, len(b), MaxBlockSize))
		}
	}
	if len(blocks) == 0 {
		return first, nil
	}
	next := *old
	if next.blocks == 0 {
		if next.number, err = l.core.number(); err != nil {
			return 0, err
		}
	}
	roots := append([]tree.Node(nil), l.roots...)
	for rest := blocks; len(rest) > 0; {
		n := appendable(rest)
		err := l.core.table.WriteLater(func(b *engine.TableBatch) error {
			if next.blocks == 0 {
				b.Set(pendingKey(next.number), nil)
			}
			for _, block := range rest[:n] {
				roots = appendLeaf(b, next.number, roots, next.blocks, block)
				next.blocks++
				next.bytes += uint64(len(block))
			}
			return nil
		})
		if err != nil {
			if len(rest) < len(blocks) {
				l.broken = err // a part of the blocks is in the rows
			}
			return 0, err
		}
		rest = rest[n:]
	}
	next.present, next.prefix = next.blocks, next.blocks
	l.roots = roots
	l.state.Lock()
	l.state.head = &next
	l.state.m.set.Add(first, next.blocks)
	l.state.Unlock()
	l.settle()
	l.changed(Events{Ready: first == 0})
	return first, nil
}

// appendable returns how many of the blocks go into one commit, at least one.
func appendable(blocks [][]byte) int {
	size := 0
	for i, b := range blocks {
		if size += len(b); i > 0 && size > maxAppendBytes {
			return i
		}
	}
	return len(blocks)
}

// appendLeaf writes a block, its leaf and the parents that are complete with it, and
// returns the full roots after it.
func appendLeaf(b *engine.TableBatch, number uint64, roots []tree.Node, index uint64, block []byte) []tree.Node {
	n := tree.Node{Index: tree.LeafIndex(index), Hash: leafHash(block)}
	setBlock(b, number, index, block)
	setNode(b, number, n)
	for len(roots) > 0 && roots[len(roots)-1].Index == n.Index.Sibling() && n.Index > roots[len(roots)-1].Index {
		n = parentOf(roots[len(roots)-1], n)
		setNode(b, number, n)
		roots = roots[:len(roots)-1]
	}
	return append(roots, n)
}

func (l *live) finalized() bool {
	l.core.mu.Lock()
	defer l.core.mu.Unlock()
	return l.id != ID{}
}

// Finalize gives the feed its id, which it returns. From then on the feed never changes, is
// in the list of the core, and is offered to others. When it returns the feed is as durable
// as the sync policy of the store promises. A feed without blocks has no id: the error
// matches engine.ErrEmpty. Finalizing again returns the same id.
//
// When the store has a feed with this content already, the handle becomes one of that feed,
// which is complete now if it was not.
func (f *Feed) Finalize(ctx context.Context) (ID, error) {
	if err := f.check(ctx); err != nil {
		return ID{}, err
	}
	f.swap.Lock()
	defer f.swap.Unlock()
	if id, ok := f.ID(); ok {
		return id, nil
	}
	l := f.live.Load()
	id, e, changed, err := l.finalize(f)
	if err != nil {
		return ID{}, f.fail(err)
	}
	l = f.live.Load()
	l.settle()
	l.changed(e)
	if changed {
		l.core.interestChanged(id)
	}
	return id, nil
}

// finalize makes f a handle of the feed with the id of what was appended to l. It returns
// what to tell of that, and whether the feed became interesting.
func (l *live) finalize(f *Feed) (id ID, e Events, changed bool, err error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	switch {
	case l.state.gone:
		return ID{}, e, false, engine.ErrClosed
	case l.broken != nil:
		return ID{}, e, false, l.broken
	case l.head().blocks == 0:
		return ID{}, e, false, engine.ErrEmpty
	}
	id = idOf(l.roots)
	c := l.core
	// The order of locks is kept: nobody who waits for l.writing has the lock of this id,
	// since l has no id.
	defer c.lock(id).Unlock()
	there, changed, err := c.openLocked(id, true, true)
	if err != nil {
		return ID{}, e, false, err
	}
	other := there.live.Load()
	was, err := l.become(id, other)
	if err != nil {
		_, _ = other.releaseLocked(id, true) // nothing was changed
		return ID{}, e, false, err
	}
	l.moveTo(other)
	f.live.Store(other)
	e.Finalized = true
	if !was.complete() {
		e.Ready, e.Synced = was.blocks == 0, was.blocks > 0
	}
	return id, e, changed, nil
}

// become commits the rows of l as those of other, the feed with that id, unless it is
// complete: then they are removed. It returns what other was.
func (l *live) become(id ID, other *live) (was *head, err error) {
	other.writing.Lock()
	defer other.writing.Unlock()
	was = other.head()
	h := l.head()
	err = l.core.table.Write(func(b *engine.TableBatch) error {
		if was.complete() {
			dropPending(b, h.number)
			return nil
		}
		b.Delete(pendingKey(h.number))
		b.Set(recordKey(id), appendRecord(nil, h))
		if was.blocks > 0 {
			start, end := feedSpan(was.number)
			b.DeleteRange(start, end)
		}
		return nil
	})
	if err != nil || was.complete() {
		return was, err
	}
	other.state.Lock()
	defer other.state.Unlock()
	other.state.head = h
	other.state.m = &blockMap{set: bitmap.NewSet(bitmap.Run{Start: 0, End: h.blocks})}
	return was, nil
}

// moveTo makes those who look at l look at other. l.writing must be held; nothing changes
// in l any more.
func (l *live) moveTo(other *live) {
	l.core.mu.Lock()
	delete(l.core.mu.pending, l)
	l.core.mu.Unlock()
	l.state.Lock()
	l.state.gone = true
	subs, watchers := l.state.subs, l.state.watchers
	l.state.subs, l.state.watchers = nil, nil
	l.state.Unlock()
	other.state.Lock()
	defer other.state.Unlock()
	other.state.subs = append(other.state.subs, subs...)
	for w := range watchers {
		other.state.watchers[w] = struct{}{}
	}
	for _, s := range subs {
		s.mu.Lock()
		s.live = other
		s.mu.Unlock()
	}
}
