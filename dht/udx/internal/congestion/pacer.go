package congestion

import "time"

// pacer is a bucket that fills at the pacing rate and may be overdrawn by one
// packet. It holds two quanta: timers that are late by less than a quantum then
// cost no bandwidth.
type pacer struct {
	tokens float64
	last   time.Duration
	begun  bool
}

func (p *pacer) fill(now time.Duration, rate float64, quantum int) {
	full := float64(2 * quantum)
	if !p.begun {
		p.begun, p.tokens = true, full
	} else {
		p.tokens = min(p.tokens+rate*(now-p.last).Seconds(), full)
	}
	p.last = now
}

func (p *pacer) onSend(now time.Duration, size int, rate float64, quantum int) {
	p.fill(now, rate, quantum)
	p.tokens -= float64(size)
}

// sendAt is when the bucket will hold something again. When that is in the
// future it waits for a whole quantum, so that a fast sender is woken once a
// quantum and not for every packet.
func (p *pacer) sendAt(now time.Duration, rate float64, quantum int) time.Duration {
	p.fill(now, rate, quantum)
	if p.tokens > 0 || rate <= 0 {
		return now
	}
	wait := (float64(quantum) - p.tokens) / rate
	return now + time.Duration(wait*float64(time.Second))
}
