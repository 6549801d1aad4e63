package compact

import "net/netip"

// Encoded sizes of addresses.
const (
	IPv4AddressSize = 4 + 2
	IPv6AddressSize = 16 + 2
)

const (
	familyIPv4 = 4
	familyIPv6 = 6
)

// AppendIPv4Address appends an address and port. It panics unless the address is
// IPv4, plain or mapped into IPv6.
func AppendIPv4Address(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr().As4()
	return AppendUint16(append(b, ip[:]...), a.Port())
}

// AppendIPv6Address appends an address and port, an IPv4 one mapped into IPv6.
// A zone is lost. It panics if a has no address.
func AppendIPv6Address(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr().As16()
	return AppendUint16(append(b, ip[:]...), a.Port())
}

// AppendIPAddress appends an address of either family, marked with it. An IPv4
// address mapped into IPv6 stays IPv6. It panics if a has no address.
func AppendIPAddress(b []byte, a netip.AddrPort) []byte {
	if a.Addr().Is4() {
		return AppendIPv4Address(append(b, familyIPv4), a)
	}
	return AppendIPv6Address(append(b, familyIPv6), a)
}

// IPv4Address reads an IPv4 address and port. Neither is checked: 0.0.0.0 and
// port 0 are returned as they are.
func (d *Decoder) IPv4Address() netip.AddrPort { return d.ipv4Address("ipv4 address", len(d.b)) }

func (d *Decoder) ipv4Address(typ string, left int) netip.AddrPort {
	ip, port := d.take(4, typ, left), d.uint16(typ, left)
	if d.err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip)), port)
}

// IPv6Address reads an IPv6 address and port.
func (d *Decoder) IPv6Address() netip.AddrPort { return d.ipv6Address("ipv6 address", len(d.b)) }

func (d *Decoder) ipv6Address(typ string, left int) netip.AddrPort {
	ip, port := d.take(16, typ, left), d.uint16(typ, left)
	if d.err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(ip)), port)
}

// IPAddress reads an address of either family. A family byte other than 4 and 6 is
// an error.
func (d *Decoder) IPAddress() netip.AddrPort {
	const typ = "ip address"
	left := len(d.b)
	family := d.take(1, typ, left)
	if family == nil {
		return netip.AddrPort{}
	}
	switch family[0] {
	case familyIPv4:
		return d.ipv4Address(typ, left)
	case familyIPv6:
		return d.ipv6Address(typ, left)
	default:
		d.fail(typ, left, ErrFamily)
		return netip.AddrPort{}
	}
}
