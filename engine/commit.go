package engine

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// maxGroupBytes bounds how many bytes of changes are committed together. A
// single larger change is committed by itself.
const maxGroupBytes = 4 << 20

// committer is the one place where changes of all feeds reach the database. It
// groups what arrives while a commit runs, commits the group as one batch with at
// most one sync, and answers each.
//
// There is no goroutine of its own: whoever finds nobody committing leads, commits
// one group and hands the lead to the first that arrived meanwhile. An uncontended
// commit therefore costs no switch of goroutines.
type committer struct {
	db    *pebble.DB
	space *spaceGuard

	mu      sync.Mutex
	waiting []*commitRequest
	busy    bool // somebody leads

	failed  atomic.Pointer[error] // set once: no more commits
	commits atomic.Uint64         // groups committed
	syncs   atomic.Uint64         // groups committed with a sync
	changes atomic.Uint64         // changes committed
}

// commitRequest is one change on its way to the database.
type commitRequest struct {
	batch *pebble.Batch
	sync  bool
	turn  chan outcome
}

// outcome is what a waiting request hears: that its change was committed or not,
// or that it is its turn to lead.
type outcome struct {
	lead bool
	err  error
}

// commit makes the batch durable as far as sync asks and closes it.
func (c *committer) commit(batch *pebble.Batch, sync bool) error {
	defer batch.Close()
	r := commitRequest{batch: batch, sync: sync}
	c.mu.Lock()
	if err := c.failure(); err != nil {
		c.mu.Unlock()
		return err
	}
	if c.busy {
		r.turn = make(chan outcome, 1)
		c.waiting = append(c.waiting, &r)
		c.mu.Unlock()
		if o := <-r.turn; !o.lead {
			return o.err
		}
		c.mu.Lock()
	} else {
		c.busy = true
	}
	group := c.takeLocked(&r)
	c.mu.Unlock()

	err := c.write(&r, group)
	for _, w := range group {
		w.turn <- outcome{err: err}
	}

	c.mu.Lock()
	if len(c.waiting) > 0 {
		next := c.waiting[0]
		c.waiting = c.waiting[1:]
		next.turn <- outcome{lead: true}
	} else {
		c.waiting = nil
		c.busy = false
	}
	c.mu.Unlock()
	return err
}

// takeLocked removes from the waiting those that go into the batch of the leader.
// c.mu must be held.
func (c *committer) takeLocked(lead *commitRequest) []*commitRequest {
	size := lead.batch.Len()
	n := 0
	for n < len(c.waiting) && size+c.waiting[n].batch.Len() <= maxGroupBytes {
		size += c.waiting[n].batch.Len()
		n++
	}
	group := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	return group
}

// write commits the leader's batch with those of the group added to it.
func (c *committer) write(lead *commitRequest, group []*commitRequest) error {
	if err := c.failure(); err != nil {
		return err
	}
	sync := lead.sync
	for _, w := range group {
		if err := lead.batch.Apply(w.batch, nil); err != nil {
			return c.fail(err)
		}
		sync = sync || w.sync
	}
	if err := c.space.check(lead.batch.Len()); err != nil {
		return err
	}
	opts := pebble.NoSync
	if sync {
		opts = pebble.Sync
		c.syncs.Add(1)
	}
	if err := c.db.Apply(lead.batch, opts); err != nil {
		return c.fail(err)
	}
	c.commits.Add(1)
	c.changes.Add(uint64(1 + len(group)))
	return nil
}

// sync forces everything committed so far to stable storage.
func (c *committer) sync() error {
	if err := c.failure(); err != nil {
		return err
	}
	c.syncs.Add(1)
	if err := c.db.LogData(nil, pebble.Sync); err != nil {
		return c.fail(err)
	}
	return nil
}

// fail poisons the store: what is on disk after a failed commit is unknown. It
// answers those who wait for their turn, since the leader may never come back from
// the database.
func (c *committer) fail(cause error) error {
	err := fmt.Errorf("%w: %w", ErrStoreFailed, cause)
	c.failed.CompareAndSwap(nil, &err)
	err = c.failure()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.waiting {
		w.turn <- outcome{err: err}
	}
	c.waiting = nil
	return err
}

// failure returns the error that poisoned the store, if any.
func (c *committer) failure() error {
	if p := c.failed.Load(); p != nil {
		return *p
	}
	return nil
}
