package static

import (
	"encoding/binary"
	"fmt"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine"
)

// blockMap is which blocks of a feed are here, and which pages of that have rows.
type blockMap struct {
	set  *bitmap.Set
	rows map[uint64]struct{} // pages that have rows
}

// loadMap reads the map of a feed.
func loadMap(t *engine.Table, h *head) (*blockMap, error) {
	m := &blockMap{set: bitmap.NewSet(), rows: make(map[uint64]struct{})}
	if h.complete() {
		m.set.Add(0, h.blocks)
		return m, nil
	}
	var bad error
	start, end := rowKey(h.number, dataPage, 0), rowKey(h.number, dataPage+1, 0)
	err := t.Scan(start[:], end[:], func(key, value []byte) bool {
		if len(key) != len(dataKey{}) {
			bad = fmt.Errorf("row key %x: %w", key, engine.ErrCorrupt)
			return false
		}
		number := binary.BigEndian.Uint64(key[10:])
		page, err := bitmap.ParsePage(value)
		if err != nil || number > MaxBlocks/bitmap.PageSize {
			bad = fmt.Errorf("map page %d: %w", number, engine.ErrCorrupt)
			return false
		}
		m.set.SetPage(number, page)
		m.rows[number] = struct{}{}
		return true
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, err
	}
	m.set.Add(0, h.prefix)
	if last, ok := m.set.Max(); ok && last >= h.blocks || m.set.Len() != h.present {
		return nil, fmt.Errorf("the map has %d blocks, the record says %d of %d: %w", m.set.Len(), h.present, h.blocks, engine.ErrCorrupt)
	}
	return m, nil
}

// write adds to a batch what follows for the rows from added blocks, with a prefix that
// the change has raised from before. It returns the pages that will have rows.
func (m *blockMap) write(b *engine.TableBatch, h *head, set *bitmap.Set, added []uint64, before uint64) (map[uint64]struct{}, error) {
	touched := make(map[uint64]struct{})
	for _, n := range added {
		touched[n/bitmap.PageSize] = struct{}{}
	}
	for page := range m.rows {
		if page >= before/bitmap.PageSize && page <= h.prefix/bitmap.PageSize {
			touched[page] = struct{}{} // the prefix may have passed over it
		}
	}
	rows := make(map[uint64]struct{}, len(m.rows)+len(touched))
	for page := range m.rows {
		rows[page] = struct{}{}
	}
	for page := range touched {
		key := rowKey(h.number, dataPage, page)
		last, ok := set.PrevPresent((page+1)*bitmap.PageSize - 1)
		if ok && last >= max(h.prefix, page*bitmap.PageSize) {
			value, err := set.Page(page).AppendBinary(nil)
			if err != nil {
				return nil, err
			}
			b.Set(key[:], value)
			rows[page] = struct{}{}
		} else if _, stored := rows[page]; stored {
			b.Delete(key[:])
			delete(rows, page)
		}
	}
	return rows, nil
}
