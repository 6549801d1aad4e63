package static

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/engine"
)

// lockCount is how many locks share the ids.
const lockCount = 64

// numberChunk is how many feed numbers are reserved on disk at a time.
const numberChunk = 256

// A Core is the static feeds of a store. Its methods may be called from any goroutine.
type Core struct {
	table *engine.Table

	// locks serialise opening, finalizing and removing feeds, by id. They come before
	// live.writing, which comes before mu and live.mu.
	locks [lockCount]sync.Mutex

	mu struct {
		sync.Mutex
		live     map[ID]*live
		pending  map[*live]struct{} // without id
		watchers map[*func(ID)]struct{}
		subs     map[*CoreSubscription]struct{}
		closed   bool
	}
	numbers struct {
		sync.Mutex
		next, limit uint64 // numbers below limit are reserved on disk
	}
}

// Open returns the static feeds of a store. A store has one Core at a time: until it is
// closed, another Open fails with engine.ErrTableInUse. It removes what a process that
// ended had left without an id. The store must outlive the Core.
func Open(store *engine.Store) (*Core, error) {
	table, err := store.StaticTable()
	if err != nil {
		return nil, err
	}
	c := &Core{table: table}
	c.mu.live = make(map[ID]*live)
	c.mu.pending = make(map[*live]struct{})
	c.mu.watchers = make(map[*func(ID)]struct{})
	c.mu.subs = make(map[*CoreSubscription]struct{})
	if err := c.load(); err != nil {
		table.Close()
		return nil, fmt.Errorf("static feeds: %w", err)
	}
	return c, nil
}

// load reads the next number and removes unfinished feeds.
func (c *Core) load() error {
	v, ok, err := c.table.Append(nil, []byte{kindNext})
	if err != nil {
		return err
	}
	if ok {
		next, n := binary.Uvarint(v)
		if n <= 0 {
			return fmt.Errorf("next number: %w", engine.ErrCorrupt)
		}
		c.numbers.next, c.numbers.limit = next, next
	}
	if c.table.ReadOnly() {
		return nil
	}
	var left []uint64
	err = c.table.Scan([]byte{kindPending}, []byte{kindPending + 1}, func(key, _ []byte) bool {
		if len(key) == 9 {
			left = append(left, binary.BigEndian.Uint64(key[1:]))
		}
		return true
	})
	if err != nil || len(left) == 0 {
		return err
	}
	return c.table.Write(func(b *engine.TableBatch) error {
		for _, number := range left {
			dropPending(b, number)
		}
		return nil
	})
}

// dropPending removes a feed without id.
func dropPending(b *engine.TableBatch, number uint64) {
	start, end := feedSpan(number)
	b.DeleteRange(start, end)
	b.Delete(pendingKey(number))
}

// number returns a number that no feed ever had.
func (c *Core) number() (uint64, error) {
	c.numbers.Lock()
	defer c.numbers.Unlock()
	if c.numbers.next == c.numbers.limit {
		limit := c.numbers.limit + numberChunk
		err := c.table.Write(func(b *engine.TableBatch) error {
			b.Set([]byte{kindNext}, binary.AppendUvarint(nil, limit))
			return nil
		})
		if err != nil {
			return 0, err
		}
		c.numbers.limit = limit
	}
	c.numbers.next++
	return c.numbers.next - 1, nil
}

// Close closes all feeds of the core. Calls that wait end with engine.ErrClosed. What has
// no id is removed. It may be called more than once.
func (c *Core) Close() error {
	c.mu.Lock()
	if c.mu.closed {
		c.mu.Unlock()
		return nil
	}
	c.mu.closed = true
	lives := make([]*live, 0, len(c.mu.live)+len(c.mu.pending))
	for _, l := range c.mu.live {
		lives = append(lives, l)
	}
	for l := range c.mu.pending {
		lives = append(lives, l)
	}
	c.mu.Unlock()
	var errs []error
	for _, l := range lives {
		errs = append(errs, l.shut())
	}
	c.mu.Lock()
	subs := c.mu.subs
	c.mu.subs = nil
	c.mu.Unlock()
	for s := range subs {
		s.end()
	}
	c.table.Close()
	return errors.Join(errs...)
}

// Add returns a new, empty feed. It takes up nothing on disk until something is appended.
// It must be closed; if it is not finalized by then it is gone.
func (c *Core) Add() (*Feed, error) {
	l := newLive(c, &head{created: time.Now()})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return nil, engine.ErrClosed
	}
	c.mu.pending[l] = struct{}{}
	l.refs, l.interests = 1, 1
	return newFeed(l, true), nil
}

// Get opens the feed with that id, whether anything of it is here or not, and makes it
// interesting: those who share feeds hear of it and fetch its blocks from whoever has them.
// It must be closed; with the last handle that Get or Finalize made, interest ends.
func (c *Core) Get(id ID) (*Feed, error) { return c.open(id, true, true) }

// Lookup opens a feed for those who serve it: ok is false when nothing of it is here and
// nobody has it open. It does not make the feed interesting.
func (c *Core) Lookup(id ID) (f *Feed, ok bool, err error) {
	f, err = c.open(id, false, false)
	if errors.Is(err, engine.ErrNoFeed) {
		return nil, false, nil
	}
	return f, err == nil, err
}

// lock takes the lock that an id shares.
func (c *Core) lock(id ID) *sync.Mutex {
	m := &c.locks[id[0]%lockCount]
	m.Lock()
	return m
}

// open returns a handle of a feed with an id. create opens also what is not here yet.
func (c *Core) open(id ID, interest, create bool) (*Feed, error) {
	locked := c.lock(id)
	f, changed, err := c.openLocked(id, interest, create)
	locked.Unlock()
	if err != nil {
		return nil, &FeedError{ID: id, Err: err}
	}
	if changed {
		c.interestChanged(id)
	}
	return f, nil
}

// openLocked is open while the lock of the id is held. changed is set when the feed
// became interesting.
func (c *Core) openLocked(id ID, interest, create bool) (f *Feed, changed bool, err error) {
	c.mu.Lock()
	l, closed := c.mu.live[id], c.mu.closed
	c.mu.Unlock()
	if closed {
		return nil, false, engine.ErrClosed
	}
	if l == nil {
		h, err := c.readHead(id)
		switch {
		case errors.Is(err, engine.ErrNoFeed) && create:
			l = newLive(c, &head{created: time.Now()})
		case err != nil:
			return nil, false, err
		default:
			l = newLive(c, h)
			if l.state.m, err = loadMap(c.table, h); err != nil {
				return nil, false, err
			}
		}
		l.id = id
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return nil, false, engine.ErrClosed
	}
	c.mu.live[id] = l
	l.refs++
	if interest {
		l.interests++
	}
	return newFeed(l, interest), interest && l.interests == 1, nil
}

// readHead reads the record of a feed; the error matches engine.ErrNoFeed when there is none.
func (c *Core) readHead(id ID) (*head, error) {
	var space [64]byte
	v, ok, err := c.table.Append(space[:0], recordKey(id))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, engine.ErrNoFeed
	}
	return parseRecord(v)
}

// Interests yields the ids of the feeds that are of interest now.
func (c *Core) Interests() iter.Seq[ID] {
	return func(yield func(ID) bool) {
		c.mu.Lock()
		ids := make([]ID, 0, len(c.mu.live))
		for id, l := range c.mu.live {
			if l.interests > 0 {
				ids = append(ids, id)
			}
		}
		c.mu.Unlock()
		for _, id := range ids {
			if !yield(id) {
				return
			}
		}
	}
}

// Watch calls notify, which must not block, with the id of each feed that becomes or ceases
// to be interesting, after it did so; it may call the core. stop ends that; a call under way may still run.
func (c *Core) Watch(notify func(ID)) (stop func()) {
	key := &notify
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.watchers[key] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.mu.watchers, key)
	}
}

// interestChanged tells everybody that a feed became interesting, or is no more. No lock may
// be held. Calls that overtake each other do no harm: they tell what is the case now.
func (c *Core) interestChanged(id ID) {
	c.mu.Lock()
	l := c.mu.live[id]
	interested := l != nil && l.interests > 0
	if interested {
		defer l.changed(Events{}) // Downloading has changed
	}
	watchers := make([]func(ID), 0, len(c.mu.watchers))
	for w := range c.mu.watchers {
		watchers = append(watchers, *w)
	}
	for s := range c.mu.subs {
		s.put(id, interested)
	}
	c.mu.Unlock()
	for _, notify := range watchers {
		notify(id)
	}
}
