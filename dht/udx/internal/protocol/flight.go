package protocol

import (
	"math/bits"
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/congestion"
	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

const (
	minRing = 64
	// maxSpan bounds the packets between the oldest that is not acked and the
	// next to send, and with it what a peer can make us remember by
	// acknowledging everything but the first.
	maxSpan = 16384
	// keepRing is the largest ring that is kept when nothing is outstanding.
	keepRing = 64
)

type packetState uint8

const (
	delivered packetState = iota // acknowledged, in whichever way
	inFlight
	lost // waits to be sent again
)

// packet is what is remembered of a sequence number until it is acked.
type packet struct {
	rate   congestion.Packet
	sent   time.Duration // the latest transmission
	offset uint64        // of the payload in the send buffer
	size   uint16        // bytes of payload
	wire   uint16        // bytes of the IP packet of the latest transmission
	flags  wire.Flags    // Data, End
	sends  uint8         // transmissions, at most 255
	state  packetState
	probe  bool // the latest transmission is a path MTU probe

	// Neighbours by sequence number in the list of its state.
	prev, next uint32
}

// flight is every packet from una, the oldest one that is not acknowledged, up
// to next, the number that will be used next. Each one in it is delivered (above
// a hole), in flight, or lost.
//
// The packets in flight are linked in the order of their latest transmission,
// which is what loss detection by time needs (RFC 8985, section 6.2); the lost
// ones in the order in which they go out again.
type flight struct {
	una, next uint32
	ring      []packet // by seq modulo its length, a power of two
	pending   []uint64 // bit set of ring: in flight or lost
	sent      seqList
	lost      seqList

	bytes   int // of the packets in flight, as sizes on the wire
	payload int // likewise, their payloads only
	npend   int // how many are pending
}

// span is the number of packets between una and next.
func (f *flight) span() int { return int(f.next - f.una) }

// sacked is the number of packets delivered above a hole.
func (f *flight) sacked() int { return f.span() - f.npend }

func (f *flight) at(seq uint32) *packet { return &f.ring[seq&uint32(len(f.ring)-1)] }

// push takes the next sequence number for a packet, which the caller fills.
func (f *flight) push() (uint32, *packet) {
	if f.span() == len(f.ring) {
		f.grow()
	}
	seq := f.next
	f.next++
	p := f.at(seq)
	*p = packet{state: inFlight}
	f.setPending(seq)
	f.npend++
	return seq, p
}

func (f *flight) grow() {
	old, mask := f.ring, uint32(len(f.ring)-1)
	f.ring = make([]packet, max(minRing, 2*len(old)))
	f.pending = make([]uint64, len(f.ring)/64)
	for seq := f.una; seq != f.next; seq++ {
		p := old[seq&mask]
		*f.at(seq) = p
		if p.state != delivered {
			f.setPending(seq)
		}
	}
}

func (f *flight) setPending(seq uint32) {
	i := seq & uint32(len(f.ring)-1)
	f.pending[i/64] |= 1 << (i % 64)
}

// nextPending finds the first packet in [from, end) that is in flight or lost.
// It looks at 64 packets at a time, because every selective ack repeats runs
// that were acknowledged before.
func (f *flight) nextPending(from, end uint32) (uint32, bool) {
	for wire.SeqDiff(end, from) > 0 {
		i := from & uint32(len(f.ring)-1)
		if word := f.pending[i/64] >> (i % 64); word != 0 {
			from += uint32(bits.TrailingZeros64(word))
			return from, wire.SeqDiff(end, from) > 0
		}
		from += 64 - i%64
	}
	return 0, false
}

// highestPending finds the last packet that is in flight or lost.
func (f *flight) highestPending() (uint32, bool) {
	for seq := f.next; seq != f.una; {
		seq--
		if f.at(seq).state != delivered {
			return seq, true
		}
	}
	return 0, false
}

// transmit enters a packet as in flight, sent just now.
func (f *flight) transmit(seq uint32) {
	f.sent.pushBack(f, seq)
	p := f.at(seq)
	p.state = inFlight
	f.bytes += int(p.wire)
	f.payload += int(p.size)
}

// drop takes a pending packet out of the list it is in. It must be entered into
// another one, or be delivered.
func (f *flight) drop(seq uint32) {
	p := f.at(seq)
	if p.state == lost {
		f.lost.remove(f, seq)
		return
	}
	f.sent.remove(f, seq)
	f.bytes -= int(p.wire)
	f.payload -= int(p.size)
}

// markLost moves a packet in flight to those that wait to be sent again.
func (f *flight) markLost(seq uint32) {
	f.drop(seq)
	f.at(seq).state = lost
	f.lost.pushBack(f, seq)
}

// markDelivered ends the life of a pending packet.
func (f *flight) markDelivered(seq uint32) {
	f.drop(seq)
	f.at(seq).state = delivered
	i := seq & uint32(len(f.ring)-1)
	f.pending[i/64] &^= 1 << (i % 64)
	f.npend--
}

// advance moves una after everything before it was delivered.
func (f *flight) advance(una uint32) {
	f.una = una
	if f.una == f.next && len(f.ring) > keepRing {
		f.ring, f.pending = nil, nil
	}
}

// seqList is a doubly linked list of packets, through their prev and next.
type seqList struct {
	head, tail uint32
	n          int
}

func (l *seqList) pushBack(f *flight, seq uint32) {
	if l.n == 0 {
		l.head = seq
	} else {
		f.at(l.tail).next = seq
		f.at(seq).prev = l.tail
	}
	l.tail = seq
	l.n++
}

func (l *seqList) remove(f *flight, seq uint32) {
	p := f.at(seq)
	if seq == l.head {
		l.head = p.next
	} else {
		f.at(p.prev).next = p.next
	}
	if seq == l.tail {
		l.tail = p.prev
	} else {
		f.at(p.next).prev = p.prev
	}
	l.n--
}
