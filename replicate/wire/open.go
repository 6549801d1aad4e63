package wire

import "github.com/cairn-feeds/cairn/tree"

// Open opens the channel that its frame is on for a feed. The channel can be
// used once both sides have opened one for the same feed.
type Open struct {
	// DiscoveryKey names the feed.
	DiscoveryKey tree.DiscoveryKey
	// Capability proves that the sender knows the feed's key; see package noise.
	// It is empty on connections without a handshake. Decoded, it is whatever
	// the remote sent, of any length.
	Capability []byte
}

// Type returns TypeOpen.
func (*Open) Type() Type { return TypeOpen }

// AppendFrame implements [Message]. An empty Capability is left out.
func (m *Open) AppendFrame(dst []byte, channel uint64) []byte {
	size := sizeBytes(len(m.DiscoveryKey))
	if len(m.Capability) > 0 {
		size += sizeBytes(len(m.Capability))
	}
	dst = appendHead(dst, channel, TypeOpen, size)
	dst = appendBytes(dst, bytes1, m.DiscoveryKey[:])
	if len(m.Capability) > 0 {
		dst = appendBytes(dst, bytes2, m.Capability)
	}
	return dst
}

// Decode implements [Message]. Capability refers to body.
func (m *Open) Decode(body []byte) error {
	*m = Open{}
	d := fields{rest: body, known: 2}
	for tag := d.next(); tag != 0; tag = d.next() {
		switch tag {
		case bytes1:
			d.fixed(m.DiscoveryKey[:])
		case bytes2:
			m.Capability = d.bytes()
		default:
			d.fail(ErrMalformed)
		}
	}
	return d.done(TypeOpen, 1)
}
