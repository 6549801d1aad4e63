package wire

// Have tells which blocks the sender has: with a bitfield those that it says, in
// answer to a [Want], and without one all of Start to Start+Length-1. With Ack
// it confirms instead that these blocks, which it was sent, are stored.
type Have struct {
	Start uint64
	// Length is a number of blocks. Absent on the wire it is 1, so a Have that
	// is not decoded has to set it. In an answer it is the Want's.
	Length uint64
	// Bitfield has the bits of the blocks from Start on, run-length encoded. It
	// may be present and empty, which says that all bits are clear.
	Bitfield    []byte
	HasBitfield bool
	Ack         bool
}

// Type returns TypeHave.
func (*Have) Type() Type { return TypeHave }

// AppendFrame implements [Message]. As in hypercore 9, a Length of 1 is left out
// of a plain announcement, and a false Ack always.
func (m *Have) AppendFrame(dst []byte, channel uint64) []byte {
	hasLength := m.Length != 1 || m.HasBitfield || m.Ack
	size := sizeNumber(m.Start)
	if hasLength {
		size += sizeNumber(m.Length)
	}
	if m.HasBitfield {
		size += sizeBytes(len(m.Bitfield))
	}
	if m.Ack {
		size += sizeFlag
	}
	dst = appendHead(dst, channel, TypeHave, size)
	dst = appendNumber(dst, varint1, m.Start)
	if hasLength {
		dst = appendNumber(dst, varint2, m.Length)
	}
	if m.HasBitfield {
		dst = appendBytes(dst, bytes3, m.Bitfield)
	}
	if m.Ack {
		dst = appendFlag(dst, varint4, true)
	}
	return dst
}

// Decode implements [Message]. Bitfield refers to body.
func (m *Have) Decode(body []byte) error {
	*m = Have{Length: 1}
	d := fields{rest: body, known: 4}
	for tag := d.next(); tag != 0; tag = d.next() {
		switch tag {
		case varint1:
			m.Start = d.number()
		case varint2:
			m.Length = d.number()
		case bytes3:
			m.Bitfield = d.bytes()
			m.HasBitfield = true
		case varint4:
			m.Ack = d.flag()
		default:
			d.fail(ErrMalformed)
		}
	}
	return d.done(TypeHave, 1)
}
