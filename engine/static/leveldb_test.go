package static_test

import (
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/static"
	"github.com/cairn-feeds/cairn/tree"
)

// levelDir makes a LevelDB directory with these rows.
func levelDir(t testing.TB, rows map[string]hexBytes) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hypercore.db")
	db, err := leveldb.OpenFile(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range rows {
		if err := db.Put([]byte(k), v, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// files are the content of a directory, but for the lock.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	delete(all, "LOCK")
	return all
}

// TestImport reads the two databases of the vectors: of who made the feed, with a pointer of
// its own, and of who fetched it.
func TestImport(t *testing.T) {
	v := loadVectors(t)
	for name, rows := range map[string]map[string]hexBytes{"made": v.Sessions.TwoBlocks.Storage.A, "fetched": v.Sessions.TwoBlocks.Storage.B} {
		dir := levelDir(t, rows)
		before := files(t, dir)
		c := openCore(t)
		n := 0
		for i, err := range c.Import(t.Context(), dir) {
			if n++; err != nil || i.ID != v.Sessions.TwoBlocks.ID || i.Blocks != 2 || !i.Complete() || i.Bytes != 10 {
				t.Errorf("%s: %+v, %v", name, i, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d feeds", name, n)
		}
		f := get(t, c, v.Sessions.TwoBlocks.ID)
		if b, err := f.Get(t.Context(), 1); err != nil || string(b) != "world" {
			t.Errorf("%s: block 1 is %q, %v", name, b, err)
		}
		if !maps.Equal(before, files(t, dir)) {
			t.Errorf("%s: the directory was changed", name)
		}
		for i, err := range c.Import(t.Context(), dir) {
			if err != nil || !i.Complete() {
				t.Errorf("%s again: %+v, %v", name, i, err)
			}
		}
	}
}

// levelRows are the rows that hypercore 1 would have for a feed of five blocks, of which it
// has some.
func levelRows(t testing.TB, bits byte) (static.ID, map[string]hexBytes) {
	c := openCore(t)
	id := put(t, c, someBlocks(5)...)
	f := get(t, c, id)
	rows := map[string]hexBytes{
		"!feeds!" + id.String():     append(append([]byte{0x0a, 0x20}, id[:]...), 0x10, 5), // without pointer
		"!bitfields!" + id.String(): {bits},
	}
	v := loadVectors(t).FeedRecord.Bytes
	pointer := hex.EncodeToString(v[2:34])
	if bits == 0xf8 { // whoever has everything made it, and has a pointer
		rows["!feeds!"+id.String()] = append(append([]byte{}, v[:34]...), rows["!feeds!"+id.String()]...)
	} else {
		pointer = id.String()
	}
	for n := range uint64(5) {
		if bits&(0x80>>n) == 0 {
			continue
		}
		d := delivery(t, f, n)
		for _, node := range d.Proof.Nodes {
			rows["!hashes!!"+pointer+"!"+decimal(node.Index)] = append([]byte{}, node.Hash[:]...)
		}
		leaf := leafOf(d.Data)
		rows["!hashes!!"+pointer+"!"+decimal(tree.LeafIndex(n))] = leaf[:]
		rows["!blocks!"+hex.EncodeToString(leaf[:])] = append(hexBytes{}, d.Data...)
	}
	return id, rows
}

func TestImportPart(t *testing.T) {
	for _, bits := range []byte{0xf8, 0x50, 0x08, 0xe0} {
		id, rows := levelRows(t, bits)
		c := openCore(t)
		for i, err := range c.Import(t.Context(), levelDir(t, rows)) {
			if err != nil || i.ID != id || i.Blocks != 5 {
				t.Errorf("%08b: %+v, %v", bits, i, err)
			}
		}
		f := get(t, c, id)
		for n := range uint64(5) {
			if want := bits&(0x80>>n) != 0; f.Has(n) != want {
				t.Errorf("%08b: has %d is %v", bits, n, f.Has(n))
			}
		}
	}
}

// TestImportDamaged imports what is sound of a damaged database, and says what is not.
func TestImportDamaged(t *testing.T) {
	damage := map[string]func(rows map[string]hexBytes, key string) bool{
		"a block is gone": func(r map[string]hexBytes, k string) bool { delete(r, k); return strings.HasPrefix(k, "!blocks!") },
		"a block is changed": func(r map[string]hexBytes, k string) bool {
			r[k] = []byte("?")
			return strings.HasPrefix(k, "!blocks!")
		},
		"a leaf is gone":  func(r map[string]hexBytes, k string) bool { delete(r, k); return strings.HasSuffix(k, "!8") },
		"a leaf is short": func(r map[string]hexBytes, k string) bool { r[k] = []byte{1}; return strings.HasSuffix(k, "!8") },
		"a root is gone":  func(r map[string]hexBytes, k string) bool { delete(r, k); return strings.HasSuffix(k, "!3") },
		"no bitfield":     func(r map[string]hexBytes, k string) bool { delete(r, k); return strings.HasPrefix(k, "!bitfields!") },
		"a record is garbage": func(r map[string]hexBytes, k string) bool {
			r[k] = []byte{0xff}
			return strings.HasPrefix(k, "!feeds!")
		},
		"a record is another's": func(r map[string]hexBytes, k string) bool {
			r[k] = loadVectors(t).FeedRecord.Bytes
			return strings.HasPrefix(k, "!feeds!")
		},
	}
	for name, change := range damage {
		id, rows := levelRows(t, 0xf8)
		for k := range maps.Clone(rows) {
			if changed := maps.Clone(rows); change(changed, k) {
				rows = changed
				break
			}
		}
		c := openCore(t)
		n := 0
		for i, err := range c.Import(t.Context(), levelDir(t, rows)) {
			if n++; err == nil || i.ID != id {
				t.Errorf("%s: %+v, %v", name, i, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d feeds", name, n)
		}
		if strings.Contains(name, "block") {
			if i, err := c.Info(id); err != nil || i.Downloaded != 4 {
				t.Errorf("%s: %+v, %v", name, i, err)
			}
		}
	}
	c := openCore(t)
	for i, err := range c.Import(t.Context(), filepath.Join(t.TempDir(), "nothing")) {
		if i != (static.Info{}) || err == nil {
			t.Errorf("no directory: %+v, %v", i, err)
		}
	}
	for i, err := range c.Import(t.Context(), t.TempDir()) {
		if i != (static.Info{}) || err == nil || errors.Is(err, engine.ErrCorrupt) {
			t.Errorf("an empty directory: %+v, %v", i, err)
		}
	}
}
