package simnet

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// Link is what the way from one address to another does to packets. The zero
// value delivers everything at once.
type Link struct {
	// Loss is the probability that a packet is dropped, 0 to 1.
	Loss float64
	// Delay is how long every packet takes. Jitter is the most that is added to
	// it, evenly distributed; packets whose delays differ may overtake each other.
	Delay, Jitter time.Duration
	// Reorder is the probability that a packet is held back for HoldBack, or for
	// 10 ms when that is zero.
	Reorder  float64
	HoldBack time.Duration
	// Duplicate is the probability that a packet arrives twice.
	Duplicate float64
	// Bandwidth is bytes per second, counted with 28 bytes of headers per packet.
	// Zero means no limit.
	Bandwidth int
	// Queue is how many bytes may wait for the bandwidth; more are dropped. Zero
	// means 64 KiB.
	Queue int
	// MTU is the size of the largest packet that passes, headers included. Zero
	// means no limit.
	MTU int
	// Hops is how much of a packet's time to live the link takes. Zero means 1.
	Hops int
	// Filter, when it is not nil, sees every packet first, and drops those for
	// which it returns false. It must not use the network.
	Filter func(p Packet) bool
}

const (
	headerBytes     = 20 + 8
	defaultQueue    = 64 << 10
	defaultHoldBack = 10 * time.Millisecond
)

// way is the state of the link from one address to another.
type way struct {
	random *rand.Rand
	busy   time.Time // when the last packet of the queue will have left
}

func newWay(seed uint64, from, to netip.Addr) *way {
	f, t := from.As16(), to.As16()
	h := seed
	for _, b := range append(f[:], t[:]...) {
		h = (h ^ uint64(b)) * 0x100000001b3 // FNV-1a: the same in every run
	}
	return &way{random: rand.New(rand.NewPCG(seed, h))}
}

// arrivals decides when a packet arrives: not at all, once or twice.
func (w *way) arrivals(l *Link, now time.Time, p *Packet) []time.Time {
	size := len(p.Data) + headerBytes
	if l.Filter != nil && !l.Filter(*p) {
		return nil
	}
	if p.TTL -= max(l.Hops, 1); p.TTL < 0 {
		return nil
	}
	if l.MTU > 0 && size > l.MTU || w.chance(l.Loss) {
		return nil
	}
	at := now
	if l.Bandwidth > 0 {
		queue := l.Queue
		if queue == 0 {
			queue = defaultQueue
		}
		start := now
		if w.busy.After(now) {
			start = w.busy
			waiting := start.Sub(now).Seconds() * float64(l.Bandwidth)
			if int(waiting)+size > queue {
				return nil
			}
		}
		at = start.Add(time.Duration(float64(size) / float64(l.Bandwidth) * float64(time.Second)))
		w.busy = at
	}
	arrivals := []time.Time{at.Add(w.delay(l))}
	if w.chance(l.Duplicate) {
		arrivals = append(arrivals, at.Add(w.delay(l)))
	}
	return arrivals
}

func (w *way) delay(l *Link) time.Duration {
	d := l.Delay
	if l.Jitter > 0 {
		d += time.Duration(w.random.Int64N(int64(l.Jitter)))
	}
	if w.chance(l.Reorder) {
		if l.HoldBack > 0 {
			d += l.HoldBack
		} else {
			d += defaultHoldBack
		}
	}
	return d
}

func (w *way) chance(p float64) bool { return p > 0 && w.random.Float64() < p }
