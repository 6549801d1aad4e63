package engine_test

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/engine"
)

func TestStaticTable(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, &engine.Options{FS: fs})
	table, err := s.StaticTable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.StaticTable(); !errors.Is(err, engine.ErrTableInUse) {
		t.Errorf("taken twice: %v", err)
	}
	set := func(keys ...string) func(*engine.TableBatch) error {
		return func(b *engine.TableBatch) error {
			for _, k := range keys {
				b.Set([]byte(k), []byte("value of "+k))
			}
			return nil
		}
	}
	if err := table.Write(set("a", "b", "c1", "c2", "\xff")); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	err = table.Write(func(b *engine.TableBatch) error {
		b.Delete([]byte("a"))
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("a refused change: %v", err)
	}
	if v, ok, err := table.Append([]byte("x"), []byte("a")); !ok || err != nil || string(v) != "xvalue of a" {
		t.Errorf("a is %q, %v, %v", v, ok, err)
	}
	err = table.WriteLater(func(b *engine.TableBatch) error {
		b.Delete([]byte("a"))
		b.DeleteRange([]byte("c"), []byte("d"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	scan := func(table *engine.Table) (keys string) {
		if err := table.Scan(nil, nil, func(k, v []byte) bool {
			keys += string(k) + " "
			return true
		}); err != nil {
			t.Error(err)
		}
		return keys
	}
	if got := scan(table); got != "b \xff " {
		t.Errorf("rows %q", got)
	}
	table.Close()
	table.Close()
	if table, err = s.StaticTable(); err != nil {
		t.Fatalf("taken again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := table.Write(set("z")); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("a write after the close: %v", err)
	}
	if _, _, err := table.Append(nil, []byte("b")); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("a read after the close: %v", err)
	}

	s = openStore(t, &engine.Options{FS: fs, ReadOnly: true})
	if table, err = s.StaticTable(); err != nil {
		t.Fatal(err)
	}
	if err := table.Write(set("z")); !table.ReadOnly() || !errors.Is(err, engine.ErrReadOnly) {
		t.Errorf("a write to a store that is read-only: %v", err)
	}
	if got := scan(table); got != "b \xff " {
		t.Errorf("rows %q", got)
	}
}
