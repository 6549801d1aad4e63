package compact

import "net/netip"

// MaxArray is the largest count of elements that an array may announce.
const MaxArray = 1 << 20

// ArrayLen reads the count of an array whose elements take at least minSize bytes
// each (at least 1). A count that the rest of the input cannot hold is an error,
// so that the caller may allocate for the result. The elements come next.
func (d *Decoder) ArrayLen(minSize int) int {
	const typ = "array"
	left := len(d.b)
	n := d.uint(typ, left)
	switch {
	case n > MaxArray:
		d.fail(typ, left, ErrArrayTooBig)
	case n > uint64(len(d.b)/minSize):
		d.fail(typ, left, ErrOutOfBounds)
	}
	if d.err != nil {
		return 0
	}
	return int(n)
}

// AppendUintArray appends an array of uints. It panics if one is above MaxUint.
func AppendUintArray(b []byte, a []uint64) []byte {
	b = AppendUint(b, uint64(len(a)))
	for _, v := range a {
		b = AppendUint(b, v)
	}
	return b
}

// UintArray reads an array of uints, nil if it is empty.
func (d *Decoder) UintArray() []uint64 { return array(d, 1, (*Decoder).Uint) }

// AppendBufferArray appends an array of buffers.
func AppendBufferArray(b []byte, a [][]byte) []byte {
	b = AppendUint(b, uint64(len(a)))
	for _, v := range a {
		b = AppendBuffer(b, v)
	}
	return b
}

// BufferArray reads an array of buffers, nil if it is empty. The buffers alias the
// input.
func (d *Decoder) BufferArray() [][]byte { return array(d, 1, (*Decoder).Buffer) }

// AppendIPv4AddressArray appends an array of addresses. It panics if one is not
// IPv4.
func AppendIPv4AddressArray(b []byte, a []netip.AddrPort) []byte {
	b = AppendUint(b, uint64(len(a)))
	for _, v := range a {
		b = AppendIPv4Address(b, v)
	}
	return b
}

// IPv4AddressArray reads an array of IPv4 addresses, nil if it is empty.
func (d *Decoder) IPv4AddressArray() []netip.AddrPort {
	return array(d, IPv4AddressSize, (*Decoder).IPv4Address)
}

// AppendIPv6AddressArray appends an array of IPv6 addresses, as AppendIPv6Address
// does.
func AppendIPv6AddressArray(b []byte, a []netip.AddrPort) []byte {
	b = AppendUint(b, uint64(len(a)))
	for _, v := range a {
		b = AppendIPv6Address(b, v)
	}
	return b
}

// IPv6AddressArray reads an array of IPv6 addresses, nil if it is empty.
func (d *Decoder) IPv6AddressArray() []netip.AddrPort {
	return array(d, IPv6AddressSize, (*Decoder).IPv6Address)
}

// array reads a count and that many elements of at least minSize bytes.
func array[T any](d *Decoder, minSize int, element func(*Decoder) T) []T {
	n := d.ArrayLen(minSize)
	if n == 0 {
		return nil
	}
	a := make([]T, n)
	for i := range a {
		a[i] = element(d)
	}
	if d.err != nil {
		return nil
	}
	return a
}
