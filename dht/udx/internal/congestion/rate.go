package congestion

import "time"

// Packet is what the estimator remembers with each packet in flight.
type Packet struct {
	sent          time.Duration // when this copy was sent
	firstSent     time.Duration // when the first packet of its sampling interval was sent
	deliveredTime time.Duration // when the latest packet delivered before it was acked
	delivered     int64         // bytes delivered when it was sent
	appLimited    bool
}

// rate estimates the delivery rate of the path. Between the sending of a packet
// and its acknowledgement, the bytes delivered divided by the time that took is
// a sample; the longer of the times that sending and acknowledging took is used,
// so that bunched acknowledgements do not look like bandwidth.
type rate struct {
	delivered     int64
	deliveredTime time.Duration
	firstSent     time.Duration
	// appLimited is the value of delivered at which the samples that were taken
	// while the sender had nothing to send have passed; 0 for none.
	appLimited int64
	cur        rateSample
}

// rateSample is gathered over all packets that one acknowledgement delivers.
type rateSample struct {
	valid      bool
	appLimited bool
	prior      int64 // delivered when the newest of the packets was sent
	priorTime  time.Duration
	newestSent time.Duration
	sendTook   time.Duration
	acked      int64 // bytes that this acknowledgement delivers
	bps        float64
}

// onSend stamps a packet that is about to be sent.
func (r *rate) onSend(now time.Duration, inflight int, p *Packet) {
	if inflight == 0 {
		r.firstSent, r.deliveredTime = now, now
	}
	*p = Packet{sent: now, firstSent: r.firstSent, deliveredTime: r.deliveredTime, delivered: r.delivered, appLimited: r.appLimited != 0}
}

// onDelivered counts a packet that an acknowledgement delivers.
func (r *rate) onDelivered(now time.Duration, p *Packet, size int) {
	r.delivered += int64(size)
	r.deliveredTime = now
	s := &r.cur
	s.acked += int64(size)
	// The sample is that of the packet sent last.
	if !s.valid || p.delivered > s.prior || (p.delivered == s.prior && p.sent >= s.newestSent) {
		s.valid = true
		s.appLimited = p.appLimited
		s.prior, s.priorTime = p.delivered, p.deliveredTime
		s.newestSent, s.sendTook = p.sent, p.sent-p.firstSent
		r.firstSent = p.sent
	}
}

// finish ends the acknowledgement and returns its sample; bps stays 0 when the
// interval is too short to be believed, that is, below the lowest round trip.
func (r *rate) finish(minRTT time.Duration) rateSample {
	s := r.cur
	r.cur = rateSample{}
	if r.appLimited != 0 && r.delivered > r.appLimited {
		r.appLimited = 0
	}
	if !s.valid {
		return s
	}
	took := max(s.sendTook, r.deliveredTime-s.priorTime)
	if took > 0 && took >= minRTT {
		s.bps = float64(r.delivered-s.prior) / took.Seconds()
	}
	return s
}
