package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/tree"
)

// UpdateOptions say how long a feed has to be. Nil and the zero value ask for one
// block more than is known.
type UpdateOptions struct {
	// MinLength is the length to wait for. Zero means the current length plus one.
	MinLength uint64
	// IfAvailable fails with ErrNotAvailable when no peer can prove that length.
	IfAvailable bool
	// Blocks also downloads the block that proves the length. By default only its
	// hash is asked for.
	Blocks bool
}

// Update waits until the feed is known to have a length. On a writable feed
// IfAvailable fails at once.
func (f *Feed) Update(ctx context.Context, opts *UpdateOptions) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	var o UpdateOptions
	if opts != nil {
		o = *opts
	}
	l := f.live
	n := f.Length()
	if o.MinLength == 0 {
		o.MinLength = n + 1
	}
	if n >= o.MinLength {
		return nil
	}
	o.IfAvailable = o.IfAvailable || f.opts.IfAvailable
	if o.IfAvailable && l.writable {
		return f.fail(fmt.Errorf("update: %w", ErrNotAvailable))
	}
	t := l.demand.Add(demand.Item{Kind: demand.Update, Index: o.MinLength - 1, HashOnly: !o.Blocks, IfAvailable: o.IfAvailable})
	if f.Length() >= o.MinLength {
		l.demand.Remove(t, nil)
		return nil
	}
	if err := l.await(ctx, t, f.ended()); err != nil {
		return f.fail(err)
	}
	return nil
}

// SeekOptions say how a seek waits and where it looks.
type SeekOptions struct {
	// NoWait answers from what is known here, or fails with ErrNotPresent, or with
	// tree.ErrOutOfBounds behind the end.
	NoWait bool
	// Start and End limit the blocks among which peers are asked. End zero means no
	// limit.
	Start, End uint64
	// IfAvailable fails with ErrNotAvailable when no peer can bring what is needed.
	IfAvailable bool
	// Blocks also downloads the block that is found. By default only hashes are
	// asked for.
	Blocks bool
}

// Seek finds the block that holds a byte of the feed: block and the offset of the
// byte in it. The byte length of the feed gives its length and 0. What is not known
// is asked of peers; an offset behind the end waits for the feed to grow.
func (f *Feed) Seek(ctx context.Context, bytes uint64, opts *SeekOptions) (block, offset uint64, err error) {
	if err := f.check(ctx); err != nil {
		return 0, 0, err
	}
	var o SeekOptions
	if opts != nil {
		o = *opts
	}
	l := f.live
	for {
		r, err := l.seekLocal(l.head.Load(), bytes)
		outside := errors.Is(err, tree.ErrOutOfBounds)
		if err != nil && !outside {
			return 0, 0, f.fail(err)
		}
		if err == nil && r.Exact {
			return r.Block, r.Offset, nil
		}
		if o.NoWait {
			if outside {
				return 0, 0, f.fail(fmt.Errorf("seek to byte %d of %d: %w", bytes, f.ByteLength(), err))
			}
			return 0, 0, f.fail(fmt.Errorf("seek to byte %d: the blocks [%d, %d) are not known: %w", bytes, r.Start, r.End, ErrNotPresent))
		}
		if err := f.waitSeek(ctx, bytes, o, r, outside); err != nil {
			return 0, 0, f.fail(err)
		}
	}
}

// waitSeek waits until the answer of a seek is known here.
func (f *Feed) waitSeek(ctx context.Context, bytes uint64, o SeekOptions, r tree.SeekResult, outside bool) error {
	l := f.live
	it := demand.Item{Kind: demand.Seek, Bytes: bytes, Start: r.Start, End: r.End, HashOnly: !o.Blocks, IfAvailable: o.IfAvailable || f.opts.IfAvailable}
	if outside {
		it.Start, it.End = f.Length(), demand.Unbounded
	}
	it.Start = max(it.Start, o.Start)
	if o.End > 0 {
		it.End = min(it.End, o.End)
	}
	t := l.demand.Add(it)
	h := l.head.Load()
	if ok, err := l.satisfied(h, l.blockMap(h), it); err != nil || ok {
		l.demand.Remove(t, nil)
		return err
	}
	return l.await(ctx, t, f.ended())
}

// seekLocal answers a seek from the nodes that are known.
func (l *live) seekLocal(h *head, bytes uint64) (tree.SeekResult, error) {
	if bytes == 0 {
		return tree.SeekResult{Exact: true}, nil
	}
	if bytes == h.byteLength {
		return tree.SeekResult{Block: h.length, Exact: true}, nil
	}
	if err := l.use(); err != nil {
		return tree.SeekResult{}, err
	}
	defer l.unuse()
	return tree.Seek(l.be, h.roots, bytes)
}

// DownloadRange says which blocks to download.
type DownloadRange struct {
	// Start and End bound the blocks, half-open. End zero means no end: the
	// download follows the feed as it grows and never completes.
	Start, End uint64
	// Blocks, when not nil, lists the blocks instead.
	Blocks []uint64
	// Linear downloads in ascending order. By default the order is random, which
	// spreads rare blocks faster.
	Linear bool
	// IfAvailable fails with ErrNotAvailable when no peer has what is missing.
	IfAvailable bool
}

// A Download is a wish for a range of blocks.
type Download struct {
	f *Feed
	t *demand.Ticket
}

// Download asks peers for a range of blocks and returns at once. It goes on until
// all are here, Cancel is called or the handle is closed.
func (f *Feed) Download(r DownloadRange) *Download {
	it := demand.Item{Kind: demand.Range, Start: r.Start, End: r.End, Linear: r.Linear, IfAvailable: r.IfAvailable || f.opts.IfAvailable}
	switch {
	case r.Blocks != nil:
		it.Blocks = slices.Compact(slices.Sorted(slices.Values(r.Blocks)))
		it.Start, it.End = 0, 0
		if n := len(it.Blocks); n > 0 {
			it.Start, it.End = it.Blocks[0], it.Blocks[n-1]+1
		}
	case r.End == 0:
		it.End = demand.Unbounded
	}
	l := f.live
	d := &Download{f: f, t: l.demand.Add(it)}
	h := l.head.Load()
	if ok, err := l.satisfied(h, l.blockMap(h), it); err != nil || ok {
		l.demand.Remove(d.t, err)
	}
	return d
}

// Done is closed when the download has ended in whatever way.
func (d *Download) Done() <-chan struct{} { return d.t.Done() }

// Wait waits until all blocks are here. The download goes on when the context
// ends. After Cancel the error matches ErrCanceled.
func (d *Download) Wait(ctx context.Context) error {
	select {
	case <-d.t.Done():
		if err := d.t.Err(); err != nil {
			return d.f.fail(err)
		}
		return nil
	case <-d.f.ended():
		d.f.live.demand.Remove(d.t, ErrClosed)
		return d.f.fail(ErrClosed)
	case <-ctx.Done():
		return d.f.fail(fmt.Errorf("wait for download: %w", context.Cause(ctx)))
	}
}

// Cancel ends the download.
func (d *Download) Cancel() { d.f.live.demand.Remove(d.t, ErrCanceled) }
