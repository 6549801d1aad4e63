// Package congestion decides how much a sender may have in flight and how fast
// it may send: BBR version 1, the algorithm of the reference implementation,
// which keeps its rate on lossy links where loss-based algorithms collapse.
//
// It models the path by two numbers. The bottleneck bandwidth is the highest
// delivery rate of the last ten round trips; the propagation delay is the lowest
// round-trip time of the last ten seconds. Their product is the amount in flight
// that fills the path without building a queue.
//
//	           filled pipe             in flight <= bdp
//	STARTUP ----------------> DRAIN ----------------------> PROBE_BW
//	gain 2.885                gain 1/2.885                  gains 1.25, 0.75, 1 x 6
//	   ^                                                        |
//	   |  not filled yet      PROBE_RTT      delay older than   |
//	   +--------------------- cwnd 4   <------------------------+
//	                          200 ms and   10 s
//	                          a round      (from any state)
//
// The algorithm follows the drafts "BBR Congestion Control"
// (draft-cardwell-iccrg-bbr-congestion-control-00) and "Delivery Rate
// Estimation" (draft-cheng-iccrg-delivery-rate-estimation-00), with the
// allowance for aggregated acknowledgements that Linux added later.
//
// Everything here is plain arithmetic on sizes in bytes and on instants, which
// are durations since an epoch of the caller's. Sizes are those of whole IP
// packets, so that small packets are not free.
package congestion
