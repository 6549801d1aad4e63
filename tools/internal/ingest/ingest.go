package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Mode says what becomes a block.
type Mode int

// The modes.
const (
	// Whole makes one block of the input, an empty one of empty input.
	Whole Mode = iota
	// Lines makes a block of each line, without the newline that ends it. A last line may lack it. Empty input has no
	// lines.
	Lines
	// Pieces makes blocks of Options.BlockSize bytes and, where it does not come out even, a shorter last one. Empty input
	// has none.
	Pieces
)

// Options say how input becomes blocks.
type Options struct {
	// Mode says what becomes a block.
	Mode Mode
	// BlockSize is the size of the blocks of Pieces, in bytes.
	BlockSize int
	// MaxBlock is the most bytes that a block may have: a *TooLargeError ends what is longer.
	MaxBlock int
	// BatchBytes and BatchBlocks bound a batch. Zero means 4 MiB and 16,384 blocks.
	BatchBytes, BatchBlocks int
	// Linger is the longest time between a block being complete and its batch being handed over, unless another batch is
	// being committed then. Zero means 20 ms.
	Linger time.Duration
	// OnRead, when not nil, is called with the bytes of the input so far after each read.
	OnRead func(total int64)
}

const (
	defaultBatchBytes  = 4 << 20
	defaultBatchBlocks = 16384
	defaultLinger      = 20 * time.Millisecond
	readSize           = 64 << 10 // what a pipe holds
)

func (o *Options) withDefaults() (Options, error) {
	c := *o
	if c.BatchBytes <= 0 {
		c.BatchBytes = defaultBatchBytes
	}
	if c.BatchBlocks <= 0 {
		c.BatchBlocks = defaultBatchBlocks
	}
	if c.Linger <= 0 {
		c.Linger = defaultLinger
	}
	if c.MaxBlock <= 0 {
		return c, errors.New("ingest: MaxBlock must be positive")
	}
	if c.Mode == Pieces && (c.BlockSize < 1 || c.BlockSize > c.MaxBlock) {
		return c, fmt.Errorf("a block size of %d is not between 1 and %d", c.BlockSize, c.MaxBlock)
	}
	return c, nil
}

func (o *Options) splitter() splitter {
	switch o.Mode {
	case Lines:
		return &lines{most: o.MaxBlock}
	case Pieces:
		return &pieces{size: o.BlockSize}
	case Whole:
		return &whole{most: o.MaxBlock}
	}
	return &whole{most: o.MaxBlock}
}

// Run reads r to its end and calls commit with each batch of blocks, one after the other; the blocks are valid during the
// call. It returns the first error of commit, or that of the input after everything complete before it was committed.
//
// When the context ends, what is complete by then is committed, a block whose end did not come is dropped, and the error
// is the context's cause. A read that is under way then goes on until r answers it: what it brings is lost.
func Run(ctx context.Context, r io.Reader, opts Options, commit func(blocks [][]byte) error) error {
	o, err := opts.withDefaults()
	if err != nil {
		return err
	}
	p := &pipeline{opts: o, filling: new(batch), changed: make(chan struct{}, 1), room: make(chan struct{}, 1), quit: make(chan struct{})}
	defer close(p.quit)
	go p.read(r, o.splitter())
	taken := new(batch)
	var blocks [][]byte
	for {
		if taken, err = p.take(ctx, taken); taken == nil {
			return err
		}
		blocks = taken.blocks(blocks[:0])
		if err := commit(blocks); err != nil {
			return err
		}
		clear(blocks)
	}
}

// pipeline stands between the goroutine that reads and the one that commits.
type pipeline struct {
	opts    Options
	changed chan struct{} // there is something to look at for the one that commits
	room    chan struct{} // a batch was taken
	quit    chan struct{} // closed when nobody commits any more

	mu      sync.Mutex
	filling *batch    // what is being read
	since   time.Time // when its first block was complete
	drained bool      // the input had nothing more
	ended   bool      // nothing comes any more
	err     error     // why; nil at the end of the input
}

// read fills batches until the input ends.
func (p *pipeline) read(r io.Reader, s splitter) {
	buf := make([]byte, readSize)
	var total int64
	for {
		n, err := r.Read(buf)
		total += int64(n)
		if n > 0 && p.opts.OnRead != nil {
			p.opts.OnRead(total)
		}
		if more := p.add(s, buf[:n], n < len(buf)); !more {
			return
		}
		if err != nil {
			p.end(s, err)
			return
		}
	}
}

// add splits bytes into blocks. It reports false when reading should end.
func (p *pipeline) add(s splitter, b []byte, drained bool) bool {
	for len(b) > 0 {
		p.mu.Lock()
		if p.ended {
			p.mu.Unlock()
			return false
		}
		for len(b) > 0 && !p.fullLocked() {
			had := len(p.filling.ends)
			n, err := s.split(p.filling, b)
			if err != nil {
				p.ended, p.err = true, err
				p.mu.Unlock()
				signal(p.changed)
				return false
			}
			if b = b[n:]; had == 0 && len(p.filling.ends) > 0 {
				p.since = time.Now()
			}
		}
		p.drained = drained && len(b) == 0
		wait := p.fullLocked()
		p.mu.Unlock()
		signal(p.changed)
		if !wait {
			continue
		}
		select {
		case <-p.room:
		case <-p.quit:
			return false
		}
	}
	return true
}

// end notes why the input has ended.
func (p *pipeline) end(s splitter, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.ended = true
	if errors.Is(err, io.EOF) {
		s.finish(p.filling)
	} else {
		p.err = fmt.Errorf("read input: %w", err)
	}
	signal(p.changed)
}

// fullLocked reports whether a batch is as large as it gets. p.mu must be held.
func (p *pipeline) fullLocked() bool {
	n := len(p.filling.ends)
	return n > 0 && (n >= p.opts.BatchBlocks || p.filling.begun() >= p.opts.BatchBytes)
}

// take waits until there is a batch to commit and returns it, in exchange for one that is done with. It returns nil when
// there will be none.
func (p *pipeline) take(ctx context.Context, done *batch) (*batch, error) {
	var timer *time.Timer
	var late <-chan time.Time
	for {
		p.mu.Lock()
		if b, err, ok := p.takeLocked(ctx, done); ok {
			p.mu.Unlock()
			signal(p.room)
			return b, err
		}
		waiting, since := len(p.filling.ends) > 0, p.since
		p.mu.Unlock()
		if waiting && timer == nil {
			timer = time.NewTimer(p.opts.Linger - time.Since(since))
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-p.changed:
		case <-late:
			late = nil
		case <-ctx.Done():
		}
	}
}

// takeLocked is take without waiting. p.mu must be held.
func (p *pipeline) takeLocked(ctx context.Context, done *batch) (b *batch, err error, ok bool) {
	if ctx.Err() != nil && !p.ended {
		p.ended, p.err = true, context.Cause(ctx)
	}
	if len(p.filling.ends) == 0 {
		return nil, p.err, p.ended
	}
	if !p.ended && !p.drained && !p.fullLocked() && time.Since(p.since) < p.opts.Linger {
		return nil, nil, false
	}
	b = p.filling
	b.moveRest(done)
	p.filling = done
	return b, nil, true
}

// signal puts a token into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
