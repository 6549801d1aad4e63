package protocol

import (
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/congestion"
)

// Bounds of the retransmission timeout and of what is believed of a sample, as
// in the reference.
const (
	initialRTO   = time.Second
	minRTO       = time.Second
	maxRTO       = 30 * time.Second
	maxRTT       = 30 * time.Second
	suspendedRTT = 5 * time.Second
	minRTTWindow = 300 * time.Second
)

// rttEstimator keeps the smoothed round-trip time and what follows from it
// (RFC 6298, with 1/8 and 1/4).
type rttEstimator struct {
	smoothed time.Duration // 0 before the first sample
	variance time.Duration
	rto      time.Duration
	lowest   congestion.MinFilter
}

func newRTTEstimator() rttEstimator {
	return rttEstimator{rto: initialRTO, lowest: congestion.NewMinFilter(int64(minRTTWindow))}
}

// sample adds one measurement. A machine that was suspended with packets in
// flight measures its nap: such samples are cut down.
func (r *rttEstimator) sample(now, rtt time.Duration) {
	r.lowest.Update(int64(now), int64(rtt))
	if r.smoothed == 0 {
		rtt = min(max(rtt, 1), maxRTT)
		r.smoothed, r.variance = rtt, rtt/2
	} else {
		if credible := r.smoothed + 5*r.variance; rtt > suspendedRTT && rtt > credible {
			rtt = min(credible, maxRTT)
		}
		r.variance = (3*r.variance + (r.smoothed - rtt).Abs()) / 4
		r.smoothed = max((7*r.smoothed+rtt)/8, 1)
	}
	r.rto = min(max(r.smoothed+4*r.variance, minRTO), maxRTO)
}

// min is the lowest round trip of the last 300 s, 0 before the first.
func (r *rttEstimator) min() time.Duration { return time.Duration(r.lowest.Value()) }
