package demand

import "slices"

// A Source is somebody who may still bring what is waited for.
type Source struct {
	d       *Demand
	pending int             // answers outstanding; guarded by d.mu
	can     func(Item) bool // guarded by d.mu
}

// Attach adds a source with one answer outstanding (it has yet to say what it
// has). can tells whether, by what the source knows now, it could satisfy an item;
// it is called with the Demand locked and must not call it.
func (d *Demand) Attach(can func(Item) bool) *Source {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &Source{d: d, pending: 1, can: can}
	d.sources = append(d.sources, s)
	return s
}

// Expect counts one more answer that is outstanding.
func (s *Source) Expect() {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.pending++
}

// Answered counts one answer as received. When none is outstanding any more,
// items that nobody can bring fail.
func (s *Source) Answered() {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.pending > 0 {
		s.pending--
	}
	s.d.giveUpLocked()
}

// Detach removes the source. It may be called more than once.
func (s *Source) Detach() {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.d.sources = slices.DeleteFunc(s.d.sources, func(x *Source) bool { return x == s })
	s.d.giveUpLocked()
}

// Sources returns how many sources are attached.
func (d *Demand) Sources() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.sources)
}

// hopeLocked reports whether a source could still bring the item. d.mu must be
// held.
func (d *Demand) hopeLocked(it Item) bool {
	return slices.ContainsFunc(d.sources, func(s *Source) bool { return s.pending > 0 || s.can(it) })
}

// giveUpLocked ends the items that wait for nobody. d.mu must be held.
func (d *Demand) giveUpLocked() {
	ended := false
	keep := func(t *Ticket) bool {
		if !t.item.IfAvailable || d.hopeLocked(t.item) {
			return true
		}
		t.end(ErrNotAvailable)
		ended = true
		return false
	}
	d.urgent = filter(d.urgent, keep)
	d.ranges = filter(d.ranges, keep)
	if ended {
		d.signalLocked()
	}
}
