package wire

// Unhave takes back a [Have]: the sender does not have the blocks Start to
// Start+Length-1 (any more).
type Unhave struct {
	Start uint64
	// Length is a number of blocks. Absent on the wire it is 1, so an Unhave
	// that is not decoded has to set it.
	Length uint64
}

// Type returns TypeUnhave.
func (*Unhave) Type() Type { return TypeUnhave }

// AppendFrame implements [Message]. Both fields are always written.
func (m *Unhave) AppendFrame(dst []byte, channel uint64) []byte {
	dst = appendHead(dst, channel, TypeUnhave, sizeNumber(m.Start)+sizeNumber(m.Length))
	dst = appendNumber(dst, varint1, m.Start)
	return appendNumber(dst, varint2, m.Length)
}

// Decode implements [Message].
func (m *Unhave) Decode(body []byte) (err error) {
	m.Start, m.Length, err = decodeRange(body, TypeUnhave, 1)
	return err
}

// decodeRange decodes a body of start and length, which is given a default.
func decodeRange(body []byte, t Type, absent uint64) (start, length uint64, err error) {
	length = absent
	d := fields{rest: body, known: 2}
	for tag := d.next(); tag != 0; tag = d.next() {
		switch tag {
		case varint1:
			start = d.number()
		case varint2:
			length = d.number()
		default:
			d.fail(ErrMalformed)
		}
	}
	return start, length, d.done(t, 1)
}
