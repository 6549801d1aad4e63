package messages

import (
	"crypto/rand"
	"errors"
	"net/netip"

	"golang.org/x/crypto/nacl/secretbox"

	"github.com/cairn-feeds/cairn/codec/compact"
	"github.com/cairn-feeds/cairn/dht/internal/hash"
)

// HolepunchPayload is what client and server tell each other while they open a way
// through their NATs.
type HolepunchPayload struct {
	Error    Error
	Firewall Firewall // of the sender
	// Round counts the client's messages; replies have the round of the message.
	Round uint64
	// Connected and Punching are what the sender has reached, or is doing.
	Connected, Punching bool
	// Addresses are the sender's, as others see the socket that it punches with.
	// Nil means that it does not say; empty is encoded.
	Addresses []netip.AddrPort
	// RemoteAddress is where the sender believes the receiver. Not valid means that
	// it does not say.
	RemoteAddress netip.AddrPort
	// Token is the sender's AddressToken of the receiver; RemoteToken is the one it
	// got, which proves that it receives what is sent to its address. Nil means none.
	Token, RemoteToken *[32]byte
}

const (
	punchConnected = 1 << iota
	punchPunching
	punchAddresses
	punchRemoteAddress
	punchToken
	punchRemoteToken
)

// Append appends the payload to b.
func (p *HolepunchPayload) Append(b []byte) []byte {
	b = compact.AppendUint(b, flag(punchConnected, p.Connected)|
		flag(punchPunching, p.Punching)|
		flag(punchAddresses, p.Addresses != nil)|
		flag(punchRemoteAddress, p.RemoteAddress.IsValid())|
		flag(punchToken, p.Token != nil)|
		flag(punchRemoteToken, p.RemoteToken != nil))
	b = compact.AppendUint(b, uint64(p.Error))
	b = compact.AppendUint(b, uint64(p.Firewall))
	b = compact.AppendUint(b, p.Round)
	if p.Addresses != nil {
		b = compact.AppendIPv4AddressArray(b, p.Addresses)
	}
	b = appendOptional(b, p.RemoteAddress)
	for _, token := range []*[32]byte{p.Token, p.RemoteToken} {
		if token != nil {
			b = append(b, token[:]...)
		}
	}
	return b
}

// ParseHolepunchPayload decodes a HolepunchPayload.
func ParseHolepunchPayload(b []byte) (HolepunchPayload, error) {
	d := compact.NewDecoder(b)
	flags := d.Uint()
	p := HolepunchPayload{
		Error:     Error(d.Uint()),
		Firewall:  Firewall(d.Uint()),
		Round:     d.Uint(),
		Connected: flags&punchConnected != 0,
		Punching:  flags&punchPunching != 0,
	}
	if flags&punchAddresses != 0 {
		p.Addresses = presentAddresses(&d)
	}
	if flags&punchRemoteAddress != 0 {
		p.RemoteAddress = d.IPv4Address()
	}
	if flags&punchToken != 0 {
		p.Token = fixed32(&d)
	}
	if flags&punchRemoteToken != 0 {
		p.RemoteToken = fixed32(&d)
	}
	if err := d.Err(); err != nil {
		return HolepunchPayload{}, malformed("holepunch payload", err)
	}
	return p, nil
}

func fixed32(d *compact.Decoder) *[32]byte {
	v := d.Fixed32()
	return &v
}

// HolepunchSecret is the key under which both ends of a handshake seal their
// payloads:
//
//	hash(handshake hash; ns(1))
func HolepunchSecret(handshakeHash *[64]byte) [32]byte {
	return hash.Keyed(handshakeHash[:], NSHolepunch[:])
}

const nonceSize = 24

// SealHolepunch appends p, sealed, to b:
//
//	+--------+-----+---------+
//	| nonce  | MAC | payload |    XSalsa20-Poly1305 (NaCl's secretbox)
//	| 24     | 16  |         |
//	+--------+-----+---------+
func SealHolepunch(b []byte, secret *[32]byte, p *HolepunchPayload) []byte {
	var nonce [nonceSize]byte
	rand.Read(nonce[:])
	return sealHolepunch(b, secret, &nonce, p)
}

func sealHolepunch(b []byte, secret *[32]byte, nonce *[nonceSize]byte, p *HolepunchPayload) []byte {
	return secretbox.Seal(append(b, nonce[:]...), p.Append(nil), nonce, secret)
}

// ErrUnsealed marks a holepunch payload that was not sealed with the secret.
var ErrUnsealed = errors.New("not sealed by the other end")

// OpenHolepunch decodes what SealHolepunch made. The error is ErrUnsealed or
// ErrMalformed.
func OpenHolepunch(sealed []byte, secret *[32]byte) (HolepunchPayload, error) {
	if len(sealed) < nonceSize {
		return HolepunchPayload{}, ErrUnsealed
	}
	b, ok := secretbox.Open(nil, sealed[nonceSize:], (*[nonceSize]byte)(sealed), secret)
	if !ok {
		return HolepunchPayload{}, ErrUnsealed
	}
	return ParseHolepunchPayload(b)
}

// AddressToken is the token for the peer at a host, of a connection with its own
// random secret:
//
//	hash(secret; host in ASCII)
func AddressToken(secret *[32]byte, host netip.Addr) [32]byte {
	return hash.Keyed(secret[:], host.Unmap().AppendTo(nil))
}
