package rpc

import "net/netip"

const (
	natSamples = 16 // that are kept
	natLookup  = 4  // of the last ones, that a new one is compared with
)

// natSampler guesses our public address from what other nodes see of us. It counts
// how often the same address and port, and the same address alone, occur in the
// last sixteen samples. A new sample is compared with the last four only, so that
// hits follow a run of equal samples with few others between. All samples must
// agree while there are fewer than four, all but one below eight, but two below
// twelve, then but three.
type natSampler struct {
	// host and port are the answer. An invalid host means that samples do not agree;
	// port 0, that only their hosts do: our NAT picks a port per destination.
	host netip.Addr
	port uint16

	ring  []natPair // the newest is at top-1
	top   int
	pair  *natCount // with most hits so far
	hosts *natCount
}

type natPair struct{ pair, host *natCount }

type natCount struct {
	host netip.Addr
	port uint16
	hits int
}

func (s *natSampler) add(addr netip.AddrPort) {
	p := natPair{
		pair: s.bump(addr.Addr(), addr.Port(), func(p natPair) *natCount { return p.pair }),
		host: s.bump(addr.Addr(), 0, func(p natPair) *natCount { return p.host }),
	}
	if len(s.ring) < natSamples {
		s.ring = append(s.ring, p)
		s.top = len(s.ring)
	} else {
		s.top %= natSamples
		s.ring[s.top].pair.hits--
		s.ring[s.top].host.hits--
		s.ring[s.top] = p
		s.top++
	}
	if s.pair == nil || s.pair.hits < p.pair.hits {
		s.pair = p.pair
	}
	if s.hosts == nil || s.hosts.hits < p.host.hits {
		s.hosts = p.host
	}

	needed := len(s.ring) - min(len(s.ring)/4, 3)
	switch {
	case s.pair.hits >= needed:
		s.host, s.port = s.pair.host, s.pair.port
	case s.hosts.hits >= needed:
		s.host, s.port = s.hosts.host, 0
	default:
		s.host, s.port = netip.Addr{}, 0
	}
}

// bump counts a hit on one of the last samples, or starts a new count.
func (s *natSampler) bump(host netip.Addr, port uint16, of func(natPair) *natCount) *natCount {
	for i := 1; i <= min(natLookup, len(s.ring)); i++ {
		c := of(s.ring[(s.top-i+natSamples)%natSamples])
		if c.host == host && c.port == port {
			c.hits++
			return c
		}
	}
	return &natCount{host: host, port: port, hits: 1}
}
