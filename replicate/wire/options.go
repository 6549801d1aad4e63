package wire

// MaxExtensions is how many names of extensions one Options may have. The limit
// is ours.
const MaxExtensions = 4096

// Options tells what the sender can do on a channel, or, on channel 0, on the
// connection. Each one replaces the one before.
type Options struct {
	// Extensions are the names of the sender's extensions in the order of their
	// UTF-16 code units. An extension's position is its number in the sender's
	// [Extension] messages, until the next Options.
	Extensions []string
	// Ack asks the remote to confirm each block that it receives with a [Have].
	// It means nothing on channel 0.
	Ack bool
}

// Type returns TypeOptions.
func (*Options) Type() Type { return TypeOptions }

// AppendFrame implements [Message]. On channel 0 a false Ack is left out.
func (m *Options) AppendFrame(dst []byte, channel uint64) []byte {
	size := 0
	for _, name := range m.Extensions {
		size += sizeBytes(len(name))
	}
	hasAck := m.Ack || channel != 0
	if hasAck {
		size += sizeFlag
	}
	dst = appendHead(dst, channel, TypeOptions, size)
	for _, name := range m.Extensions {
		dst = appendBytes(dst, bytes1, name)
	}
	if hasAck {
		dst = appendFlag(dst, varint2, m.Ack)
	}
	return dst
}

// Decode implements [Message]. The names are copied, as they came: neither
// sorted nor checked to be UTF-8.
func (m *Options) Decode(body []byte) error {
	*m = Options{Extensions: m.Extensions[:0]}
	d := fields{rest: body, known: 2}
	for tag := d.next(); tag != 0; tag = d.next() {
		switch tag {
		case bytes1:
			name := d.bytes()
			if len(m.Extensions) == MaxExtensions {
				d.fail(ErrTooMany)
				break
			}
			m.Extensions = append(m.Extensions, string(name))
		case varint2:
			m.Ack = d.flag()
		default:
			d.fail(ErrMalformed)
		}
	}
	return d.done(TypeOptions, 0)
}
