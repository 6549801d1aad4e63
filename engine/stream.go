package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/cairn-feeds/cairn/bitmap/demand"
)

// A Block is what streams yield.
type Block struct {
	// Index is the number of the block.
	Index uint64
	// Data is its content, valid until the next one is asked for.
	Data []byte
}

// StreamOptions say what a stream of blocks reads. Nil and the zero value read
// what the feed has when the stream starts, from the first block.
type StreamOptions struct {
	// Start is the first block.
	Start uint64
	// End is the block behind the last one. Zero means the length when the stream
	// starts; more than that waits for the feed to grow.
	End uint64
	// NoSnapshot moves the end with the length, for as long as there is more to
	// read. It counts only when End is zero.
	NoSnapshot bool
	// Tail starts at the length instead of Start.
	Tail bool
	// Live goes on for ever: at the end it waits for the next block.
	Live bool
	// Timeout bounds the wait for each block. Zero means no bound. The error
	// matches context.DeadlineExceeded.
	Timeout time.Duration
	// NoWait ends the stream with ErrNotPresent at a block that is not here.
	NoWait bool
	// IfAvailable ends it with ErrNotAvailable at a block that no peer has.
	IfAvailable bool
	// Batch is how many blocks ahead are asked of peers when one is missing. Zero
	// means 1.
	Batch int
}

// Blocks yields blocks in ascending order. A non-nil error is the last pair; the
// stream also ends with the context's cause or ErrClosed.
func (f *Feed) Blocks(ctx context.Context, opts *StreamOptions) iter.Seq2[Block, error] {
	var o StreamOptions
	if opts != nil {
		o = *opts
	}
	return func(yield func(Block, error) bool) {
		if err := f.check(ctx); err != nil {
			yield(Block{}, err)
			return
		}
		index, end := o.bounds(f.Length())
		get := &GetOptions{NoWait: o.NoWait, IfAvailable: o.IfAvailable}
		var ahead *Download
		defer func() { stopAhead(ahead) }()
		var buf []byte
		for ; ; index++ {
			if o.End == 0 && o.NoSnapshot && !o.Live {
				end = f.Length()
			}
			if index >= end {
				return
			}
			if o.Batch > 1 && !o.NoWait && !f.Has(index) {
				stopAhead(ahead)
				ahead = f.Download(DownloadRange{Start: index, End: min(index+uint64(o.Batch), end), Linear: true})
			}
			var err error
			if buf, err = f.streamBlock(ctx, buf[:0], index, get, o.Timeout); err != nil {
				yield(Block{}, err)
				return
			}
			if !yield(Block{Index: index, Data: buf}, nil) {
				return
			}
		}
	}
}

func stopAhead(d *Download) {
	if d != nil {
		d.Cancel()
	}
}

// bounds returns the first block and the block behind the last one.
func (o *StreamOptions) bounds(length uint64) (start, end uint64) {
	start, end = o.Start, o.End
	if o.Tail {
		start = length
	}
	switch {
	case o.Live:
		end = demand.Unbounded
	case end == 0:
		end = length
	}
	return start, end
}

// streamBlock gets one block within the timeout.
func (f *Feed) streamBlock(ctx context.Context, dst []byte, index uint64, get *GetOptions, timeout time.Duration) ([]byte, error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return f.AppendBlock(ctx, dst, index, get)
}

// NewReader returns a reader of the concatenated blocks. Its errors are those of
// Blocks; Close ends it early.
func (f *Feed) NewReader(ctx context.Context, opts *StreamOptions) io.ReadCloser {
	next, stop := iter.Pull2(f.Blocks(ctx, opts))
	return &reader{next: next, stop: stop}
}

type reader struct {
	next func() (Block, error, bool)
	stop func()
	rest []byte
	err  error
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		b, err, ok := r.next()
		switch {
		case !ok:
			r.err = io.EOF
		case err != nil:
			r.err = err
			r.stop() // nothing comes after an error
		default:
			r.rest = b.Data
		}
		if len(p) == 0 {
			return 0, nil
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.stop()
	r.rest, r.err = nil, io.ErrClosedPipe
	return nil
}

// WriterOptions say how a writer makes blocks.
type WriterOptions struct {
	// MaxBlockSize splits larger writes into blocks of this size and a shorter last
	// one. Zero does not split.
	MaxBlockSize int
	// BatchBytes is how many bytes are gathered before they are appended as one
	// batch. Zero means 1 MiB; negative appends each write by itself.
	BatchBytes int
}

const defaultWriterBatch = 1 << 20

// A Writer appends to a feed: each Write is one block, unless it is split. Blocks
// are gathered and appended in batches; Flush and Close append what is gathered and
// return when it is as durable as the sync policy promises. An error sticks.
type Writer struct {
	ctx   context.Context
	f     *Feed
	opts  WriterOptions
	buf   []byte
	sizes []int
	err   error
}

// NewWriter returns a writer that appends to the feed until the context ends.
func (f *Feed) NewWriter(ctx context.Context, opts *WriterOptions) *Writer {
	w := &Writer{ctx: ctx, f: f}
	if opts != nil {
		w.opts = *opts
	}
	if w.opts.BatchBytes == 0 {
		w.opts.BatchBytes = defaultWriterBatch
	}
	return w
}

// Write implements io.Writer: it adds p as a block, or as several when it is
// larger than MaxBlockSize. An empty p is an empty block.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n := 0
	for {
		b := p[n:]
		if most := w.opts.MaxBlockSize; most > 0 && len(b) > most {
			b = b[:most]
		}
		if err := w.f.checkSize(b); err != nil {
			return n, w.f.fail(err) // refused before anything is buffered; the writer stays usable
		}
		w.buf = append(w.buf, b...)
		w.sizes = append(w.sizes, len(b))
		n += len(b)
		if len(w.buf) >= w.opts.BatchBytes || len(w.sizes) >= maxBatchOps {
			if err := w.Flush(); err != nil {
				return n, err
			}
		}
		if n == len(p) {
			return n, nil
		}
	}
}

// Flush appends what is gathered.
func (w *Writer) Flush() error {
	if w.err != nil || len(w.sizes) == 0 {
		return w.err
	}
	blocks := make([][]byte, len(w.sizes))
	rest := w.buf
	for i, n := range w.sizes {
		blocks[i], rest = rest[:n:n], rest[n:]
	}
	_, w.err = w.f.Append(w.ctx, blocks...)
	w.buf, w.sizes = w.buf[:0], w.sizes[:0]
	return w.err
}

// Close flushes. The feed stays open.
func (w *Writer) Close() error {
	err := w.Flush()
	if w.err == nil {
		w.err = errors.New("engine: writer is closed")
	}
	if err != nil {
		return fmt.Errorf("close writer: %w", err)
	}
	return nil
}
