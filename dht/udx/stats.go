package udx

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

// Stats returns those of now.
func (s *Stream) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats(s.proto.Stats())
}
