package rpc

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// requestTimeout is how long a request waits before it is sent again, unless an
// adaptive timeout knows better.
const requestTimeout = time.Second

// AdaptiveTimeout replaces the timeout of one second per send by one that follows
// the round-trip times of each node. The zero value works.
//
// A node's average a and deviation v start at its first round-trip time t with
// a = t and v = t/2. Later times, of requests sent at most twice, move them by
// v += (|a-t|-v)/4 and a += (t-a)/8. The timeout of the n-th send is n(a+2v) and a
// random jitter, kept within Min and Max. For nodes without a sample it comes from
// Unknown.
type AdaptiveTimeout struct {
	// Min is the shortest timeout. Zero means 300 ms.
	Min time.Duration
	// Max is the longest timeout. Zero means 4 s.
	Max time.Duration
	// Jitter is added to each timeout, at random, up to but not including itself.
	// Zero means 256 ms; negative means none.
	Jitter time.Duration
	// Unknown are the timeouts for nodes without samples, one per send, the last for
	// all that follow. Empty means 250 ms, 500 ms, 1 s, 2 s, 4 s.
	Unknown []time.Duration
	// MaxNodes bounds how many nodes are remembered. Zero means 65536.
	MaxNodes int
	// MaxAge is how long a node is remembered that is not asked again. Zero means 10
	// minutes.
	MaxAge time.Duration
}

func (o AdaptiveTimeout) withDefaults() AdaptiveTimeout {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.Min, 300*time.Millisecond)
	def(&o.Max, 4*time.Second)
	def(&o.Jitter, 256*time.Millisecond)
	def(&o.MaxAge, 10*time.Minute)
	if len(o.Unknown) == 0 {
		o.Unknown = []time.Duration{
			250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second,
		}
	}
	if o.MaxNodes == 0 {
		o.MaxNodes = 65536
	}
	return o
}

// rtt is what is known of one node.
type rtt struct{ average, deviation time.Duration }

// estimator holds the round-trip times of nodes in two generations. The older one
// is dropped when the younger is full or old, and reading moves to the younger one,
// so that memory is bounded and what is in use stays.
type estimator struct {
	opts         AdaptiveTimeout
	young, older map[netip.AddrPort]rtt
	turned       time.Time
}

func newEstimator(o AdaptiveTimeout) *estimator {
	return &estimator{opts: o.withDefaults(), young: make(map[netip.AddrPort]rtt)}
}

func (e *estimator) get(now time.Time, addr netip.AddrPort) (rtt, bool) {
	if v, ok := e.young[addr]; ok {
		return v, true
	}
	v, ok := e.older[addr]
	if ok {
		e.set(now, addr, v)
	}
	return v, ok
}

func (e *estimator) set(now time.Time, addr netip.AddrPort, v rtt) {
	_, known := e.young[addr]
	if !known && len(e.young) >= max(1, e.opts.MaxNodes/2) || now.Sub(e.turned) >= e.opts.MaxAge {
		e.older, e.young, e.turned = e.young, make(map[netip.AddrPort]rtt), now
	}
	e.young[addr] = v
}

// observe counts a round trip to addr.
func (e *estimator) observe(now time.Time, addr netip.AddrPort, t time.Duration) {
	v, ok := e.get(now, addr)
	if !ok {
		v = rtt{average: t, deviation: t / 2}
	} else {
		v.deviation += ((v.average - t).Abs() - v.deviation) / 4
		v.average += (t - v.average) / 8
	}
	e.set(now, addr, v)
}

// timeout returns how long to wait after sending to addr for the attempt-th time,
// counted from 1.
func (e *estimator) timeout(now time.Time, addr netip.AddrPort, attempt int) time.Duration {
	jitter := time.Duration(0)
	if e.opts.Jitter > 0 {
		jitter = rand.N(e.opts.Jitter)
	}
	v, ok := e.get(now, addr)
	if !ok {
		return e.opts.Unknown[min(attempt, len(e.opts.Unknown))-1] + jitter
	}
	t := (v.average+2*v.deviation)*time.Duration(attempt) + jitter
	return min(max(t, e.opts.Min), e.opts.Max)
}
