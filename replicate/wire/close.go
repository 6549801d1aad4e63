package wire

import "github.com/cairn-feeds/cairn/tree"

// Close closes the channel that its frame is on or, on a channel that was never
// opened and with a discovery key, refuses to open a feed that the remote named.
type Close struct {
	DiscoveryKey    tree.DiscoveryKey
	HasDiscoveryKey bool
}

// Type returns TypeClose.
func (*Close) Type() Type { return TypeClose }

// AppendFrame implements [Message].
func (m *Close) AppendFrame(dst []byte, channel uint64) []byte {
	if !m.HasDiscoveryKey {
		return appendHead(dst, channel, TypeClose, 0)
	}
	dst = appendHead(dst, channel, TypeClose, sizeBytes(len(m.DiscoveryKey)))
	return appendBytes(dst, bytes1, m.DiscoveryKey[:])
}

// Decode implements [Message].
func (m *Close) Decode(body []byte) error {
	*m = Close{}
	d := fields{rest: body, known: 1}
	for tag := d.next(); tag != 0; tag = d.next() {
		switch tag {
		case bytes1:
			d.fixed(m.DiscoveryKey[:])
			m.HasDiscoveryKey = true
		default:
			d.fail(ErrMalformed)
		}
	}
	return d.done(TypeClose, 0)
}
