package engine

import (
	"context"
	"fmt"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// Cleared tells what a clear has freed.
type Cleared struct {
	// Blocks is how many blocks were there before.
	Blocks uint64
	// Bytes is how many bytes of blocks they were. The space comes back when
	// compaction has rewritten the files they are in.
	Bytes uint64
}

// Clear frees the blocks [start, end); end 0 means start+1. Their hashes stay, so
// they can be downloaded again. Length and byte length do not change.
func (f *Feed) Clear(ctx context.Context, start, end uint64) (Cleared, error) {
	if err := f.check(ctx); err != nil {
		return Cleared{}, err
	}
	if end == 0 {
		end = start + 1
	}
	if end < start {
		return Cleared{}, f.fail(fmt.Errorf("%w: clear [%d, %d)", ErrRange, start, end))
	}
	if f.live.readOnly {
		return Cleared{}, f.fail(ErrReadOnly)
	}
	o := &op{kind: opClear, feed: f, run: bitmap.Run{Start: start, End: end}}
	if err := f.live.write(o); err != nil {
		return Cleared{}, f.fail(err)
	}
	return Cleared{Blocks: o.n, Bytes: o.bytes}, nil
}

// runClear performs one clear.
func (l *live) runClear(o *op) error {
	h := l.head.Load()
	var runs []bitmap.Run
	for r, err := range l.blockMap(h).runs(o.run.Start, o.run.End) {
		if err != nil {
			return err
		}
		runs = append(runs, r)
		n, err := l.bytesOf(r)
		if err != nil {
			return err
		}
		o.n += r.End - r.Start
		o.bytes += n
	}
	if len(runs) == 0 {
		return nil
	}
	c := &change{span: o.run}
	next := *h
	if err := c.setPresent(l.be, h, &next, nil, runs); err != nil {
		return err
	}
	if err := l.commit(h, c); err != nil {
		o.n, o.bytes = 0, 0
		return err
	}
	l.broadcast(Events{Cleared: runs})
	return nil
}

// bytesOf returns the bytes of consecutive blocks that are present.
func (l *live) bytesOf(r bitmap.Run) (uint64, error) {
	from, err := tree.ByteOffset(l.be, r.Start)
	if err != nil {
		return 0, err
	}
	to, err := tree.ByteOffset(l.be, r.End)
	if err != nil {
		return 0, err
	}
	return to - from, nil
}
