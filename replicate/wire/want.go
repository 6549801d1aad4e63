package wire

// Want asks the remote which blocks of a range it has, and to announce those
// that it gets later.
type Want struct {
	Start uint64
	// Length is a number of blocks; 0, which is also what absent means, is all
	// that follow Start.
	Length uint64
}

// Type returns TypeWant.
func (*Want) Type() Type { return TypeWant }

// AppendFrame implements [Message]. A Length of 0 is left out.
func (m *Want) AppendFrame(dst []byte, channel uint64) []byte {
	return appendWant(dst, channel, TypeWant, m.Start, m.Length)
}

// Decode implements [Message].
func (m *Want) Decode(body []byte) (err error) {
	m.Start, m.Length, err = decodeRange(body, TypeWant, 0)
	return err
}

// Unwant takes back a [Want]. Hypercore 9 never sends one and ignores those that
// it receives.
type Unwant struct {
	Start  uint64
	Length uint64 // as in Want
}

// Type returns TypeUnwant.
func (*Unwant) Type() Type { return TypeUnwant }

// AppendFrame implements [Message]. A Length of 0 is left out.
func (m *Unwant) AppendFrame(dst []byte, channel uint64) []byte {
	return appendWant(dst, channel, TypeUnwant, m.Start, m.Length)
}

// Decode implements [Message].
func (m *Unwant) Decode(body []byte) (err error) {
	m.Start, m.Length, err = decodeRange(body, TypeUnwant, 0)
	return err
}

func appendWant(dst []byte, channel uint64, t Type, start, length uint64) []byte {
	size := sizeNumber(start)
	if length != 0 {
		size += sizeNumber(length)
	}
	dst = appendHead(dst, channel, t, size)
	dst = appendNumber(dst, varint1, start)
	if length != 0 {
		dst = appendNumber(dst, varint2, length)
	}
	return dst
}
