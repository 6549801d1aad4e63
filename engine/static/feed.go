package static

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/engine"
)

// A Feed is a handle of a static feed. Handles of one id share what is behind them. The
// methods may be called from any goroutine; after Close they fail with engine.ErrClosed.
type Feed struct {
	live     atomic.Pointer[live] // Finalize may replace it
	swap     sync.Mutex           // held by Finalize and Close; before live.writing
	interest bool
	done     chan struct{}
	once     sync.Once
	err      error // of Close
}

func newFeed(l *live, interest bool) *Feed {
	f := &Feed{interest: interest, done: make(chan struct{})}
	f.live.Store(l)
	return f
}

// check reports a closed handle and a context that has ended.
func (f *Feed) check(ctx context.Context) error {
	if f.closed() {
		return f.fail(engine.ErrClosed)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (f *Feed) closed() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// fail says which feed an error is about.
func (f *Feed) fail(err error) error {
	if _, ok := errors.AsType[*FeedError](err); ok {
		return err
	}
	id, _ := f.ID()
	return &FeedError{ID: id, Err: err}
}

// ID returns the id of the feed, false while it has none.
func (f *Feed) ID() (ID, bool) {
	l := f.live.Load()
	l.core.mu.Lock()
	defer l.core.mu.Unlock()
	return l.id, l.id != ID{}
}

// Blocks returns the number of blocks. Of a feed that comes from others it is known only
// with the first block that was fetched, until then it is 0. See [Feed.Ready].
func (f *Feed) Blocks() uint64 { return f.live.Load().head().blocks }

// Downloaded returns how many blocks are here, and their bytes.
func (f *Feed) Downloaded() (blocks, bytes uint64) {
	h := f.live.Load().head()
	return h.present, h.bytes
}

// Complete reports whether the length is known and every block is here.
func (f *Feed) Complete() bool { return f.live.Load().head().complete() }

// Has reports whether a block is here.
func (f *Feed) Has(block uint64) bool {
	_, ok := f.live.Load().has(block)
	return ok
}

// Present returns the blocks that are here. The set belongs to the caller.
func (f *Feed) Present() *bitmap.Set {
	l := f.live.Load()
	l.state.Lock()
	defer l.state.Unlock()
	return l.state.m.set.Clone()
}

// Created returns when the feed came into the store; for one of which nothing is here yet,
// when it was opened.
func (f *Feed) Created() time.Time { return f.live.Load().head().created }

// Downloading reports whether the feed is of interest, so that all of it is fetched.
func (f *Feed) Downloading() bool {
	l := f.live.Load()
	l.core.mu.Lock()
	defer l.core.mu.Unlock()
	return l.interests > 0 && l.id != ID{}
}

// Wants appends the blocks that calls of Get wait for to dst, the longest waiting first.
func (f *Feed) Wants(dst []uint64) []uint64 {
	for _, it := range f.live.Load().demand.Urgent(nil) {
		if it.Kind == demand.Get {
			dst = append(dst, it.Index)
		}
	}
	return dst
}

// Watch calls notify, which must not block, after each change of what Blocks, Present,
// Downloading and Wants return, and at the close of the feed. stop ends that; a call under
// way may still run.
func (f *Feed) Watch(notify func()) (stop func()) {
	key := &notify
	l := f.live.Load()
	l.state.Lock()
	defer l.state.Unlock()
	l.state.watchers[key] = struct{}{}
	return func() {
		l := f.live.Load() // Finalize takes watchers along
		l.state.Lock()
		defer l.state.Unlock()
		delete(l.state.watchers, key)
	}
}

// Close gives the handle back. Its calls that wait end with engine.ErrClosed. It may be
// called more than once. A feed that has no id by then is removed.
func (f *Feed) Close() error {
	f.once.Do(func() {
		close(f.done)
		f.swap.Lock()
		defer f.swap.Unlock()
		f.err = f.live.Load().release(f.interest)
	})
	return f.err
}
