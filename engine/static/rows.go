package static

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// Kinds of rows: the first byte of a key of the table.
const (
	kindRecord  = 0x01
	kindNext    = 0x02
	kindPending = 0x03
	kindData    = 0x40
)

// Kinds of rows of a feed.
const (
	dataPage  = 0x01
	dataNode  = 0x02
	dataBlock = 0x03
)

const recordVersion = 1

// recordKey is the key of the record of a feed.
func recordKey(id ID) []byte { return append([]byte{kindRecord}, id[:]...) }

// recordEnd is behind all records.
func recordEnd() []byte { return []byte{kindRecord + 1} }

// pendingKey is the key of the row that marks a feed without id.
func pendingKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kindPending}, number)
}

type dataKey [1 + 8 + 1 + 8]byte

// rowKey is the key of a row of a feed.
func rowKey(number uint64, kind byte, index uint64) dataKey {
	var k dataKey
	k[0] = kindData
	binary.BigEndian.PutUint64(k[1:], number)
	k[9] = kind
	binary.BigEndian.PutUint64(k[10:], index)
	return k
}

// feedSpan returns the bounds of all rows of a feed, end exclusive.
func feedSpan(number uint64) (start, end []byte) {
	s, e := rowKey(number, 0, 0), rowKey(number, 0xff, 0)
	return s[:], e[:]
}

// head is what a record says. A stored head is never modified.
type head struct {
	number  uint64
	blocks  uint64 // 0 while the length is not known
	present uint64
	bytes   uint64 // of the present blocks
	prefix  uint64 // all blocks below are present
	created time.Time
}

func (h *head) complete() bool { return h.blocks > 0 && h.present == h.blocks }

// appendRecord encodes a head.
func appendRecord(dst []byte, h *head) []byte {
	for _, v := range []uint64{recordVersion, h.number, h.blocks, h.present, h.bytes, h.prefix, uint64(h.created.Unix())} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

// parseRecord decodes what appendRecord wrote.
func parseRecord(b []byte) (*head, error) {
	var v [7]uint64
	for i := range v {
		var n int
		if v[i], n = binary.Uvarint(b); n <= 0 {
			return nil, fmt.Errorf("record: %w", engine.ErrCorrupt)
		}
		if i == 0 && v[0] != recordVersion {
			return nil, fmt.Errorf("record of version %d: %w", v[0], engine.ErrNewerFormat)
		}
		b = b[n:]
	}
	h := &head{number: v[1], blocks: v[2], present: v[3], bytes: v[4], prefix: v[5], created: time.Unix(int64(v[6]), 0)}
	if len(b) > 0 || h.blocks == 0 || h.blocks > MaxBlocks || h.present > h.blocks || h.prefix > h.present {
		return nil, fmt.Errorf("record: %w", engine.ErrCorrupt)
	}
	return h, nil
}

// nodeReader reads the nodes of a feed.
type nodeReader struct {
	table  *engine.Table
	number uint64
}

// node returns the hash of a node, ok false when it is not known.
func (r nodeReader) node(i tree.Index) (h ID, ok bool, err error) {
	key := rowKey(r.number, dataNode, uint64(i))
	v, ok, err := r.table.Append(h[:0], key[:])
	if err == nil && ok && len(v) != len(h) {
		return h, false, fmt.Errorf("node %d has %d bytes: %w", i, len(v), engine.ErrCorrupt)
	}
	return h, ok, err
}

func setNode(b *engine.TableBatch, number uint64, n tree.Node) {
	key := rowKey(number, dataNode, uint64(n.Index))
	b.Set(key[:], n.Hash[:])
}

func setBlock(b *engine.TableBatch, number, index uint64, data []byte) {
	key := rowKey(number, dataBlock, index)
	b.Set(key[:], data)
}
