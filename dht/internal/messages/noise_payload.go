package messages

import (
	"errors"
	"math"
	"net/netip"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// Version is that of the NoisePayload described here.
const Version = 1

// NoisePayload is what client and server tell each other within the Noise
// handshake.
type NoisePayload struct {
	// Version is set by ParseNoisePayload. If it is another than the constant, all
	// else is zero.
	Version  uint64
	Error    Error
	Firewall Firewall
	// Holepunch says how a server can be reached that is firewalled. Nil means that
	// it need not be, or cannot be.
	Holepunch *HolepunchInfo
	// Addresses4 are public and local addresses of the sender, Addresses6 as well,
	// though nobody uses them.
	Addresses4, Addresses6 []netip.AddrPort
	// UDX is the sender's end of the stream to be. Nil means that it has none.
	UDX *UDXInfo
	// SecretStream says that the stream is to be a secret one.
	SecretStream bool
	// RelayThrough asks for the connection to be relayed for as long as it must be.
	RelayThrough *RelayThroughInfo
	// RelayAddresses are nodes through which the sender can be reached. Nil means
	// that it does not say; empty is encoded.
	RelayAddresses []netip.AddrPort
}

// HolepunchInfo is how to begin a holepunch with a server.
type HolepunchInfo struct {
	// ID is what the server calls the connection.
	ID     uint64
	Relays []RelayInfo
}

// RelayInfo is a node that passes messages on.
type RelayInfo struct {
	// RelayAddress is the node, PeerAddress the server as that node sees it.
	RelayAddress, PeerAddress netip.AddrPort
}

// UDXInfo is one end of a UDX stream.
type UDXInfo struct {
	// ReusableSocket says that the socket stays open for a time after the stream.
	ReusableSocket bool
	// ID is the stream's, Seq its first sequence number.
	ID, Seq uint32
}

// RelayThroughInfo names a blind relay, and what it is to be asked for there.
type RelayThroughInfo struct {
	PublicKey [32]byte
	Token     [32]byte
}

const (
	payloadHolepunch = 1 << iota
	payloadAddresses4
	payloadAddresses6
	payloadUDX
	payloadSecretStream
	payloadRelayThrough
	payloadRelayAddresses
)

// Append appends the payload to b, as of the constant Version.
func (p *NoisePayload) Append(b []byte) []byte {
	b = compact.AppendUint(b, Version)
	b = compact.AppendUint(b, flag(payloadHolepunch, p.Holepunch != nil)|
		flag(payloadAddresses4, len(p.Addresses4) > 0)|
		flag(payloadAddresses6, len(p.Addresses6) > 0)|
		flag(payloadUDX, p.UDX != nil)|
		flag(payloadSecretStream, p.SecretStream)|
		flag(payloadRelayThrough, p.RelayThrough != nil)|
		flag(payloadRelayAddresses, p.RelayAddresses != nil))
	b = compact.AppendUint(b, uint64(p.Error))
	b = compact.AppendUint(b, uint64(p.Firewall))
	if h := p.Holepunch; h != nil {
		b = compact.AppendUint(b, h.ID)
		b = compact.AppendUint(b, uint64(len(h.Relays)))
		for _, r := range h.Relays {
			b = compact.AppendIPv4Address(b, r.RelayAddress)
			b = compact.AppendIPv4Address(b, r.PeerAddress)
		}
	}
	if len(p.Addresses4) > 0 {
		b = compact.AppendIPv4AddressArray(b, p.Addresses4)
	}
	if len(p.Addresses6) > 0 {
		b = compact.AppendIPv6AddressArray(b, p.Addresses6)
	}
	if u := p.UDX; u != nil {
		b = compact.AppendUint(b, 1) // version
		b = compact.AppendUint(b, flag(1, u.ReusableSocket))
		b = compact.AppendUint(b, uint64(u.ID))
		b = compact.AppendUint(b, uint64(u.Seq))
	}
	if p.SecretStream {
		b = compact.AppendUint(b, 1) // version
	}
	if r := p.RelayThrough; r != nil {
		b = compact.AppendUint(b, 1) // version
		b = compact.AppendUint(b, 0) // flags
		b = append(b, r.PublicKey[:]...)
		b = append(b, r.Token[:]...)
	}
	if p.RelayAddresses != nil {
		b = compact.AppendIPv4AddressArray(b, p.RelayAddresses)
	}
	return b
}

// ParseNoisePayload decodes a NoisePayload. One of another version is no error.
func ParseNoisePayload(b []byte) (NoisePayload, error) {
	d := compact.NewDecoder(b)
	p := NoisePayload{Version: d.Uint()}
	if d.Err() == nil && p.Version != Version {
		return p, nil
	}
	flags := d.Uint()
	p.Error = Error(d.Uint())
	p.Firewall = Firewall(d.Uint())
	if flags&payloadHolepunch != 0 {
		p.Holepunch = &HolepunchInfo{ID: d.Uint()}
		if n := d.ArrayLen(2 * compact.IPv4AddressSize); n > 0 {
			p.Holepunch.Relays = make([]RelayInfo, n)
		}
		for i := range p.Holepunch.Relays {
			p.Holepunch.Relays[i] = RelayInfo{RelayAddress: d.IPv4Address(), PeerAddress: d.IPv4Address()}
		}
	}
	if flags&payloadAddresses4 != 0 {
		p.Addresses4 = d.IPv4AddressArray()
	}
	if flags&payloadAddresses6 != 0 {
		p.Addresses6 = d.IPv6AddressArray()
	}
	var err error
	if flags&payloadUDX != 0 {
		d.Uint() // version
		p.UDX = &UDXInfo{ReusableSocket: d.Uint()&1 != 0}
		p.UDX.ID, p.UDX.Seq, err = decodeStream(&d)
	}
	if flags&payloadSecretStream != 0 {
		d.Uint() // version
		p.SecretStream = true
	}
	if flags&payloadRelayThrough != 0 {
		d.Uint() // version
		d.Uint() // flags
		p.RelayThrough = &RelayThroughInfo{PublicKey: d.Fixed32(), Token: d.Fixed32()}
	}
	if flags&payloadRelayAddresses != 0 {
		p.RelayAddresses = presentAddresses(&d)
	}
	if e := d.Err(); e != nil {
		err = e
	}
	if err != nil {
		return NoisePayload{}, malformed("noise payload", err)
	}
	return p, nil
}

// decodeStream reads id and seq of a UDX stream, which have 32 bits but are sent
// as uint.
func decodeStream(d *compact.Decoder) (id, seq uint32, err error) {
	a, b := d.Uint(), d.Uint()
	if max(a, b) > math.MaxUint32 {
		return 0, 0, errors.New("stream id or seq of more than 32 bits")
	}
	return uint32(a), uint32(b), d.Err()
}
