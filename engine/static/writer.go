package static

import (
	"context"
	"errors"
	"slices"

	"github.com/cairn-feeds/cairn/engine"
)

// A Writer writes a new feed, a block with each Write. It is not safe for concurrent use.
type Writer struct {
	ctx     context.Context
	feed    *Feed
	pending [][]byte
	bytes   int
	id      ID
	blocks  uint64
	err     error
	closed  bool
}

// A Writer appends when it holds this much.
const (
	writerBlocks = 4096
	writerBytes  = 1 << 20
)

// NewWriter returns a Writer of a new feed. The context is that of its appends.
func (c *Core) NewWriter(ctx context.Context) (*Writer, error) {
	f, err := c.Add()
	if err != nil {
		return nil, err
	}
	return &Writer{ctx: ctx, feed: f}, nil
}

// Write appends a block, which is copied. Errors stick.
func (w *Writer) Write(block []byte) (int, error) {
	if w.closed {
		return 0, engine.ErrClosed
	}
	if w.err == nil && len(block) > MaxBlockSize {
		w.err = blockError(w.feed.Blocks()+uint64(len(w.pending)), engine.ErrBlockTooLarge)
	}
	if w.err != nil {
		return 0, w.err
	}
	w.pending = append(w.pending, slices.Clone(block))
	if w.bytes += len(block); len(w.pending) >= writerBlocks || w.bytes >= writerBytes {
		w.flush()
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(block), nil
}

func (w *Writer) flush() {
	if w.err == nil {
		_, w.err = w.feed.Append(w.ctx, w.pending...)
	}
	clear(w.pending)
	w.pending, w.bytes = w.pending[:0], 0
}

// Close finalizes the feed; ID and Blocks then describe it. After an error, or when nothing
// was written, there is no feed.
func (w *Writer) Close() error {
	if w.closed {
		return w.err
	}
	w.closed = true
	w.flush()
	if w.err == nil {
		w.id, w.err = w.feed.Finalize(w.ctx)
	}
	if w.err == nil {
		w.blocks = w.feed.Blocks()
	}
	w.err = errors.Join(w.err, w.feed.Close())
	return w.err
}

// ID returns the id of the feed once Close has returned without an error.
func (w *Writer) ID() ID { return w.id }

// Blocks returns the number of blocks once Close has returned without an error.
func (w *Writer) Blocks() uint64 { return w.blocks }
