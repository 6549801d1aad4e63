package messages

import (
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// Address is a public key and, perhaps, nodes that know the way to its owner.
type Address struct {
	Key [32]byte
	// Nodes is nil for none; empty is encoded.
	Nodes []netip.AddrPort
}

// Append appends the address to b.
func (a *Address) Append(b []byte) []byte {
	b = append(b, a.Key[:]...)
	b = compact.AppendUint(b, flag(1, a.Nodes != nil))
	if a.Nodes != nil {
		b = compact.AppendIPv4AddressArray(b, a.Nodes)
	}
	return b
}

// ParseAddress decodes an Address. A key alone is one too.
func ParseAddress(b []byte) (Address, error) {
	d := compact.NewDecoder(b)
	a := Address{Key: d.Fixed32()}
	if d.Len() > 0 && d.Uint()&1 != 0 {
		a.Nodes = presentAddresses(&d)
	}
	if err := d.Err(); err != nil {
		return Address{}, malformed("address", err)
	}
	return a, nil
}

// zBase32 is Zooko's base-32, with the bits in the order of RFC 4648.
var zBase32 = base32.NewEncoding("ybndrfg8ejkmcpqxot1uwisza345h769").WithPadding(base32.NoPadding)

// FormatKey returns a key as 52 characters of z-base-32.
func FormatKey(key [32]byte) string { return zBase32.EncodeToString(key[:]) }

// ParseKey reads a key of 64 hex characters or 52 of z-base-32, or a pear:// URL of
// either, whose path is ignored.
func ParseKey(text string) (key [32]byte, err error) {
	if rest, ok := strings.CutPrefix(text, "pear://"); ok {
		text, _, _ = strings.Cut(rest, "/")
	}
	var b []byte
	switch len(text) {
	case hex.EncodedLen(len(key)):
		b, err = hex.DecodeString(text)
	case zBase32.EncodedLen(len(key)):
		b, err = zBase32.DecodeString(text)
	default:
		err = fmt.Errorf("%d characters, want 64 of hex or 52 of z-base-32", len(text))
	}
	if err == nil && len(b) != len(key) {
		err = fmt.Errorf("%d bytes, want %d", len(b), len(key))
	}
	if err != nil {
		return [32]byte{}, malformed("public key", err)
	}
	return [32]byte(b), nil
}
