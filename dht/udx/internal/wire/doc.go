// Package wire is the layout of UDX version 1 packets: one packet per
// datagram, all integers little-endian.
//
//		+-------+---------+-------+--------+--------+--------+-----+-----+
//		| magic | version | flags | offset | stream | window | seq | ack |
//		| 0xff  | 1       | 1     | 1      | 4      | 4      | 4   | 4   |
//		+-------+---------+-------+--------+--------+--------+-----+-----+
//		| offset bytes: zeros, or selective acks | payload               |
//		+----------------------------------------+-----------------------+
//
//	  - stream is the id that the receiver of the packet gave to the stream.
//	  - window is how many bytes the sender of the packet is willing to receive.
//	  - seq counts packets, not bytes. DATA and END consume one number (one
//	    together when both are set); every other packet carries the number that
//	    its sender will use next.
//	  - ack is the next number that the sender of the packet expects in order.
//	  - offset lets a receiver find the payload behind bytes it does not know:
//	    the zeros that blow a DATA packet up to a path MTU probe, at most 255.
//
// Flags combine; unknown ones are ignored. No flag at all is a plain
// acknowledgement.
//
//	0x01 DATA       the payload is a piece of the ordered stream
//	0x02 END        the sender has finished writing
//	0x04 SACK       selective acks follow the header
//	0x08 MESSAGE    the payload is an unordered message
//	0x10 DESTROY    the sender killed the stream
//	0x20 HEARTBEAT  please answer with an acknowledgement
//
// A selective ack is a run of packets that were received beyond ack, as two
// sequence numbers:
//
//	+-------+-------------------+
//	| start | end (not in it)   |
//	| 4     | 4                 |
//	+-------+-------------------+
//
// They fill the offset bytes, or everything behind the header when the offset
// is zero or reaches beyond the packet; bytes that do not fill a pair are
// ignored. Senders put them on acknowledgements only, with offset zero, ascending
// and disjoint.
package wire
