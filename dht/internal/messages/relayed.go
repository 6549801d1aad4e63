package messages

import (
	"net/netip"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// Handshake carries a Noise message between a client and a server that may not
// reach each other yet. It is the value of PeerHandshake.
type Handshake struct {
	Mode  Mode
	Noise []byte
	// PeerAddress is the other end as a relay saw it. Not valid means none.
	PeerAddress netip.AddrPort
	// RelayAddress is, from a client, the relay to use, and from a second relay the
	// first one. Not valid means none.
	RelayAddress netip.AddrPort
}

// Append appends the message to b.
func (m *Handshake) Append(b []byte) []byte {
	b = compact.AppendUint(b, flag(1, m.PeerAddress.IsValid())|flag(2, m.RelayAddress.IsValid()))
	b = compact.AppendUint(b, uint64(m.Mode))
	b = compact.AppendBuffer(b, m.Noise)
	b = appendOptional(b, m.PeerAddress)
	return appendOptional(b, m.RelayAddress)
}

// ParseHandshake decodes a Handshake, whose Noise aliases b.
func ParseHandshake(b []byte) (Handshake, error) {
	d := compact.NewDecoder(b)
	flags := d.Uint()
	m := Handshake{Mode: Mode(d.Uint()), Noise: d.Buffer()}
	if flags&1 != 0 {
		m.PeerAddress = d.IPv4Address()
	}
	if flags&2 != 0 {
		m.RelayAddress = d.IPv4Address()
	}
	if err := d.Err(); err != nil {
		return Handshake{}, malformed("handshake", err)
	}
	return m, nil
}

// Holepunch carries a sealed HolepunchPayload between client and server. It is the
// value of PeerHolepunch.
type Holepunch struct {
	Mode Mode
	// ID is what the server called the connection in its HolepunchInfo.
	ID uint64
	// Payload is what SealHolepunch made.
	Payload []byte
	// PeerAddress is, from a client, the server as the relay knows it, else the
	// other end as the relay saw it. Not valid means none.
	PeerAddress netip.AddrPort
}

// Append appends the message to b.
func (m *Holepunch) Append(b []byte) []byte {
	b = compact.AppendUint(b, flag(1, m.PeerAddress.IsValid()))
	b = compact.AppendUint(b, uint64(m.Mode))
	b = compact.AppendUint(b, m.ID)
	b = compact.AppendBuffer(b, m.Payload)
	return appendOptional(b, m.PeerAddress)
}

// ParseHolepunch decodes a Holepunch, whose Payload aliases b.
func ParseHolepunch(b []byte) (Holepunch, error) {
	d := compact.NewDecoder(b)
	flags := d.Uint()
	m := Holepunch{Mode: Mode(d.Uint()), ID: d.Uint(), Payload: d.Buffer()}
	if flags&1 != 0 {
		m.PeerAddress = d.IPv4Address()
	}
	if err := d.Err(); err != nil {
		return Holepunch{}, malformed("holepunch", err)
	}
	return m, nil
}

// flag returns bit if on, else zero.
func flag(bit uint64, on bool) uint64 {
	if on {
		return bit
	}
	return 0
}

// appendOptional appends an address unless it is not valid.
func appendOptional(b []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return b
	}
	return compact.AppendIPv4Address(b, a)
}

// presentAddresses reads an array whose presence has a meaning: it is not nil, even
// if it is empty.
func presentAddresses(d *compact.Decoder) []netip.AddrPort {
	if a := d.IPv4AddressArray(); a != nil {
		return a
	}
	return []netip.AddrPort{}
}
