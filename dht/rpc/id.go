package rpc

import (
	"bytes"
	"encoding/hex"
	"math/bits"
	"net/netip"

	"golang.org/x/crypto/blake2b"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// ID is a point of the key space: the id of a node, or the target of a query. The
// zero ID stands for none; no address hashes to it.
type ID [32]byte

// IDOf returns the id of the node at addr, which is BLAKE2b-256 of its encoded
// IPv4 address and port. Only who knows its public address can therefore claim an
// id, and only the one that belongs there. Without an IPv4 address it is zero.
func IDOf(addr netip.AddrPort) ID {
	if !isIPv4(addr.Addr()) {
		return ID{}
	}
	var buf [compact.IPv4AddressSize]byte
	return blake2b.Sum256(compact.AppendIPv4Address(buf[:0], addr))
}

// IsZero reports whether id stands for none.
func (id ID) IsZero() bool { return id == ID{} }

// String returns id in hex.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// distance returns the XOR of two ids, which orders as a big-endian number.
func (id ID) distance(other ID) (d ID) {
	for i := range d {
		d[i] = id[i] ^ other[i]
	}
	return d
}

// compare orders ids, and distances, as big-endian numbers.
func (id ID) compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// commonPrefix returns how many leading bits two ids share, at most 255, so that
// it may index a row of the routing table.
func (id ID) commonPrefix(other ID) int {
	for i := range id {
		if x := id[i] ^ other[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8*len(id) - 1
}

// isIPv4 reports whether ip can be written into a message.
func isIPv4(ip netip.Addr) bool { return ip.Is4() || ip.Is4In6() }

// plain returns addr without an IPv6 mapping, so that equal addresses compare
// equal.
func plain(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}
