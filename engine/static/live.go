package static

import (
	"errors"
	"slices"
	"sync"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// live is the one object of an open feed, which its handles share.
type live struct {
	core   *Core
	demand demand.Demand // the gets that wait

	id              ID  // guarded by core.mu; set once, before others see the feed
	refs, interests int // handles, and those of Get, Add and Finalize; guarded by core.mu

	writing sync.Mutex  // one change at a time
	roots   []tree.Node // of a feed without id; guarded by writing
	broken  error       // an append that failed midway; guarded by writing

	state struct {
		sync.Mutex
		head     *head
		m        *blockMap
		gone     bool // nothing changes any more
		watchers map[*func()]struct{}
		subs     []*Subscription
	}
}

func newLive(c *Core, h *head) *live {
	l := &live{core: c}
	l.state.head = h
	l.state.m = &blockMap{set: bitmap.NewSet()}
	l.state.watchers = make(map[*func()]struct{})
	return l
}

// head returns the state of the feed, not to be modified.
func (l *live) head() *head {
	l.state.Lock()
	defer l.state.Unlock()
	return l.state.head
}

// has reports whether a block is here, and the head it is of.
func (l *live) has(n uint64) (*head, bool) {
	l.state.Lock()
	defer l.state.Unlock()
	return l.state.head, l.state.m.set.Has(n)
}

// changed tells those who watch the feed, and adds the event for the subscribers.
func (l *live) changed(e Events) {
	l.state.Lock()
	watchers := make([]func(), 0, len(l.state.watchers))
	for w := range l.state.watchers {
		watchers = append(watchers, *w)
	}
	subs := slices.Clone(l.state.subs)
	l.state.Unlock()
	for _, s := range subs {
		s.put(e)
	}
	for _, notify := range watchers {
		notify()
	}
}

// settle ends the waiting calls that have their answer.
func (l *live) settle() {
	l.demand.Settle(func(it demand.Item) (bool, error) {
		h, ok := l.has(it.Index)
		switch {
		case it.Kind == demand.Update:
			return h.blocks > 0, nil
		case ok:
			return true, nil
		case h.blocks > 0 && it.Index >= h.blocks:
			return true, engine.ErrRange
		}
		return false, nil
	})
}

// release gives up a handle.
func (l *live) release(interest bool) error {
	c := l.core
	c.mu.Lock()
	id := l.id
	c.mu.Unlock()
	if id == (ID{}) {
		_, err := l.releaseLocked(id, interest)
		return err
	}
	locked := c.lock(id)
	lost, err := l.releaseLocked(id, interest)
	locked.Unlock()
	if lost {
		l.changed(Events{})
		c.interestChanged(id)
	}
	return err
}

// releaseLocked is release while the lock of the id is held, if there is one. lost is set
// when the feed ceased to be interesting.
func (l *live) releaseLocked(id ID, interest bool) (lost bool, err error) {
	c := l.core
	c.mu.Lock()
	l.refs--
	last := l.refs == 0
	if interest {
		l.interests--
		lost = l.interests == 0 && id != (ID{})
	}
	if last {
		delete(c.mu.pending, l)
		if c.mu.live[id] == l {
			delete(c.mu.live, id)
		}
	}
	c.mu.Unlock()
	if last {
		err = l.shut()
	}
	return lost, err
}

// shut ends everything that waits on the feed, and removes it if it has no id.
func (l *live) shut() error {
	l.demand.Close(engine.ErrClosed)
	l.writing.Lock()
	defer l.writing.Unlock()
	l.state.Lock()
	if l.state.gone {
		l.state.Unlock()
		return nil
	}
	l.state.gone = true
	h := l.state.head
	l.state.Unlock()
	l.changed(Events{Closed: true})
	l.core.mu.Lock()
	id := l.id
	l.core.mu.Unlock()
	if id != (ID{}) || h.blocks == 0 || l.core.table.ReadOnly() {
		return nil
	}
	err := l.core.table.WriteLater(func(b *engine.TableBatch) error {
		dropPending(b, h.number)
		return nil
	})
	if errors.Is(err, engine.ErrClosed) {
		return nil // the next Open removes it
	}
	return err
}
