// Package protocol is one end of one UDX stream as plain code: packets, calls
// and instants go in, packets and instants come out. It owns no socket, no timer
// and no goroutine, reads no clock and takes no lock; package udx is the shell
// that does. See the documentation there for the protocol itself.
//
// The owner of a Stream, after anything it told it,
//
//   - calls Poll as long as Ready says so, and sends what it returns;
//   - calls Tick when the time that Deadline returned has come;
//   - reads what changed: Buffered, EOF, Writable, Message, Closed.
//
// Instants are durations since an epoch of the owner's. They are positive and
// never decrease.
//
// # States
//
// Each direction of a stream has its own:
//
//	sending    open --CloseWrite--> ending --END acked--> ended
//	receiving  open --END arrives--> ending --all before it arrived--> ended (EOF)
//
// A stream closes without an error when both are ended, with ErrReset when a
// DESTROY arrives, with ErrTimedOut when nothing comes back, and with the error
// given when it is destroyed here.
//
// Loss recovery has three states of its own: open, recovery (losses seen by
// their neighbours' acknowledgements, being repaired), and loss (the
// retransmission timer fired). Both end when everything that was outstanding at
// their beginning is acked.
//
// # Where things are
//
//	stream.go      the type, its calls, ends and closing
//	receive.go     a packet: data, END, DESTROY, messages, window, acknowledgement
//	reassembly.go  packets before their turn, selective acks
//	ack.go         what an acknowledgement delivers
//	rack.go        which packets are lost (RFC 8985), tail loss probes
//	timers.go      retransmission timeout, zero window, keep-alive, linger
//	send.go        what to send next, and packing it
//	mtu.go         path MTU discovery
//	remote.go      where packets go, and moving elsewhere
//	flight.go      packets that are outstanding
//	buffer.go      bytes to send and bytes to read
//	rtt.go         round-trip times
//	stats.go       counters
package protocol
