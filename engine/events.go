package engine

import (
	"slices"
	"sync"

	"github.com/cairn-feeds/cairn/bitmap"
)

// maxEventRuns bounds the runs of blocks that a subscription keeps per kind.
// Beyond it neighbouring runs are joined: a subscriber may then hear of blocks that
// did not change, never the other way round.
const maxEventRuns = 1024

// Events is what happened to a feed since a subscriber last looked, merged.
type Events struct {
	// Ready is set once, when the feed is open.
	Ready bool
	// Appended is set when the feed got longer, by an append or by a proof of a new
	// length. Length and ByteLength of the feed tell how far.
	Appended bool
	// Downloaded are blocks that arrived from others.
	Downloaded []bitmap.Run
	// Uploaded are blocks that were sent to others.
	Uploaded []bitmap.Run
	// Cleared are blocks that were freed.
	Cleared []bitmap.Run
	// Synced is set when a download made the feed complete. It is not when the feed
	// is writable.
	Synced bool
	// Offered is set when Feed.Offered grew.
	Offered bool
	// Closed is set when the handle was closed; nothing comes after it.
	Closed bool
	// Err is the last failure that is not the answer to somebody's call: a failed
	// store, a fork that was proved.
	Err error
}

// empty reports whether nothing happened.
func (e *Events) empty() bool {
	return !e.Ready && !e.Appended && !e.Synced && !e.Offered && !e.Closed && e.Err == nil &&
		len(e.Downloaded) == 0 && len(e.Uploaded) == 0 && len(e.Cleared) == 0
}

// A Subscription holds what happened until its owner takes it. It never blocks
// the feed and never grows without bound: what is not taken is merged.
type Subscription struct {
	feed   *Feed
	signal chan struct{} // holds one token while something is pending

	mu      sync.Mutex
	pending Events
	closed  bool
}

// Subscribe starts a subscription. Its first event is Ready. It ends with Close or
// with the handle.
func (f *Feed) Subscribe() *Subscription {
	s := &Subscription{feed: f, signal: make(chan struct{}, 1)}
	s.put(Events{Ready: true})
	l := f.live
	l.mu.Lock()
	if f.Readable() {
		subs := append(slices.Clone(l.subscriptions()), s)
		l.subs.Store(&subs)
	}
	l.mu.Unlock()
	if !f.Readable() {
		s.Close() // the handle was closed before or meanwhile
	}
	return s
}

// subscriptions returns those of all handles. The slice is never modified.
func (l *live) subscriptions() []*Subscription {
	if p := l.subs.Load(); p != nil {
		return *p
	}
	return nil
}

// broadcast adds the events to every subscription. Runs in them are copied.
func (l *live) broadcast(e Events) {
	for _, s := range l.subscriptions() {
		s.put(e)
	}
}

// endSubscriptions removes the subscriptions that match.
func (l *live) endSubscriptions(match func(*Subscription) bool) {
	var ended, kept []*Subscription
	l.mu.Lock()
	for _, s := range l.subscriptions() {
		if match(s) {
			ended = append(ended, s)
		} else {
			kept = append(kept, s)
		}
	}
	l.subs.Store(&kept)
	l.mu.Unlock()
	for _, s := range ended {
		s.end()
	}
}

// Signal returns a channel that delivers one value when there is something to
// take. Several events may share one value.
func (s *Subscription) Signal() <-chan struct{} { return s.signal }

// Take returns what happened since the last Take, and forgets it. The runs belong
// to the caller.
func (s *Subscription) Take() Events {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.pending
	s.pending = Events{}
	return e
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.feed.live.endSubscriptions(func(x *Subscription) bool { return x == s })
	s.end()
}

// end delivers the last event.
func (s *Subscription) end() {
	s.put(Events{Closed: true})
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}

// put merges what happened.
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
	p.Appended = p.Appended || e.Appended
	p.Synced = p.Synced || e.Synced
	p.Offered = p.Offered || e.Offered
	p.Closed = p.Closed || e.Closed
	if e.Err != nil {
		p.Err = e.Err
	}
	p.Downloaded = mergeRuns(p.Downloaded, e.Downloaded)
	p.Uploaded = mergeRuns(p.Uploaded, e.Uploaded)
	p.Cleared = mergeRuns(p.Cleared, e.Cleared)
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// mergeRuns returns the union of two sorted lists of runs. The result is bounded
// by maxEventRuns and does not alias b.
func mergeRuns(a, b []bitmap.Run) []bitmap.Run {
	if len(b) == 0 {
		return a
	}
	if n := len(a); n > 0 && len(b) == 1 && a[n-1].Start <= b[0].Start && b[0].Start <= a[n-1].End {
		a[n-1].End = max(a[n-1].End, b[0].End) // the common case: one after the other
		return a
	}
	out := make([]bitmap.Run, 0, len(a)+len(b))
	m := runMerger{yield: func(r bitmap.Run) bool { out = append(out, r); return true }}
	for len(a) > 0 || len(b) > 0 {
		next := &a
		if len(a) == 0 || len(b) > 0 && b[0].Start < a[0].Start {
			next = &b
		}
		m.add((*next)[0].Start, (*next)[0].End)
		*next = (*next)[1:]
	}
	m.flush()
	for len(out) > maxEventRuns {
		half := out[:0]
		for i := 0; i < len(out); i += 2 {
			r := out[i]
			if i+1 < len(out) {
				r.End = out[i+1].End
			}
			half = append(half, r)
		}
		out = half
	}
	return out
}
