package rpc

import "time"

// congestionSlot is how long one slot of a congestion window is current.
const congestionSlot = 750 * time.Millisecond

// congestion limits how many requests are sent before others are answered. It
// counts sends less answers in the current one of four slots of 750 ms; what a slot
// holds is forgotten three seconds after it began. Time is only looked at when
// something is counted.
type congestion struct {
	limit int // of the current slot; twice as much in all
	slots [4]int
	total int
	i     int       // current slot
	began time.Time // when it became current
}

func (w *congestion) advance(now time.Time) {
	passed := now.Sub(w.began) / congestionSlot
	if passed <= 0 {
		return
	}
	if passed >= time.Duration(len(w.slots)) {
		w.reset(now)
		return
	}
	w.began = w.began.Add(passed * congestionSlot)
	for range passed {
		w.i = (w.i + 1) % len(w.slots)
		w.total -= w.slots[w.i]
		w.slots[w.i] = 0
	}
}

// reset forgets everything that was counted.
func (w *congestion) reset(now time.Time) {
	w.slots, w.total, w.i, w.began = [4]int{}, 0, 0, now
}

// full reports whether a request has to wait.
func (w *congestion) full(now time.Time) bool {
	w.advance(now)
	return w.slots[w.i] >= w.limit || w.total >= 2*w.limit
}

// sent counts a request, first or repeated.
func (w *congestion) sent(now time.Time) {
	w.advance(now)
	w.slots[w.i]++
	w.total++
}

// settled counts the end of a request, answered or given up.
func (w *congestion) settled(now time.Time) {
	w.advance(now)
	if w.slots[w.i] > 0 {
		w.slots[w.i]--
		w.total--
	}
}

// next returns when the current slot ends.
func (w *congestion) next() time.Time { return w.began.Add(congestionSlot) }
