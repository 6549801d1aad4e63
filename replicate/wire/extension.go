package wire

import "google.golang.org/protobuf/encoding/protowire"

// Extension is a message of an application's own, for a feed or, on channel 0,
// for the connection.
type Extension struct {
	// ID is the extension's position in its sender's latest [Options] on the
	// channel.
	ID uint64
	// Payload is the application's.
	Payload []byte
}

// Type returns TypeExtension.
func (*Extension) Type() Type { return TypeExtension }

// AppendFrame implements [Message]. It copies Payload.
func (m *Extension) AppendFrame(dst []byte, channel uint64) []byte {
	dst = appendHead(dst, channel, TypeExtension, protowire.SizeVarint(m.ID)+len(m.Payload))
	dst = protowire.AppendVarint(dst, m.ID)
	return append(dst, m.Payload...)
}

// Decode implements [Message]. Payload refers to body.
func (m *Extension) Decode(body []byte) error {
	*m = Extension{}
	d := fields{rest: body, at: 1}
	m.ID = d.number()
	m.Payload = d.rest[:len(d.rest):len(d.rest)]
	return d.done(TypeExtension, 0)
}
