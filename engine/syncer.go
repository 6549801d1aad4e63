package engine

import (
	"maps"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/tree"
)

// neverSyncDelay is how long, under SyncNever, a block that peers wait for stays
// unsynced, so that several share a sync.
const neverSyncDelay = 50 * time.Millisecond

// syncer knows which feeds have blocks that were answered but not synced, under
// the policies other than SyncAlways, and syncs them in time.
type syncer struct {
	mu     sync.Mutex
	dirty  map[*live]uint64 // the length that is not synced
	closed map[tree.DiscoveryKey]closedDirty
	round  uint64 // of syncs, counted when one begins

	wake chan struct{}
	quit chan struct{}
	done chan struct{}
}

// closedDirty is a feed that was closed before its blocks were synced.
type closedDirty struct {
	offered uint64
	round   uint64 // the last sync that began before the close
}

func (y *syncer) start(s *Store) {
	y.wake = make(chan struct{}, 1)
	y.quit = make(chan struct{})
	y.done = make(chan struct{})
	go y.run(s)
}

// stop ends the goroutine. It is called once, and does nothing if there is none.
func (y *syncer) stop() {
	if y.quit != nil {
		close(y.quit)
		<-y.done
	}
}

// note records that a feed has changed.
func (y *syncer) note(l *live, length uint64) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.dirty == nil {
		y.dirty = make(map[*live]uint64)
	}
	y.dirty[l] = length
}

// take returns what is not synced and forgets it, and begins a round.
func (y *syncer) take() (dirty map[*live]uint64, round uint64) {
	y.mu.Lock()
	defer y.mu.Unlock()
	dirty, y.dirty = y.dirty, nil
	y.round++
	return dirty, y.round
}

// forgetClosed drops the feeds that were closed before a round that is done.
func (y *syncer) forgetClosed(round uint64) {
	y.mu.Lock()
	defer y.mu.Unlock()
	maps.DeleteFunc(y.closed, func(_ tree.DiscoveryKey, c closedDirty) bool { return c.round < round })
}

// close remembers how much of a feed may be offered when it is opened again before
// the next sync.
func (y *syncer) close(l *live) {
	offered := l.offered.Load()
	if !l.writable || offered >= l.head.Load().length {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	delete(y.dirty, l)
	if y.closed == nil {
		y.closed = make(map[tree.DiscoveryKey]closedDirty)
	}
	y.closed[l.dk] = closedDirty{offered, y.round}
}

// open takes up a feed that was closed before its blocks were synced.
func (y *syncer) open(l *live) {
	if !l.writable {
		return
	}
	y.mu.Lock()
	c, ok := y.closed[l.dk]
	delete(y.closed, l.dk)
	y.mu.Unlock()
	if ok {
		length := l.head.Load().length
		l.offered.Store(min(c.offered, length)) // it may have been destroyed and made again
		y.note(l, length)
	}
}

// wanted reports whether peers wait for something that is not synced.
func (y *syncer) wanted() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	for l := range y.dirty {
		if l.demand.Sources() > 0 {
			return true
		}
	}
	return false
}

func (y *syncer) run(s *Store) {
	defer close(y.done)
	pause := s.opts.SyncInterval
	if s.opts.Sync == SyncNever {
		pause = neverSyncDelay
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-y.quit:
			return
		case <-y.wake:
		}
		timer.Reset(pause)
		select {
		case <-y.quit:
			return
		case <-timer.C:
		}
		if s.opts.Sync == SyncNever && !y.wanted() {
			continue
		}
		if err := s.syncNow(); err != nil {
			s.log.Error("sync failed", "err", err)
			return
		}
	}
}

// syncNow syncs and offers what was not synced before.
func (s *Store) syncNow() error {
	dirty, round := s.syncer.take()
	if err := s.commit.sync(); err != nil {
		return err
	}
	s.syncer.forgetClosed(round)
	for l, length := range dirty {
		l.offer(length)
	}
	return nil
}

// offer raises what may be shown to peers.
func (l *live) offer(length uint64) {
	for {
		old := l.offered.Load()
		if old >= length {
			return
		}
		if l.offered.CompareAndSwap(old, length) {
			l.broadcast(Events{Offered: true})
			return
		}
	}
}

// publishOffered offers a new length at once or when it is synced.
func (l *live) publishOffered(h *head) {
	if !l.writable {
		return
	}
	if l.be.synced() {
		l.offer(h.length)
		return
	}
	y := &l.store.syncer
	y.note(l, h.length)
	if l.store.opts.Sync == SyncPeriodic || l.demand.Sources() > 0 {
		y.kick()
	}
}

func (y *syncer) kick() {
	select {
	case y.wake <- struct{}{}:
	default:
	}
}

// RequestSync asks, under the policies other than SyncAlways, that what is appended
// but not yet offered is synced soon. Replication calls it when a peer attaches to
// a feed whose Offered is less than its length.
func (f *Feed) RequestSync() {
	if f.live.store != nil && f.live.store.syncer.wake != nil {
		f.live.store.syncer.kick()
	}
}
