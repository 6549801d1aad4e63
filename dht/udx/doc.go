// Package udx is UDX, the transport of HyperDHT: reliable ordered streams of
// bytes and unreliable messages, many of them over one UDP socket that is shared
// with other protocols. There is no handshake and no encryption: two sides learn
// each other's stream id and address elsewhere and simply begin to send.
//
//	m := udx.New(nil)
//	sock, err := m.Attach(conn, &udx.SocketOptions{Handler: rpc.datagram})
//	s, err := m.NewStream(nil)                          // s.ID() goes to the remote
//	err = s.Connect(sock, udx.Remote{ID: id, Addr: addr})
//	s.Write(...)                                        // a net.Conn from here on
//
// # Packets
//
// One datagram holds one packet; integers are little-endian.
//
//	+-------+---------+-------+--------+--------+--------+-----+-----+
//	| magic | version | flags | offset | stream | window | seq | ack |
//	| 0xff  | 1       | 1     | 1      | 4      | 4      | 4   | 4   |
//	+-------+---------+-------+--------+--------+--------+-----+-----+
//	| offset bytes: zeros, or selective acks | payload               |
//	+----------------------------------------+-----------------------+
//
// stream is the receiver's id of the stream, window what the sender is willing to
// receive in bytes, ack the next packet that it expects. Sequence numbers count
// packets, begin at 0 unless both sides agree on something else, wrap at 32 bits
// and are compared by their signed difference. The flags, which combine:
//
//	0x01 DATA       payload of the ordered stream; has a number of its own
//	0x02 END        the sender has finished; has a number too, shared with DATA
//	0x04 SACK       runs of received packets above ack, as pairs [start, end)
//	0x08 MESSAGE    an unordered message, never acknowledged
//	0x10 DESTROY    the stream is dead, without regard to order
//	0x20 HEARTBEAT  please acknowledge
//
// Packets without a number of their own carry the next unused one. Retransmitted
// packets keep number and payload; window and ack are always those of now.
//
// # Receiving
//
// A datagram is a packet when it has 20 bytes, begins with ff 01, and names a
// live stream. Everything else on the socket goes to its handler, packets of
// unknown streams included. A packet that arrives on another socket than that of
// its stream, as all do before the stream is connected, is shown to the firewall
// first. The source address of a packet does not matter otherwise; answers go to
// the address that the stream was connected to.
//
//  1. HEARTBEAT: acknowledge, and that is all.
//  2. When seq is not older than expected: DATA and END are delivered when their
//     turn comes; DESTROY closes the stream with ErrReset.
//  3. MESSAGE: hand it over.
//  4. An ack beyond what was sent: stop here.
//  5. The window is taken from the packet, unless it is older than the one that
//     the present window came from.
//  6. Acknowledgements, cumulative then selective; losses; congestion control.
//  7. DATA and END are acknowledged, also when they were old. Packets that were
//     read from the socket together are acknowledged together.
//
// We offer the room that is left in the receive buffer, counting what came before
// its turn, and drop what exceeds it. The reference offers 4 MiB at all times.
//
// # Ends
//
// A stream closes without an error when each side has ended and has had its END
// acknowledged; Close and CloseWrite both end. Destroy sends a single DESTROY. For
// 15 seconds after a clean end, repeated packets of the remote are acknowledged as
// if the stream were there, since the last acknowledgement may have been lost; the
// reference does not do that and then fails with a timeout after 13 s.
//
// # Sending
//
// Losses are found by RACK with tail loss probes (RFC 8985) and repaired with
// selective acks. The retransmission timeout is that of RFC 6298, at least a
// second; repeated timeouts come at a little more than twice that, and the seventh
// in a row ends the stream with ErrTimedOut. Congestion control is BBR, paced. The path MTU is
// probed from 1,200 in steps of 32 up to 1,500, by DATA packets with zeros in
// front of their payload. A closed window is probed with heartbeats for ever.
//
// # Sockets and goroutines
//
// A Mux has one goroutine that sends and one per socket that receives. On Linux
// these use recvmmsg and sendmmsg and let the system cut and join trains of
// packets (UDP_SEGMENT, UDP_GRO) where it can; elsewhere, and for packet sockets
// that are not of the system, they send and receive packet by packet. The state of
// a stream is plain code in internal/protocol, behind the stream's lock; locks are
// taken in the order stream, then sender, socket or mux, and none is held during a
// callback.
//
// The protocol is version 1, as spoken by udx-native 1.21.
package udx
