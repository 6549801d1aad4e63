package static

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cairn-feeds/cairn/codec/protobuf"
	"github.com/cairn-feeds/cairn/codec/varint"
	"github.com/cairn-feeds/cairn/tree"
)

// messageType is the first byte of a payload.
type messageType byte

const (
	typeJoin messageType = iota
	typeLeave
	typeHave
	typePause
	typeUnpause
	typeRequest
	typeResponse
	typeCancel

	typeExtension = 64 // and above: an extension
)

// String returns the name of the message.
func (t messageType) String() string {
	names := [...]string{"Join", "Leave", "Have", "Pause", "Unpause", "Request", "Response", "Cancel"}
	if int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("type %d", byte(t))
}

// maxProof is how many nodes of a proof are taken: more than the longest has.
const maxProof = 64

var (
	errHash   = errors.New("a hash has 32 bytes")
	errNodes  = fmt.Errorf("more than %d nodes", maxProof)
	errString = fmt.Errorf("a name of more than %d bytes", maxExtensionName)
)

// handshake is the first message of each side.
type handshake struct {
	protocol   string
	id         []byte
	extensions []string
}

// appendFrame appends the handshake as a frame.
func (m *handshake) appendFrame(dst []byte) []byte {
	size := protobuf.SizeBytes(1, len(m.protocol)) + protobuf.SizeBytes(3, len(m.id))
	for _, name := range m.extensions {
		size += protobuf.SizeBytes(4, len(name))
	}
	dst = varint.Append(dst, uint64(size))
	dst = protobuf.AppendString(dst, 1, m.protocol)
	dst = protobuf.AppendBytes(dst, 3, m.id)
	for _, name := range m.extensions {
		dst = protobuf.AppendString(dst, 4, name)
	}
	return dst
}

// decode reads a payload. Of the extensions it keeps those that can be in use.
func (m *handshake) decode(payload []byte) error {
	*m = handshake{}
	r := protobuf.NewReader(payload)
	for r.Next() {
		switch r.Number() {
		case 1:
			m.protocol = string(r.Bytes())
		case 3:
			m.id = append([]byte(nil), r.Bytes()...)
		case 4:
			name := r.Bytes()
			if len(name) > maxExtensionName {
				r.Fail(errString)
			}
			if len(m.extensions) < MaxExtensions {
				m.extensions = append(m.extensions, string(name))
			}
		}
	}
	if err := r.Finish(1, 3); err != nil {
		return fmt.Errorf("%w: Handshake: %w", ErrMessage, err)
	}
	if m.protocol != "hypercore" && m.protocol != "hyperdrive" {
		return fmt.Errorf("%w: the remote speaks %q", ErrProtocol, strings.ToValidUTF8(m.protocol[:min(len(m.protocol), 64)], "?"))
	}
	return nil
}

// message is any of the numbered messages: those fields count that its type has.
type message struct {
	typ      messageType
	channel  uint64
	id       tree.Hash   // Join
	block    uint64      // Request, Response, Cancel
	blocks   []uint64    // Have
	bitfield []byte      // Have; nil for none
	data     []byte      // Response
	proof    []tree.Node // Response
}

// decode reads a payload of one of the types 0 to 7. Slices refer to the payload; blocks and
// proof reuse what the message had.
func (m *message) decode(payload []byte) error {
	*m = message{typ: messageType(payload[0]), blocks: m.blocks[:0], proof: m.proof[:0]}
	r := protobuf.NewReader(payload[1:])
	for r.Next() {
		switch n := r.Number(); {
		case n == 1:
			m.channel = r.Uint64()
		case n == 2 && m.typ == typeJoin:
			if b := r.Bytes(); copy(m.id[:], b) != len(m.id) || len(b) != len(m.id) {
				r.Fail(errHash)
			}
		case n == 2 && m.typ == typeHave:
			m.blocks = append(m.blocks, r.Uint64())
		case n == 2 && m.typ >= typeRequest:
			m.block = r.Uint64()
		case n == 3 && m.typ == typeHave:
			m.bitfield = r.Bytes()
		case n == 3 && m.typ == typeResponse:
			m.data = r.Bytes()
		case n == 4 && m.typ == typeResponse:
			if len(m.proof) == maxProof {
				r.Fail(errNodes)
				break
			}
			node, err := decodeNode(r.Bytes())
			if err != nil {
				r.Fail(err)
			}
			m.proof = append(m.proof, node)
		}
	}
	required := []int{1, 2, 3}
	switch m.typ {
	case typeLeave, typeHave, typePause, typeUnpause:
		required = required[:1]
	case typeJoin, typeRequest, typeCancel:
		required = required[:2]
	case typeResponse:
	}
	if err := r.Finish(required...); err != nil {
		return fmt.Errorf("%w: %v: %w", ErrMessage, m.typ, err)
	}
	return nil
}

func decodeNode(b []byte) (n tree.Node, err error) {
	r := protobuf.NewReader(b)
	for r.Next() {
		switch r.Number() {
		case 1:
			n.Index = tree.Index(r.Uint64())
		case 2:
			if b := r.Bytes(); copy(n.Hash[:], b) != len(n.Hash) || len(b) != len(n.Hash) {
				r.Fail(errHash)
			}
		}
	}
	return n, r.Finish(1, 2)
}

// appendFrame appends the message as a frame.
func (m *message) appendFrame(dst []byte) []byte {
	size := 1 + protobuf.SizeUint64(1, m.channel)
	switch m.typ {
	case typeJoin:
		size += protobuf.SizeBytes(2, len(m.id))
	case typeHave:
		for _, n := range m.blocks {
			size += protobuf.SizeUint64(2, n)
		}
		if m.bitfield != nil {
			size += protobuf.SizeBytes(3, len(m.bitfield))
		}
	case typeRequest, typeCancel:
		size += protobuf.SizeUint64(2, m.block)
	case typeResponse:
		size += protobuf.SizeUint64(2, m.block) + protobuf.SizeBytes(3, len(m.data))
		for i := range m.proof {
			size += protobuf.SizeBytes(4, nodeSize(&m.proof[i]))
		}
	case typeLeave, typePause, typeUnpause:
	}
	dst = varint.Append(dst, uint64(size))
	dst = append(dst, byte(m.typ))
	dst = protobuf.AppendUint64(dst, 1, m.channel)
	switch m.typ {
	case typeJoin:
		dst = protobuf.AppendBytes(dst, 2, m.id[:])
	case typeHave:
		for _, n := range m.blocks {
			dst = protobuf.AppendUint64(dst, 2, n)
		}
		if m.bitfield != nil {
			dst = protobuf.AppendBytes(dst, 3, m.bitfield)
		}
	case typeRequest, typeCancel:
		dst = protobuf.AppendUint64(dst, 2, m.block)
	case typeResponse:
		dst = protobuf.AppendUint64(dst, 2, m.block)
		dst = protobuf.AppendBytes(dst, 3, m.data)
		for i := range m.proof {
			n := &m.proof[i]
			dst = protobuf.AppendLength(dst, 4, nodeSize(n))
			dst = protobuf.AppendUint64(dst, 1, uint64(n.Index))
			dst = protobuf.AppendBytes(dst, 2, n.Hash[:])
		}
	case typeLeave, typePause, typeUnpause:
	}
	return dst
}

func nodeSize(n *tree.Node) int {
	return protobuf.SizeUint64(1, uint64(n.Index)) + protobuf.SizeBytes(2, len(n.Hash))
}

// appendExtension appends an extension message as a frame.
func appendExtension(dst []byte, number int, data []byte) []byte {
	dst = varint.Append(dst, uint64(1+len(data)))
	dst = append(dst, byte(typeExtension+number))
	return append(dst, data...)
}
