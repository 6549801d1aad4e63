package static_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/static"
	"github.com/cairn-feeds/cairn/tree"
)

// TestCheck finds every row of a feed that was changed or removed, and nothing in a sound one.
func TestCheck(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, fs, nil)
	c, err := static.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	blocks := someBlocks(11)
	id := put(t, c, blocks...)
	// Of another feed a part is here.
	other := openCore(t)
	part := put(t, other, someBlocks(13)...)
	source := get(t, other, part)
	f := get(t, c, part)
	if _, err := f.Deliver(t.Context(), []tree.Delivery{delivery(t, source, 3), delivery(t, source, 12)}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	check := func() (found []error) {
		for _, id := range []static.ID{id, part} {
			r, err := c.Check(t.Context(), id, func(err error) { found = append(found, err) })
			if err != nil {
				t.Fatal(err)
			}
			if len(found) == 0 && (id == part && r.Blocks != 2 || id != part && (r.Blocks != 11 || r.Nodes != 11+5+2+1)) {
				t.Errorf("%+v", r)
			}
		}
		return found
	}
	if found := check(); len(found) > 0 {
		t.Errorf("a sound store has problems: %v", found)
	}
	if _, err := c.Check(t.Context(), static.ID{1}, nil); !errors.Is(err, engine.ErrNoFeed) {
		t.Errorf("a feed that is not here: %v", err)
	}
	c.Close()

	table, err := s.StaticTable()
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]byte{}
	err = table.Scan([]byte{0x40}, nil, func(key, value []byte) bool {
		if key[9] != 1 { // pages of the map are checked when a feed is opened
			rows[string(key)] = bytes.Clone(value)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	table.Close()
	damage := func(key string, value []byte) {
		t.Helper()
		table, err := s.StaticTable()
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		if err := table.Write(func(b *engine.TableBatch) error {
			if b.Delete([]byte(key)); value != nil {
				b.Set([]byte(key), value)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for key, value := range rows {
		damage(key, append(bytes.Clone(value), '!'))
		if c, err = static.Open(s); err != nil {
			t.Fatal(err)
		}
		found := check()
		if len(found) == 0 {
			t.Errorf("row %x was changed and nothing found", key)
		}
		for _, err := range found {
			if !errors.Is(err, engine.ErrCorrupt) {
				t.Errorf("row %x: %v", key, err)
			}
		}
		c.Close()
		damage(key, value)
	}
}
