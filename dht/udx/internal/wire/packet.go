package wire

import (
	"encoding/binary"
	"errors"
	"strings"
)

const (
	// HeaderSize is the length of the fixed part of a packet.
	HeaderSize = 20
	// MaxPadding is the most that the offset field can skip.
	MaxPadding = 255

	magic         = 0xff
	version       = 1
	streamOffset  = 4
	windowOffset  = 8
	seqOffset     = 12
	ackOffset     = 16
	sackBlockSize = 8
)

// ErrNotUDX is returned for datagrams that are something else: too short, or of
// another magic or version. On a shared socket they belong to somebody else.
var ErrNotUDX = errors.New("udx: not a UDX packet")

// ErrOffset is returned for packets whose data offset lies beyond their end.
var ErrOffset = errors.New("udx: data offset beyond the end of the packet")

// Flags say what a packet carries.
type Flags uint8

// The flags of version 1.
const (
	Data Flags = 1 << iota
	End
	Sack
	Message
	Destroy
	Heartbeat
)

var flagNames = [...]string{"DATA", "END", "SACK", "MESSAGE", "DESTROY", "HEARTBEAT", "0x40", "0x80"}

// Has reports whether any flag of mask is set.
func (f Flags) Has(mask Flags) bool { return f&mask != 0 }

// String lists the flags by name, joined by "|"; a packet without any is an ACK.
func (f Flags) String() string {
	if f == 0 {
		return "ACK"
	}
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}

// Header is the fixed part of a packet.
type Header struct {
	Flags  Flags
	Offset uint8  // bytes between the header and the payload
	Stream uint32 // the receiver's id of the stream
	Window uint32 // bytes the sender is willing to receive
	Seq    uint32 // its own number for DATA and END, else the next unused one
	Ack    uint32 // the next number the sender expects
}

// Append appends the 20 bytes of h to b. What the header announces (offset
// bytes, blocks, payload) is the caller's to append.
func (h Header) Append(b []byte) []byte {
	b = append(b, magic, version, byte(h.Flags), h.Offset)
	b = binary.LittleEndian.AppendUint32(b, h.Stream)
	b = binary.LittleEndian.AppendUint32(b, h.Window)
	b = binary.LittleEndian.AppendUint32(b, h.Seq)
	return binary.LittleEndian.AppendUint32(b, h.Ack)
}

// Packet is a parsed datagram. Its slices alias the datagram.
type Packet struct {
	Header
	// Blocks holds the selective acks, whole pairs only; see SackBlock.
	Blocks []byte
	// Payload is what follows the offset bytes. It means something only when
	// DATA or MESSAGE is set.
	Payload []byte
}

// Parse reads a datagram. It allocates nothing; the packet aliases b.
// The error is ErrNotUDX or ErrOffset.
func Parse(b []byte) (Packet, error) {
	if !Is(b) {
		return Packet{}, ErrNotUDX
	}
	p := Packet{Header: Header{
		Flags:  Flags(b[2]),
		Offset: b[3],
		Stream: binary.LittleEndian.Uint32(b[streamOffset:]),
		Window: binary.LittleEndian.Uint32(b[windowOffset:]),
		Seq:    binary.LittleEndian.Uint32(b[seqOffset:]),
		Ack:    binary.LittleEndian.Uint32(b[ackOffset:]),
	}}
	rest, skip := b[HeaderSize:], int(p.Offset)
	if skip > len(rest) {
		return Packet{}, ErrOffset
	}
	if p.Flags.Has(Sack) {
		blocks := rest
		if skip > 0 {
			blocks = rest[:skip]
		}
		p.Blocks = blocks[:len(blocks)/sackBlockSize*sackBlockSize]
	}
	p.Payload = rest[skip:]
	return p, nil
}

// Is reports whether b looks like a packet of this version. Whether it is one
// also depends on its stream id naming a live stream.
func Is(b []byte) bool {
	return len(b) >= HeaderSize && b[0] == magic && b[1] == version
}

// StreamID returns the stream id of a datagram for which Is is true.
func StreamID(b []byte) uint32 { return binary.LittleEndian.Uint32(b[streamOffset:]) }

// SetStreamID replaces the stream id in place, which is all that a relay does to
// a packet. Is must be true of b.
func SetStreamID(b []byte, id uint32) { binary.LittleEndian.PutUint32(b[streamOffset:], id) }
