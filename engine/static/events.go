package static

import (
	"slices"
	"sync"

	"github.com/cairn-feeds/cairn/bitmap"
)

// Events is what happened to a feed since a subscriber last looked, merged.
type Events struct {
	// Ready is set when the number of blocks became known.
	Ready bool
	// Finalized is set when the feed got its id.
	Finalized bool
	// Downloaded are blocks that came from others, Uploaded those that were sent to
	// others; nil for none.
	Downloaded, Uploaded *bitmap.Set
	// Wanted is set when a call began to wait for a block.
	Wanted bool
	// Synced is set when a download made the feed complete.
	Synced bool
	// Closed is set when the feed was closed; nothing comes after it.
	Closed bool
}

func (e *Events) empty() bool { return *e == Events{} }

// A Subscription holds what happened to a feed until its owner takes it. It never blocks the
// feed and never grows beyond the maps of its blocks: what is not taken is merged.
type Subscription struct {
	live   *live
	signal chan struct{}

	mu      sync.Mutex
	pending Events
	closed  bool
}

// Subscribe starts a subscription. It ends with Close, or when the last handle of the feed
// is closed.
func (f *Feed) Subscribe() *Subscription {
	l := f.live.Load()
	s := &Subscription{live: l, signal: make(chan struct{}, 1)}
	l.state.Lock()
	known, gone := l.state.head.blocks > 0, l.state.gone
	if !gone {
		l.state.subs = append(l.state.subs, s)
	}
	l.state.Unlock()
	s.put(Events{Ready: known, Closed: gone})
	return s
}

// Signal returns a channel that delivers one value when there is something to take.
func (s *Subscription) Signal() <-chan struct{} { return s.signal }

// Take returns what happened since the last Take, and forgets it. The sets belong to the
// caller.
func (s *Subscription) Take() Events {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.pending
	s.pending = Events{}
	return e
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.mu.Lock()
	l := s.live
	s.mu.Unlock()
	l.state.Lock()
	l.state.subs = slices.DeleteFunc(slices.Clone(l.state.subs), func(x *Subscription) bool { return x == s })
	l.state.Unlock()
	s.put(Events{Closed: true})
}

// put merges what happened. The sets are not kept.
func (s *Subscription) put(e Events) {
	if e.empty() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	p := &s.pending
	p.Ready = p.Ready || e.Ready
	p.Finalized = p.Finalized || e.Finalized
	p.Wanted = p.Wanted || e.Wanted
	p.Synced = p.Synced || e.Synced
	p.Closed = p.Closed || e.Closed
	p.Downloaded = merge(p.Downloaded, e.Downloaded)
	p.Uploaded = merge(p.Uploaded, e.Uploaded)
	s.closed = e.Closed
	signal(s.signal)
}

// merge returns the union of two sets, the first of which it may change.
func merge(a, b *bitmap.Set) *bitmap.Set {
	switch {
	case b == nil:
		return a
	case a == nil:
		return b.Clone()
	}
	a.Or(b)
	return a
}

// signal puts a token into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// CoreEvents is which feeds became interesting, and which ceased to be, since a subscriber
// last looked. A feed that came and went meanwhile is in neither.
type CoreEvents struct {
	Interested, Uninterested []ID
	// Closed is set when the core was closed; nothing comes after it.
	Closed bool
}

// A CoreSubscription holds [CoreEvents] until its owner takes them.
type CoreSubscription struct {
	core   *Core
	signal chan struct{}

	mu      sync.Mutex
	told    map[ID]struct{} // what is interesting as far as the subscriber knows
	pending map[ID]bool     // what he does not know yet
	closed  bool
}

// Subscribe starts a subscription to what is of interest. It begins with the feeds that are
// now, so that nothing is missed.
func (c *Core) Subscribe() *CoreSubscription {
	s := &CoreSubscription{core: c, signal: make(chan struct{}, 1), told: make(map[ID]struct{}), pending: make(map[ID]bool)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		s.end()
		return s
	}
	c.mu.subs[s] = struct{}{}
	for id, l := range c.mu.live {
		if l.interests > 0 {
			s.put(id, true)
		}
	}
	return s
}

// Signal returns a channel that delivers one value when there is something to take.
func (s *CoreSubscription) Signal() <-chan struct{} { return s.signal }

// Take returns what changed since the last Take, and forgets it.
func (s *CoreSubscription) Take() CoreEvents {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := CoreEvents{Closed: s.closed}
	for id, interested := range s.pending {
		if interested {
			e.Interested = append(e.Interested, id)
			s.told[id] = struct{}{}
		} else {
			e.Uninterested = append(e.Uninterested, id)
			delete(s.told, id)
		}
	}
	clear(s.pending)
	return e
}

// Close ends the subscription.
func (s *CoreSubscription) Close() {
	s.core.mu.Lock()
	delete(s.core.mu.subs, s)
	s.core.mu.Unlock()
	s.end()
}

// put notes whether a feed is interesting.
func (s *CoreSubscription) put(id ID, interested bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if _, told := s.told[id]; told == interested {
		delete(s.pending, id)
		return
	}
	s.pending[id] = interested
	signal(s.signal)
}

// end delivers the last event.
func (s *CoreSubscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	signal(s.signal)
}
