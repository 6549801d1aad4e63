package rpc

// Health is what the node makes of the answers it gets.
type Health uint8

const (
	// Online: requests are answered, or there were too few to tell.
	Online Health = iota
	// Degraded: more than half of the requests timed out in each of four ticks.
	Degraded
	// Offline: two ticks went by without any answer.
	Offline
)

func (h Health) String() string {
	switch h {
	case Online:
		return "online"
	case Degraded:
		return "degraded"
	case Offline:
		return "offline"
	default:
		return "invalid"
	}
}

const (
	healthWindow  = 4 // ticks
	healthMinimum = 4 // answers and timeouts, for a tick to count
	offlineTicks  = 2
)

// healthMonitor judges the network by the answers and timeouts of each tick.
//
//	            2 ticks without answer            4 ticks, all over half timeouts
//	Offline <---------------------------- Online ---------------------------------> Degraded
//	        ---------------------------->        <---------------------------------
//	            a tick with answers               4 ticks, none over half timeouts
//
// Degraded goes to Offline as Online does.
type healthMonitor struct {
	state   Health
	ticks   int // since the last reset, up to healthWindow
	last    [2]int
	silent  int // ticks without an answer, in a row
	bad     int // ticks with mostly timeouts, in a row
	healthy int // other ticks, in a row
}

// update looks at a tick that ended, given the number of answers and timeouts since
// the node began.
func (h *healthMonitor) update(answers, timeouts int) {
	a, t := answers-h.last[0], timeouts-h.last[1]
	h.last = [2]int{answers, timeouts}
	if h.ticks < healthWindow {
		h.ticks++
	}
	if h.ticks < healthWindow || a+t < healthMinimum {
		return
	}

	switch {
	case a == 0:
		h.silent, h.bad, h.healthy = h.silent+1, 0, 0
	case t > a:
		h.silent, h.bad, h.healthy = 0, h.bad+1, 0
	default:
		h.silent, h.bad, h.healthy = 0, 0, h.healthy+1
	}
	switch {
	case h.silent >= offlineTicks:
		h.state = Offline
	case h.bad >= healthWindow:
		h.state = Degraded
	case h.state == Offline && h.silent == 0, h.healthy >= healthWindow:
		h.state = Online
	}
}

// reset forgets what was seen, as after a change of networks, and assumes the best.
func (h *healthMonitor) reset() {
	*h = healthMonitor{last: h.last}
}
