package udx

import (
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

const (
	// lingerTime is how long a cleanly closed id is remembered: longer than the
	// 13 s that a remote goes on repeating an END whose acknowledgement was lost.
	lingerTime = 15 * time.Second
	// maxLingering bounds the ids remembered; the oldest go first.
	maxLingering = 4096
)

// finished is what is left of a stream that ended cleanly.
type finished struct {
	ack   wire.Header
	via   *route
	until time.Duration
}

// lingering remembers finished streams. It has no timer: entries leave when
// others come, and are not answered once their time is over.
type lingering struct {
	byID  map[uint32]finished
	order []uint32 // oldest first; may name ids that were removed
}

func (l *lingering) add(id uint32, f finished) {
	if l.byID == nil {
		l.byID = make(map[uint32]finished)
	}
	now := f.until - lingerTime
	drop := 0
	for ; drop < len(l.order); drop++ {
		old, ok := l.byID[l.order[drop]]
		if ok && old.until > now && len(l.order)-drop < maxLingering {
			break
		}
		delete(l.byID, l.order[drop])
	}
	l.order = append(l.order[:0], l.order[drop:]...)
	l.order = append(l.order, id)
	l.byID[id] = f
}

func (l *lingering) remove(id uint32) { delete(l.byID, id) }

func (l *lingering) get(id uint32, now time.Duration) (finished, bool) {
	f, ok := l.byID[id]
	return f, ok && f.until > now
}
