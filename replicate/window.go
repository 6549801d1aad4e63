package replicate

import "time"

const (
	// minWindow is the number of requests under way to begin with, and at least.
	minWindow = 64
	// extraUrgent is how many more there may be for what somebody waits for.
	extraUrgent = 16
	// windowSlack is added to the round trip time: what the remote may be busy with
	// other things.
	windowSlack = 25 * time.Millisecond
)

// window says how many requests to have under way to a remote, so that it never
// waits for the next one: twice as many as it answers in a round trip. It grows by
// doubling, since a window that is too small is what limits the rate.
type window struct {
	size, max int

	rtt      time.Duration // shortest seen
	begun    int64         // of the interval in which answers are counted, in nanoseconds
	answers  int           // in the interval
	answered int64         // time of the last answer, or of the first request after a pause
}

func (w *window) init(limit int) {
	w.max = limit
	w.size = min(minWindow, limit)
}

// sent notes that a request was sent when none was under way.
func (w *window) sent(now int64) {
	w.answered = now
	w.begun = now
	w.answers = 0
}

// answer notes an answer to a request that was sent at a time.
func (w *window) answer(sent, now int64) {
	if rtt := time.Duration(now - sent); w.rtt == 0 || rtt < w.rtt {
		w.rtt = max(rtt, 1)
	}
	w.answered = now
	w.answers++
	interval := w.rtt + windowSlack
	if passed := time.Duration(now - w.begun); passed >= interval {
		perInterval := int(int64(w.answers) * int64(interval) / int64(passed))
		w.size = min(max(2*perInterval, minWindow), w.max)
		w.begun, w.answers = now, 0
		w.rtt += w.rtt / 16 // forget slowly: routes change
	} else if w.answers >= w.size {
		// More answers than requests at once: the interval is not even over.
		w.size = min(2*w.size, w.max)
	}
}
