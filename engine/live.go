package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/tree"
)

// live is the one object of an open feed. All its handles share it.
//
// Writes go through a queue: whoever finds nobody writing leads, takes what is
// waiting, turns it into as few changes as possible and commits them one after the
// other. So at most one change of a feed is on its way to the disk, everything
// that arrives meanwhile becomes the next one, and a failed commit has no
// successors to undo. Readers never wait for any of this: they see the head, which
// is replaced after its commit returned.
type live struct {
	store *Store // nil for a feed on files of its own
	be    backend
	gate  *gate // of the store, or of the feed's own files
	key   tree.PublicKey
	dk    tree.DiscoveryKey

	head    atomic.Pointer[head]
	offered atomic.Uint64 // see Feed.Offered
	demand  demand.Demand
	subs    atomic.Pointer[[]*Subscription] // replaced under mu; nil: none
	stats   statCounters

	writable bool // the secret key is here
	readOnly bool

	refs    int           // handles and pins; guarded by store.mu
	closing chan struct{} // set when refs fell to zero, closed when all is done; guarded by store.mu

	mu struct {
		sync.Mutex
		queue   []*op
		writing bool
		handles []*Feed
		secret  *tree.SecretKey // loaded by the first append
		closed  error           // why no more writes are taken
	}
	idle sync.WaitGroup // writes in progress
}

// opKind says what an op does.
type opKind uint8

const (
	opAppend opKind = iota
	opDeliver
	opClear
	opFlags
	opChange
)

// op is one write that waits for its turn.
type op struct {
	kind opKind
	feed *Feed // the handle it came through

	blocks     [][]byte        // opAppend
	deliveries []tree.Delivery // opDeliver
	from       any             // opDeliver: who delivered
	run        bitmap.Run      // opClear
	flags      headFlags       // opFlags: to be cleared
	// build makes the change of an opChange.
	build func(*head) (*change, error)

	seq   uint64 // opAppend: number of the first block
	n     uint64 // opDeliver: deliveries accepted; opClear: blocks cleared
	bytes uint64 // opClear: bytes of those blocks
	err   error

	turn chan bool // true: lead; false: done
}

// write hands the op to the queue and returns when it is done. It cannot be
// canceled: what is on its way to the disk arrives there.
func (l *live) write(o *op) error {
	l.mu.Lock()
	if l.mu.closed != nil {
		err := l.mu.closed
		l.mu.Unlock()
		return err
	}
	if l.store != nil {
		if err := l.store.commit.failure(); err != nil {
			l.mu.Unlock()
			return err
		}
	}
	l.idle.Add(1)
	defer l.idle.Done()
	l.mu.queue = append(l.mu.queue, o)
	if l.mu.writing {
		o.turn = make(chan bool, 1)
		l.mu.Unlock()
		if !<-o.turn {
			return o.err
		}
		l.mu.Lock()
	}
	l.mu.writing = true
	batch := l.takeLocked()
	l.mu.Unlock()

	l.run(batch)
	for _, other := range batch {
		if other != o {
			other.turn <- false
		}
	}

	l.mu.Lock()
	if len(l.mu.queue) > 0 {
		l.mu.queue[0].turn <- true
	} else {
		l.mu.queue = nil
		l.mu.writing = false
	}
	l.mu.Unlock()
	return o.err
}

// A batch of ops becomes one change; these bound it, so that nobody waits long.
const (
	maxBatchOps   = 4096
	maxBatchBytes = 16 << 20
)

// takeLocked removes the ops from the front of the queue that are of one kind.
// l.mu must be held.
func (l *live) takeLocked() []*op {
	q := l.mu.queue
	n, size := 0, 0
	for n < len(q) && n < maxBatchOps && (n == 0 || q[n].kind == q[0].kind && size < maxBatchBytes) {
		for _, b := range q[n].blocks {
			size += len(b)
		}
		for i := range q[n].deliveries {
			size += len(q[n].deliveries[i].Data)
		}
		n++
	}
	batch := slices.Clone(q[:n])
	l.mu.queue = slices.Delete(q, 0, n)
	return batch
}

// run performs ops of one kind.
func (l *live) run(batch []*op) {
	switch batch[0].kind {
	case opAppend:
		l.runAppend(batch)
	case opDeliver:
		l.runDeliver(batch)
	case opClear:
		for _, o := range batch {
			o.err = l.runClear(o)
		}
	case opFlags:
		for _, o := range batch {
			o.err = l.runFlags(o)
		}
	case opChange:
		for _, o := range batch {
			o.err = l.runChange(o)
		}
	}
}

// fail gives all ops that have no error yet the same one.
func fail(batch []*op, err error) {
	for _, o := range batch {
		if o.err == nil {
			o.err = err
		}
	}
}

// commit makes the change durable and publishes its head.
func (l *live) commit(old *head, c *change) error {
	if err := l.be.commit(old, c); err != nil {
		if errors.Is(err, ErrStoreFailed) {
			l.broadcast(Events{Err: err})
		}
		return err
	}
	l.head.Store(c.head)
	l.publishOffered(c.head)
	return nil
}

// blockMap returns the map of present blocks of a head.
func (l *live) blockMap(h *head) blockMap {
	return blockMap{pages: l.be, prefix: h.prefix, length: h.length}
}

// runFlags changes the flags of the head.
func (l *live) runFlags(o *op) error {
	h := l.head.Load()
	next := *h
	next.flags &^= o.flags
	if next.flags == h.flags {
		return nil
	}
	return l.commit(h, &change{head: &next})
}

// runChange commits a change that its caller has prepared and verified.
func (l *live) runChange(o *op) error {
	h := l.head.Load()
	c, err := o.build(h)
	if err != nil {
		return err
	}
	if err := l.commit(h, c); err != nil {
		return err
	}
	l.broadcast(Events{Appended: c.head.length > h.length, Downloaded: c.set, Cleared: c.cleared})
	l.settle()
	return nil
}

// secretKey returns the key that signs.
func (l *live) secretKey() (tree.SecretKey, error) {
	l.mu.Lock()
	sk := l.mu.secret
	l.mu.Unlock()
	if sk != nil {
		return *sk, nil
	}
	loaded, ok, err := l.be.secret()
	if err != nil {
		return loaded, err
	}
	if !ok {
		return loaded, ErrNotWritable
	}
	l.mu.Lock()
	l.mu.secret = &loaded
	l.mu.Unlock()
	return loaded, nil
}

// open registers a handle.
func (l *live) open(f *Feed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.handles = append(l.mu.handles, f)
}

// release removes a handle and returns how many are left.
func (l *live) release(f *Feed) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.handles = slices.DeleteFunc(l.mu.handles, func(x *Feed) bool { return x == f })
	return len(l.mu.handles)
}

// end refuses further writes, ends what waits, and returns when the writes under
// way are done.
func (l *live) end(reason error) {
	l.mu.Lock()
	if l.mu.closed == nil {
		l.mu.closed = reason
	}
	l.mu.Unlock()
	l.demand.Close(reason)
	l.idle.Wait()
}

// shut ends the feed and closes its handles.
func (l *live) shut(reason error) {
	l.end(reason)
	l.mu.Lock()
	handles := slices.Clone(l.mu.handles)
	l.mu.Unlock()
	for _, f := range handles {
		f.Close()
	}
}

// await waits for an item of demand. It is told when the item is satisfied, by
// the changes that satisfy it.
func (l *live) await(ctx context.Context, t *demand.Ticket, done <-chan struct{}) error {
	select {
	case <-t.Done():
		return t.Err()
	case <-done:
		l.demand.Remove(t, ErrClosed)
		return ErrClosed
	case <-ctx.Done():
		l.demand.Remove(t, context.Cause(ctx))
		return fmt.Errorf("wait for %v: %w", t.Item().Kind, context.Cause(ctx))
	}
}

// settle ends the waiting items that a new head satisfies.
func (l *live) settle() {
	if !l.demand.Waiting() {
		return
	}
	h := l.head.Load()
	m := l.blockMap(h)
	l.demand.Settle(func(it demand.Item) (bool, error) {
		done, err := l.satisfied(h, m, it)
		if err != nil {
			return true, err
		}
		return done, nil
	})
}

// satisfied reports whether an item need not wait any more.
func (l *live) satisfied(h *head, m blockMap, it demand.Item) (bool, error) {
	switch it.Kind {
	case demand.Get:
		return m.has(it.Index)
	case demand.Update:
		return h.length > it.Index, nil
	case demand.Seek:
		r, err := l.seekLocal(h, it.Bytes)
		if errors.Is(err, tree.ErrOutOfBounds) {
			return false, nil
		}
		return r.Exact, err
	case demand.Range:
		if it.Blocks != nil {
			for _, b := range it.Blocks {
				if ok, err := m.has(b); err != nil || !ok {
					return false, err
				}
			}
			return true, nil
		}
		if it.End == demand.Unbounded {
			return false, nil
		}
		missing, err := m.nextMissing(it.Start)
		return missing >= it.End, err
	}
	return false, fmt.Errorf("unknown kind %v of demand", it.Kind)
}
