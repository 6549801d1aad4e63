package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cairn-feeds/cairn/tree"
)

// MaxNodes is how many nodes one Data may have. A proof has at most the leaf,
// 52 siblings and 52 roots: no feed is longer than 2^52 blocks. The limit is
// ours.
const MaxNodes = 128

// Data answers a [Request]: a block, or that one's hash, with what proves it.
type Data struct {
	Index uint64
	// Value is the block's content. With HasValue false the answer is a hash
	// only; an empty block has it true and Value empty.
	Value    []byte
	HasValue bool
	Proof    tree.Proof
}

// Type returns TypeData.
func (*Data) Type() Type { return TypeData }

// AppendFrame implements [Message]. It copies Value. A caller that cannot be
// sure that the body is within [MaxBody] asks BodySize first.
func (m *Data) AppendFrame(dst []byte, channel uint64) []byte {
	dst = appendHead(dst, channel, TypeData, m.BodySize())
	dst = appendNumber(dst, varint1, m.Index)
	if m.HasValue {
		dst = appendBytes(dst, bytes2, m.Value)
	}
	for i := range m.Proof.Nodes {
		n := &m.Proof.Nodes[i]
		dst = protowire.AppendVarint(append(dst, bytes3), uint64(sizeNode(n)))
		dst = appendNumber(dst, varint1, uint64(n.Index))
		dst = appendBytes(dst, bytes2, n.Hash[:])
		dst = appendNumber(dst, varint3, n.Size)
	}
	if m.Proof.HasSignature {
		dst = appendBytes(dst, bytes4, m.Proof.Signature[:])
	}
	return dst
}

// BodySize returns the length in bytes of the message's body, which must not be
// over [MaxBody].
func (m *Data) BodySize() int {
	size := sizeNumber(m.Index)
	if m.HasValue {
		size += sizeBytes(len(m.Value))
	}
	for i := range m.Proof.Nodes {
		size += sizeBytes(sizeNode(&m.Proof.Nodes[i]))
	}
	if m.Proof.HasSignature {
		size += sizeBytes(len(m.Proof.Signature))
	}
	return size
}

// sizeNode is the length of an encoded node.
func sizeNode(n *tree.Node) int {
	return sizeNumber(uint64(n.Index)) + sizeBytes(len(n.Hash)) + sizeNumber(n.Size)
}

// Decode implements [Message]. Value refers to body. Nodes are decoded into
// Proof.Nodes from its beginning, so whoever keeps a decoded proof and decodes
// again must set Proof.Nodes to another slice in between.
func (m *Data) Decode(body []byte) error {
	*m = Data{Proof: tree.Proof{Nodes: m.Proof.Nodes[:0]}}
	d := fields{rest: body, known: 4}
	for tag := d.next(); tag != 0; tag = d.next() {
		switch tag {
		case varint1:
			m.Index = d.number()
		case bytes2:
			m.Value = d.bytes()
			m.HasValue = true
		case bytes3:
			node := d.bytes()
			if len(m.Proof.Nodes) == MaxNodes {
				d.fail(ErrTooMany)
				break
			}
			n, err := decodeNode(node)
			if err != nil {
				d.fail(err)
				break
			}
			m.Proof.Nodes = append(m.Proof.Nodes, n)
		case bytes4:
			d.fixed(m.Proof.Signature[:])
			m.Proof.HasSignature = true
		default:
			d.fail(ErrMalformed)
		}
	}
	return d.done(TypeData, 1)
}

// decodeNode decodes a node, all of whose fields are required.
func decodeNode(b []byte) (n tree.Node, err error) {
	d := fields{rest: b, known: 3}
	for tag := d.next(); tag != 0; tag = d.next() {
		switch tag {
		case varint1:
			n.Index = tree.Index(d.number())
		case bytes2:
			d.fixed(n.Hash[:])
		case varint3:
			n.Size = d.number()
		default:
			d.fail(ErrMalformed)
		}
	}
	if d.err == nil && d.missing(3) != 0 {
		d.err = ErrMissing
	}
	return n, d.err
}
