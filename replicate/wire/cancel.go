package wire

// Cancel takes back a [Request] with the same fields. Hypercore 9 never sends
// one and ignores those that it receives.
type Cancel struct {
	Index uint64
	Bytes uint64
	Hash  bool
}

// Type returns TypeCancel.
func (*Cancel) Type() Type { return TypeCancel }

// AppendFrame implements [Message]. All fields are always written.
func (m *Cancel) AppendFrame(dst []byte, channel uint64) []byte {
	dst = appendHead(dst, channel, TypeCancel, sizeNumber(m.Index)+sizeNumber(m.Bytes)+sizeFlag)
	dst = appendNumber(dst, varint1, m.Index)
	dst = appendNumber(dst, varint2, m.Bytes)
	return appendFlag(dst, varint3, m.Hash)
}

// Decode implements [Message].
func (m *Cancel) Decode(body []byte) error {
	*m = Cancel{}
	d := fields{rest: body, known: 3}
	for tag := d.next(); tag != 0; tag = d.next() {
		switch tag {
		case varint1:
			m.Index = d.number()
		case varint2:
			m.Bytes = d.number()
		case varint3:
			m.Hash = d.flag()
		default:
			d.fail(ErrMalformed)
		}
	}
	return d.done(TypeCancel, 1)
}
