package rpc

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// MaxDatagram is the largest message that is sent or read, in bytes. It is what the
// sockets of the original receive at most.
const MaxDatagram = 2048

// First byte of a message: type in the upper four bits, version 3 in the lower.
const (
	requestHeader = 0x03
	replyHeader   = 0x13
)

// Flags, the second byte. Each announces a field, but for flagInternal.
const (
	flagID       = 1
	flagToken    = 2
	flagInternal = 4 // of a request: the command is one of the node's own
	flagCloser   = 4 // of a reply
	flagTarget   = 8 // of a request
	flagError    = 8 // of a reply
	flagValue    = 16
)

// Commands with flagInternal.
const (
	commandPing        = 0
	commandPingNAT     = 1
	commandFindNode    = 2
	commandDownHint    = 3
	commandDelayedPing = 4
)

const tokenSize = 32

// requestPacket is a request as it is on the wire. Nil slices are absent fields; a
// value may also be present and empty.
type requestPacket struct {
	tid      uint16
	to       netip.AddrPort // of the receiver, as the sender sees it
	id       []byte
	token    []byte
	internal bool
	command  uint64
	target   []byte
	value    []byte
}

func (p *requestPacket) size() int {
	n := 1 + 1 + 2 + compact.IPv4AddressSize + len(p.id) + len(p.token) + compact.UintSize(p.command) + len(p.target)
	if p.value != nil {
		n += compact.BufferSize(len(p.value))
	}
	return n
}

func (p *requestPacket) append(b []byte) []byte {
	b = append(b, requestHeader, flag(p.id != nil, flagID)|flag(p.token != nil, flagToken)|
		flag(p.internal, flagInternal)|flag(p.target != nil, flagTarget)|flag(p.value != nil, flagValue))
	b = compact.AppendUint16(b, p.tid)
	b = compact.AppendIPv4Address(b, p.to)
	b = append(b, p.id...)
	b = append(b, p.token...)
	b = compact.AppendUint(b, p.command)
	b = append(b, p.target...)
	if p.value != nil {
		b = compact.AppendBuffer(b, p.value)
	}
	return b
}

// decode reads a request. Its slices alias b. Bytes after the last field and
// unknown flags are left to later versions of the protocol.
func (p *requestPacket) decode(b []byte) error {
	d := compact.NewDecoder(b)
	if d.Uint8() != requestHeader {
		return fmt.Errorf("rpc: %w: not a request", ErrMalformed)
	}
	flags := d.Uint()
	p.tid = d.Uint16()
	p.to = d.IPv4Address()
	p.id = optional(&d, flags&flagID != 0, len(ID{}))
	p.token = optional(&d, flags&flagToken != 0, tokenSize)
	p.internal = flags&flagInternal != 0
	p.command = d.Uint()
	p.target = optional(&d, flags&flagTarget != 0, len(ID{}))
	p.value = nil
	if flags&flagValue != 0 {
		p.value = d.Buffer()
	}
	return malformed(d.Err())
}

// replyPacket is a reply as it is on the wire, likewise.
type replyPacket struct {
	tid    uint16
	to     netip.AddrPort // of the requester, as the responder sees it
	id     []byte
	token  []byte
	closer []byte // encoded IPv4 addresses, without their count
	code   Code
	value  []byte
}

func (p *replyPacket) size() int {
	n := 1 + 1 + 2 + compact.IPv4AddressSize + len(p.id) + len(p.token)
	if len(p.closer) > 0 {
		n += compact.UintSize(uint64(p.closerLen())) + len(p.closer)
	}
	if p.code != OK {
		n += compact.UintSize(uint64(p.code))
	}
	if p.value != nil {
		n += compact.BufferSize(len(p.value))
	}
	return n
}

func (p *replyPacket) closerLen() int { return len(p.closer) / compact.IPv4AddressSize }

func (p *replyPacket) append(b []byte) []byte {
	b = append(b, replyHeader, flag(p.id != nil, flagID)|flag(p.token != nil, flagToken)|
		flag(len(p.closer) > 0, flagCloser)|flag(p.code != OK, flagError)|flag(p.value != nil, flagValue))
	b = compact.AppendUint16(b, p.tid)
	b = compact.AppendIPv4Address(b, p.to)
	b = append(b, p.id...)
	b = append(b, p.token...)
	if len(p.closer) > 0 {
		b = compact.AppendUint(b, uint64(p.closerLen()))
		b = append(b, p.closer...)
	}
	if p.code != OK {
		b = compact.AppendUint(b, uint64(p.code))
	}
	if p.value != nil {
		b = compact.AppendBuffer(b, p.value)
	}
	return b
}

// decode reads a reply, as requestPacket.decode does a request.
func (p *replyPacket) decode(b []byte) error {
	d := compact.NewDecoder(b)
	if d.Uint8() != replyHeader {
		return fmt.Errorf("rpc: %w: not a reply", ErrMalformed)
	}
	flags := d.Uint()
	p.tid = d.Uint16()
	p.to = d.IPv4Address()
	p.id = optional(&d, flags&flagID != 0, len(ID{}))
	p.token = optional(&d, flags&flagToken != 0, tokenSize)
	p.closer = nil
	if flags&flagCloser != 0 {
		p.closer = d.Fixed(d.ArrayLen(compact.IPv4AddressSize) * compact.IPv4AddressSize)
	}
	p.code = OK
	if flags&flagError != 0 {
		p.code = Code(d.Uint())
	}
	p.value = nil
	if flags&flagValue != 0 {
		p.value = d.Buffer()
	}
	return malformed(d.Err())
}

// flag returns bit if a field is present.
func flag(present bool, bit byte) byte {
	if present {
		return bit
	}
	return 0
}

// optional reads a field of n bytes if it is present.
func optional(d *compact.Decoder, present bool, n int) []byte {
	if !present {
		return nil
	}
	return d.Fixed(n)
}

func malformed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("rpc: %w: %w", ErrMalformed, err)
}

// appendCloser appends one address as it is in a list of closer nodes.
func appendCloser(b []byte, addr netip.AddrPort) []byte { return compact.AppendIPv4Address(b, addr) }

// closerNodes returns the first of the encoded addresses, at most limit.
func closerNodes(b []byte, limit int) []netip.AddrPort {
	n := min(len(b)/compact.IPv4AddressSize, limit)
	if n == 0 {
		return nil
	}
	nodes := make([]netip.AddrPort, n)
	d := compact.NewDecoder(b)
	for i := range nodes {
		nodes[i] = d.IPv4Address()
	}
	return nodes
}

// Values of internal commands.

func appendPort(b []byte, port uint16) []byte { return binary.LittleEndian.AppendUint16(b, port) }

func decodePort(b []byte) (port uint16, ok bool) {
	if len(b) < 2 {
		return 0, false
	}
	port = binary.LittleEndian.Uint16(b)
	return port, port != 0
}

func appendDelay(b []byte, ms uint32) []byte { return binary.LittleEndian.AppendUint32(b, ms) }

func decodeDelay(b []byte) (ms uint32, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(b), true
}
