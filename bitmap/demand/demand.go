package demand

import (
	"errors"
	"math"
	"slices"
	"sync"
)

// Unbounded is the End of a range that follows the feed as it grows.
const Unbounded = math.MaxUint64

// ErrNotAvailable is the outcome of an item with IfAvailable that no source can
// bring.
var ErrNotAvailable = errors.New("demand: not available from any source")

// Kind says what an [Item] waits for.
type Kind uint8

// The kinds of items.
const (
	// Get waits for the block Index.
	Get Kind = iota
	// Update waits until the feed is known to have the block Index, that is for
	// the length Index+1.
	Update
	// Seek waits until the block that holds the byte offset Bytes is known.
	Seek
	// Range waits until the blocks [Start, End), or those in Blocks, are present.
	Range
)

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case Get:
		return "get"
	case Update:
		return "update"
	case Seek:
		return "seek"
	case Range:
		return "range"
	}
	return "unknown"
}

// An Item is one thing that is waited for. It is plain data: copies are
// independent, except that Blocks is shared and must not be modified.
type Item struct {
	// ID numbers the items of one Demand in the order they were added, from 1.
	ID uint64
	// Kind selects which of the fields below count.
	Kind Kind
	// Index is the block of a Get or an Update.
	Index uint64
	// Bytes is the byte offset of a Seek.
	Bytes uint64
	// Start and End bound the blocks of a Range, and the blocks among which the
	// offset of a Seek is known to lie; half-open. End may be [Unbounded].
	Start, End uint64
	// Blocks, when not nil, is the sorted list of blocks of a Range; Start and
	// End then enclose it.
	Blocks []uint64
	// Linear asks for the blocks of a Range in ascending order instead of in
	// random order.
	Linear bool
	// HashOnly says that for an Update or a Seek the proof is enough: the block
	// itself is not wanted.
	HashOnly bool
	// Standing marks the range of a feed that downloads everything. It is never
	// settled; it goes when its owner removes it.
	Standing bool
	// IfAvailable makes the item fail with [ErrNotAvailable] when no source can
	// bring it.
	IfAvailable bool
}

// A Ticket is what the caller of [Demand.Add] waits on.
type Ticket struct {
	item Item
	done chan struct{}
	err  error // set before done is closed
}

// Item returns the item as it was added, with its ID.
func (t *Ticket) Item() Item { return t.item }

// Done is closed when the item was settled, failed or was removed.
func (t *Ticket) Done() <-chan struct{} { return t.done }

// Err tells how the item ended: nil when it was satisfied. It may be called only
// after Done is closed.
func (t *Ticket) Err() error { return t.err }

// A Demand is the set of items one feed waits for. The zero value is empty and
// ready. All methods may be called from any goroutine; none blocks.
type Demand struct {
	mu      sync.Mutex
	nextID  uint64
	urgent  []*Ticket // gets, updates and seeks, by ID
	ranges  []*Ticket // by ID
	sources []*Source
	changed chan struct{} // closed at the next change; nil until somebody asks
	closed  error
}

// Add starts to wait for the item and returns its ticket. The ID of the argument
// is ignored. After [Demand.Close] the ticket has already ended, with the reason
// of the close.
func (d *Demand) Add(item Item) *Ticket {
	t := &Ticket{item: item, done: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed != nil {
		t.end(d.closed)
		return t
	}
	d.nextID++
	t.item.ID = d.nextID
	list := d.list(item.Kind)
	*list = append(*list, t)
	if item.IfAvailable && !d.hopeLocked(t.item) {
		d.removeLocked(t, ErrNotAvailable)
		return t
	}
	d.signalLocked()
	return t
}

// Remove ends the item with err. A ticket that has already ended stays as it is.
func (d *Demand) Remove(t *Ticket, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removeLocked(t, err)
}

// Settle calls check for each item that is waiting and ends those for which it
// answers done, with the error it gives. Standing ranges are not asked about.
// check must not call the Demand.
func (d *Demand) Settle(check func(Item) (done bool, err error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ended := false
	keep := func(t *Ticket) bool {
		if t.item.Standing {
			return true
		}
		done, err := check(t.item)
		if done {
			t.end(err)
			ended = true
		}
		return !done
	}
	d.urgent = filter(d.urgent, keep)
	d.ranges = filter(d.ranges, keep)
	if ended {
		d.signalLocked()
	}
}

// Cancel ends with err the waiting gets and seeks inside [start, end) and the
// ranges, other than standing ones, that lie inside it. It returns how many.
func (d *Demand) Cancel(start, end uint64, err error) int {
	n := 0
	d.Settle(func(it Item) (bool, error) {
		switch it.Kind {
		case Get:
			if it.Index < start || it.Index >= end {
				return false, nil
			}
		case Seek, Range:
			if it.Start < start || it.End > end {
				return false, nil
			}
		default:
			return false, nil
		}
		n++
		return true, err
	})
	return n
}

// Close ends every item with the given reason, and those added later too.
func (d *Demand) Close(reason error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed != nil {
		return
	}
	d.closed = reason
	for _, t := range slices.Concat(d.urgent, d.ranges) {
		t.end(reason)
	}
	d.urgent, d.ranges = nil, nil
	d.signalLocked()
}

// Idle reports whether nothing is waited for, standing ranges included.
func (d *Demand) Idle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.urgent)+len(d.ranges) == 0
}

// Waiting reports whether anything but a standing range is waited for.
func (d *Demand) Waiting() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.urgent) > 0 || slices.ContainsFunc(d.ranges, func(t *Ticket) bool { return !t.item.Standing })
}

// Urgent appends the waiting gets, updates and seeks to dst, oldest first.
func (d *Demand) Urgent(dst []Item) []Item {
	d.mu.Lock()
	defer d.mu.Unlock()
	return appendItems(dst, d.urgent)
}

// Ranges appends the waiting ranges to dst, oldest first.
func (d *Demand) Ranges(dst []Item) []Item {
	d.mu.Lock()
	defer d.mu.Unlock()
	return appendItems(dst, d.ranges)
}

// Changed returns a channel that is closed when an item is added or ends. To
// miss nothing, take the channel before reading the items.
func (d *Demand) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.changed
}

func (d *Demand) list(k Kind) *[]*Ticket {
	if k == Range {
		return &d.ranges
	}
	return &d.urgent
}

// removeLocked ends a ticket that is still listed. d.mu must be held.
func (d *Demand) removeLocked(t *Ticket, err error) {
	list := d.list(t.item.Kind)
	i := slices.Index(*list, t)
	if i < 0 {
		return
	}
	*list = slices.Delete(*list, i, i+1)
	t.end(err)
	d.signalLocked()
}

// signalLocked wakes those who hold the channel of Changed. d.mu must be held.
func (d *Demand) signalLocked() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

func (t *Ticket) end(err error) {
	t.err = err
	close(t.done)
}

// filter keeps the tickets for which keep answers true, in place.
func filter(list []*Ticket, keep func(*Ticket) bool) []*Ticket {
	return slices.DeleteFunc(list, func(t *Ticket) bool { return !keep(t) })
}

func appendItems(dst []Item, list []*Ticket) []Item {
	dst = slices.Grow(dst, len(list))
	for _, t := range list {
		dst = append(dst, t.item)
	}
	return dst
}
