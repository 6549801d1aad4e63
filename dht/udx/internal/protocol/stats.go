package protocol

import "time"

// Stats are counters and estimates of a stream.
type Stats struct {
	BytesSent, BytesReceived     uint64 // whole UDP payloads
	PacketsSent, PacketsReceived uint64
	Retransmits                  uint64        // packets sent again
	FastRecoveries               uint64        // times that losses were seen by later packets' acknowledgements
	Timeouts                     uint64        // times that they were not
	RTT                          time.Duration // smoothed; 0 when unknown
	MinRTT                       time.Duration // lowest of the last 300 s; 0 when unknown
	MTU                          int           // size of an IP packet that is known to pass
	CongestionWindow             int           // bytes, as IP packets
	InFlight                     int           // likewise
	Bandwidth                    float64       // estimate of the bottleneck, bytes per second
}

// Stats returns the present ones.
func (s *Stream) Stats() Stats {
	st := s.stats
	st.RTT, st.MinRTT = s.rtt.smoothed, s.rtt.min()
	st.MTU = s.mtu.size
	st.CongestionWindow = s.cc.Window()
	st.InFlight = s.flight.bytes
	st.Bandwidth = s.cc.Bandwidth()
	return st
}

// CountRelayed counts a packet of n bytes that arrived and was passed on.
func (s *Stream) CountRelayed(n int) {
	s.stats.PacketsReceived++
	s.stats.BytesReceived += uint64(n)
}
