package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/cairn-feeds/cairn/bitmap/demand"
)

// GetOptions say how a read waits. Nil and the zero value wait until the block
// arrives or the context ends.
type GetOptions struct {
	// NoWait fails with ErrNotPresent instead of waiting.
	NoWait bool
	// OnWait, when not nil, is called once when the read begins to wait for a block.
	OnWait func(index uint64)
	// IfAvailable fails with ErrNotAvailable when no peer can bring the block.
	IfAvailable bool
}

// Get returns a block. If it is not here, also because the feed is not that long
// yet, Get asks for it before anything else and waits until it arrives, the
// context ends, or the feed is closed. The bytes belong to the caller and are not
// verified again: they were when they were stored.
//
// The error matches ErrNotPresent, ErrNotAvailable, ErrCanceled, ErrClosed,
// ErrCorrupt or the cause of the context's end.
func (f *Feed) Get(ctx context.Context, index uint64, opts *GetOptions) ([]byte, error) {
	return f.AppendBlock(ctx, nil, index, opts)
}

// AppendBlock is Get for a buffer of the caller: it appends the block to dst.
func (f *Feed) AppendBlock(ctx context.Context, dst []byte, index uint64, opts *GetOptions) ([]byte, error) {
	if err := f.check(ctx); err != nil {
		return dst, err
	}
	if opts == nil {
		opts = new(GetOptions)
	}
	for waited := false; ; waited = true {
		b, err := f.readPresent(dst, index)
		if err == nil || !errors.Is(err, ErrNotPresent) {
			return b, f.blockError(index, err)
		}
		if opts.NoWait {
			return dst, f.blockError(index, ErrNotPresent)
		}
		if opts.OnWait != nil && !waited {
			opts.OnWait(index)
		}
		if err := f.waitBlock(ctx, index, opts); err != nil {
			return dst, f.blockError(index, err)
		}
	}
}

// blockError says which block of which feed an error is about.
func (f *Feed) blockError(index uint64, err error) error {
	if err == nil {
		return nil
	}
	return f.fail(&BlockError{Block: index, Err: err})
}

// waitBlock waits until the block has arrived.
func (f *Feed) waitBlock(ctx context.Context, index uint64, opts *GetOptions) error {
	l := f.live
	t := l.demand.Add(demand.Item{Kind: demand.Get, Index: index, IfAvailable: opts.IfAvailable || f.opts.IfAvailable})
	if ok, err := f.blockMap().has(index); err != nil || ok {
		l.demand.Remove(t, nil) // arrived before the item was there
		return err
	}
	return l.await(ctx, t, f.ended())
}

// readPresent appends a block that is here.
func (f *Feed) readPresent(dst []byte, index uint64) ([]byte, error) {
	l := f.live
	h := l.head.Load()
	ok, err := l.blockMap(h).has(index)
	if err != nil {
		return dst, err
	}
	if !ok {
		return dst, ErrNotPresent
	}
	if err := l.use(); err != nil {
		return dst, err
	}
	defer l.unuse()
	b, err := l.be.appendBlock(dst, h, index)
	if err != nil {
		// It may have been cleared between the look at the map and the read.
		if still, mapErr := f.blockMap().has(index); mapErr == nil && !still {
			return dst, ErrNotPresent
		}
		return dst, err
	}
	return b, nil
}

// Block returns a block if it is here: ok is false when it is not. It never waits.
func (f *Feed) Block(dst []byte, index uint64) (b []byte, ok bool, err error) {
	b, err = f.readPresent(dst, index)
	if errors.Is(err, ErrNotPresent) {
		return dst, false, nil
	}
	return b, err == nil, f.blockError(index, err)
}

// GetBatch returns the blocks [start, end). If some are missing it asks for the
// range, not as urgently as Get does, and waits for all of it.
func (f *Feed) GetBatch(ctx context.Context, start, end uint64, opts *GetOptions) ([][]byte, error) {
	if err := f.check(ctx); err != nil {
		return nil, err
	}
	if start > end || end-start > maxBatchBlocks {
		return nil, f.fail(fmt.Errorf("%w: batch [%d, %d), at most %d blocks", ErrRange, start, end, maxBatchBlocks))
	}
	if opts == nil {
		opts = new(GetOptions)
	}
	if missing, err := f.NextMissing(start); err != nil {
		return nil, f.fail(err)
	} else if missing < end {
		if opts.NoWait {
			return nil, f.blockError(missing, ErrNotPresent)
		}
		if opts.OnWait != nil {
			opts.OnWait(missing)
		}
		d := f.Download(DownloadRange{Start: start, End: end, IfAvailable: opts.IfAvailable})
		defer d.Cancel()
		if err := d.Wait(ctx); err != nil {
			return nil, err
		}
	}
	blocks := make([][]byte, 0, end-start)
	for i := start; i < end; i++ {
		b, err := f.Get(ctx, i, opts)
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// maxBatchBlocks bounds GetBatch. Longer ranges are for Blocks, which streams.
const maxBatchBlocks = 1 << 20

// Head returns the last block of the feed. The error matches ErrEmpty when there
// is none. To learn first whether the feed has grown elsewhere call Update.
func (f *Feed) Head(ctx context.Context, opts *GetOptions) ([]byte, error) {
	n := f.Length()
	if n == 0 {
		if err := f.check(ctx); err != nil {
			return nil, err
		}
		return nil, f.fail(ErrEmpty)
	}
	return f.Get(ctx, n-1, opts)
}

// use keeps the backend open during a read. Every successful use is followed by
// unuse.
func (l *live) use() error {
	if !l.gate.enter() {
		return ErrClosed
	}
	return nil
}

func (l *live) unuse() { l.gate.leave() }
