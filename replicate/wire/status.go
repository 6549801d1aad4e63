package wire

// Status tells whether the sender answers requests and whether it makes them.
// Before the first one both are so.
type Status struct {
	Uploading   bool
	Downloading bool
}

// Type returns TypeStatus.
func (*Status) Type() Type { return TypeStatus }

// AppendFrame implements [Message]. Both fields are always written.
func (m *Status) AppendFrame(dst []byte, channel uint64) []byte {
	dst = appendHead(dst, channel, TypeStatus, 2*sizeFlag)
	dst = appendFlag(dst, varint1, m.Uploading)
	return appendFlag(dst, varint2, m.Downloading)
}

// Decode implements [Message].
func (m *Status) Decode(body []byte) error {
	*m = Status{}
	d := fields{rest: body, known: 2}
	for tag := d.next(); tag != 0; tag = d.next() {
		switch tag {
		case varint1:
			m.Uploading = d.flag()
		case varint2:
			m.Downloading = d.flag()
		default:
			d.fail(ErrMalformed)
		}
	}
	return d.done(TypeStatus, 0)
}
