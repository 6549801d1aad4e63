package wire

// Request asks for a block, or for the hash of one.
type Request struct {
	// Index is the block. With Bytes it is the block that will do when the
	// remote does not know where that byte is.
	Index uint64
	// Bytes, unless it is 0, asks for the block that holds this byte of the feed.
	Bytes uint64
	// Hash asks for the block's hash in place of its content.
	Hash bool
	// Nodes says which nodes of the proof the sender has: the tree's digest of
	// the block.
	Nodes uint64
}

// Type returns TypeRequest.
func (*Request) Type() Type { return TypeRequest }

// AppendFrame implements [Message]. All fields are always written.
func (m *Request) AppendFrame(dst []byte, channel uint64) []byte {
	dst = appendHead(dst, channel, TypeRequest, sizeNumber(m.Index)+sizeNumber(m.Bytes)+sizeFlag+sizeNumber(m.Nodes))
	dst = appendNumber(dst, varint1, m.Index)
	dst = appendNumber(dst, varint2, m.Bytes)
	dst = appendFlag(dst, varint3, m.Hash)
	return appendNumber(dst, varint4, m.Nodes)
}

// Decode implements [Message].
func (m *Request) Decode(body []byte) error {
	*m = Request{}
	d := fields{rest: body, known: 4}
	for tag := d.next(); tag != 0; tag = d.next() {
		switch tag {
		case varint1:
			m.Index = d.number()
		case varint2:
			m.Bytes = d.number()
		case varint3:
			m.Hash = d.flag()
		case varint4:
			m.Nodes = d.number()
		default:
			d.fail(ErrMalformed)
		}
	}
	return d.done(TypeRequest, 1)
}
