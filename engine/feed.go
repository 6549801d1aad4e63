package engine

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/tree"
)

// FeedOptions configure one handle of a feed. The zero value is ready to use.
type FeedOptions struct {
	// MustExist refuses with ErrNoFeed to add a feed that is not there yet.
	MustExist bool
	// Overwrite removes everything that is stored of the feed before it is opened.
	Overwrite bool
	// SecretKey makes the feed writable. It must belong to the public key.
	SecretKey *tree.SecretKey
	// DiscardSecret keeps SecretKey, or the one made for a new feed, in memory only:
	// the feed is writable until its last handle is closed.
	DiscardSecret bool
	// Sparse asks for no blocks but those that a call waits for. By default the
	// whole feed is wanted, unless it is writable.
	Sparse bool
	// EagerUpdate keeps a sparse feed informed about its length. Feeds that are
	// not sparse always are.
	EagerUpdate bool
	// IfAvailable makes waiting calls fail with ErrNotAvailable when no peer can
	// bring what they wait for.
	IfAvailable bool
	// OnWrite, when not nil, is called before a block is written, after it was
	// verified: with the data of a block, or nil when only hashes are written, and
	// with what delivered it, nil for own appends. Its error refuses the write. It
	// is called from one goroutine at a time per feed and must not write to the
	// feed. The data is valid only during the call.
	OnWrite func(index uint64, data []byte, from any) error
	// Crypto replaces the signing and verifying of Ed25519. Nil means Ed25519.
	Crypto *tree.Crypto
	// AllowUnsendable lets Append take blocks above MaxSendable, up to 1 GiB. No
	// hypercore 9 peer can receive them.
	AllowUnsendable bool
	// NoStats leaves Stats at zero.
	NoStats bool
}

// A Feed is a handle of an append-only log. Handles of one feed share everything
// but their options, subscriptions and what waits through them. The methods may be
// called from any goroutine.
type Feed struct {
	live *live
	opts FeedOptions
	once sync.Once

	closed atomic.Bool
	done   chan struct{} // closed by Close; nil until somebody waits; guarded by live.mu

	standing *demand.Ticket // the wish for everything, nil when sparse
	eager    chan struct{}  // closed when the loop of EagerUpdate has ended; nil without
}

// newFeed makes a handle on an open feed.
func newFeed(l *live, opts FeedOptions) *Feed {
	f := &Feed{live: l, opts: opts}
	l.open(f)
	if !opts.Sparse && !l.writable {
		f.standing = l.demand.Add(demand.Item{Kind: demand.Range, End: demand.Unbounded, Standing: true})
	}
	if opts.Sparse && opts.EagerUpdate && !l.writable {
		f.eager = make(chan struct{})
		go f.followLength()
	}
	return f
}

// followLength keeps an update waiting, for EagerUpdate.
func (f *Feed) followLength() {
	defer close(f.eager)
	for {
		t := f.live.demand.Add(demand.Item{Kind: demand.Update, Index: f.Length(), HashOnly: true})
		f.live.settle() // the length may have grown before the item was there
		if f.live.await(context.Background(), t, f.ended()) != nil {
			return
		}
	}
}

// check refuses calls on a closed handle and those whose context has ended.
func (f *Feed) check(ctx context.Context) error {
	if f.closed.Load() {
		return f.fail(ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return f.fail(context.Cause(ctx))
	}
	return nil
}

// ended returns a channel that is closed when the handle is.
func (f *Feed) ended() <-chan struct{} {
	f.live.mu.Lock()
	defer f.live.mu.Unlock()
	if f.done == nil {
		f.done = make(chan struct{})
		if f.closed.Load() {
			close(f.done)
		}
	}
	return f.done
}

// fail says which feed an error is about.
func (f *Feed) fail(err error) error { return &FeedError{Feed: f.live.dk, Err: err} }

// Key returns the public key, which is also the capability to read the feed.
func (f *Feed) Key() tree.PublicKey { return f.live.key }

// DiscoveryKey returns the key under which peers look for the feed. It does not
// allow to read it.
func (f *Feed) DiscoveryKey() tree.DiscoveryKey { return f.live.dk }

// Length returns the number of blocks that the feed is known to have.
func (f *Feed) Length() uint64 { return f.live.head.Load().length }

// ByteLength returns the number of bytes of all blocks, present or not.
func (f *Feed) ByteLength() uint64 { return f.live.head.Load().byteLength }

// Writable reports whether blocks can be appended: the secret key is here, and the
// feed is neither closed nor opened read-only. A sealed secret key counts; the
// append tells when it cannot be unsealed.
func (f *Feed) Writable() bool {
	return !f.closed.Load() && f.live.writable && !f.live.readOnly
}

// Readable reports whether the handle is open.
func (f *Feed) Readable() bool {
	return !f.closed.Load()
}

// Sparse reports whether the handle was opened with FeedOptions.Sparse.
func (f *Feed) Sparse() bool { return f.opts.Sparse }

// Offered returns how many blocks from the start may be offered to peers. For a
// feed that is signed here these are the blocks that are on stable storage: a writer
// that gives a block away, loses power and signs another one in its place has
// forked its feed for ever. For other feeds it is the length.
func (f *Feed) Offered() uint64 {
	if f.live.writable {
		return f.live.offered.Load()
	}
	return f.Length()
}

// Demand returns what the feed waits for, for those who can bring it.
func (f *Feed) Demand() *demand.Demand { return &f.live.demand }

// Has reports whether a block is present. A damaged store counts as absent.
func (f *Feed) Has(index uint64) bool {
	ok, err := f.blockMap().has(index)
	return err == nil && ok
}

// HasRange reports whether all blocks of [start, end) are present. An empty range
// is.
func (f *Feed) HasRange(start, end uint64) bool {
	if start >= end {
		return true
	}
	missing, err := f.blockMap().nextMissing(start)
	return err == nil && missing >= end
}

// Downloaded returns how many blocks of [start, end) are present; end 0 means the
// length.
func (f *Feed) Downloaded(start, end uint64) uint64 {
	h := f.live.head.Load()
	if end == 0 {
		end = h.length
	}
	if start == 0 && end >= h.length {
		return h.present
	}
	n, err := f.live.blockMap(h).count(start, end)
	if err != nil {
		return 0
	}
	return n
}

// NextMissing returns the first block at or behind index that is not present; it
// may be behind the end of the feed.
func (f *Feed) NextMissing(index uint64) (uint64, error) { return f.blockMap().nextMissing(index) }

// Present yields the runs of present blocks in [start, end) in ascending order. A
// non-nil error is the last pair.
func (f *Feed) Present(start, end uint64) iter.Seq2[bitmap.Run, error] {
	return f.blockMap().runs(start, end)
}

func (f *Feed) blockMap() blockMap { return f.live.blockMap(f.live.head.Load()) }

// Guarded reports whether appends are refused because another copy of the feed,
// with the same secret key, may be ahead of this one: after the import of a secret
// key, a restored backup, or an unclean end without syncs. Appending there would
// sign a second history, which peers refuse for ever. The guard falls when a peer
// has proved a length that is not above ours, or with Unguard.
func (f *Feed) Guarded() bool { return f.live.head.Load().guarded() }

// Unguard allows appends to a guarded feed. Whoever calls it vouches that no other
// copy of the feed is ahead.
func (f *Feed) Unguard(ctx context.Context) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	if f.live.readOnly {
		return f.fail(ErrReadOnly)
	}
	if err := f.live.write(&op{kind: opFlags, feed: f, flags: flagGuarded}); err != nil {
		return f.fail(err)
	}
	return nil
}

// Cancel ends the gets and seeks that wait for blocks of [start, end), and the
// downloads that lie inside it, with ErrCanceled. end 0 means start+1. It returns
// how many there were.
func (f *Feed) Cancel(start, end uint64) int {
	if end == 0 {
		end = start + 1
	}
	return f.live.demand.Cancel(start, end, ErrCanceled)
}

// Close closes the handle; calls that wait through it end with ErrClosed. When it
// was the last one the feed itself is closed: writes under way are finished first.
// It may be called more than once.
func (f *Feed) Close() error {
	var err error
	f.once.Do(func() { err = f.close() })
	return err
}

func (f *Feed) close() error {
	l := f.live
	l.mu.Lock()
	f.closed.Store(true)
	if f.done != nil {
		close(f.done)
	}
	l.mu.Unlock()
	if f.standing != nil {
		l.demand.Remove(f.standing, ErrClosed)
	}
	if f.eager != nil {
		<-f.eager
	}
	l.endSubscriptions(func(s *Subscription) bool { return s.feed == f })
	if l.store != nil {
		l.store.releaseFeed(f)
		return nil
	}
	if l.release(f) > 0 {
		return nil
	}
	l.end(ErrClosed)
	l.gate.shut()
	return l.be.close()
}

// String names the feed by its discovery key.
func (f *Feed) String() string { return fmt.Sprintf("feed %x", f.live.dk[:4]) }
