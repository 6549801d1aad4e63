package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
)

// readFile reads a file of a file system in memory.
func readFile(t testing.TB, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, fs vfs.FS, path string, b []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Clone(b)); err != nil { // Pebble's invariant checks mangle what was written
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// storeFiles returns the names of the files of a store.
func storeFiles(t testing.TB, fs vfs.FS) []string {
	t.Helper()
	names, err := fs.List("store")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool {
		info, err := fs.Stat("store/" + name)
		return err != nil || info.IsDir()
	})
}

// listing tells names and sizes of the files of a store, but for the lock.
func listing(t testing.TB, fs vfs.FS) string {
	t.Helper()
	var out strings.Builder
	for _, name := range storeFiles(t, fs) {
		if name == "LOCK" {
			continue
		}
		fmt.Fprintf(&out, "%s %d\n", name, len(readFile(t, fs, "store/"+name)))
	}
	return out.String()
}

// inFiles reports whether some file of a store holds these bytes.
func inFiles(t testing.TB, fs vfs.FS, want []byte) bool {
	t.Helper()
	for _, name := range storeFiles(t, fs) {
		if bytes.Contains(readFile(t, fs, "store/"+name), want) {
			return true
		}
	}
	return false
}

// withDatabase lets change work on the rows of a closed store.
func withDatabase(t testing.TB, fs vfs.FS, change func(db *pebble.DB)) {
	t.Helper()
	db, err := pebble.Open("store", &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	change(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// silent is a logger of the database that says nothing.
type silent struct{}

func (silent) Infof(string, ...any)           {}
func (silent) Errorf(string, ...any)          {}
func (silent) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

// damagedStoreFeed is a feed of auditBlocks in which the bytes of the blocks 3, in a
// group, and 50, in a row of its own, are not what was appended.
func damagedStoreFeed(t *testing.T) *engine.Feed {
	fs := vfs.NewMem()
	s, err := engine.Open("store", &engine.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	f := createFeed(t, s, nil)
	key := f.Key()
	mustAppend(t, f, auditBlocks()...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	rewriteBlocks(t, fs, 3, 50)
	s = openStore(t, &engine.Options{FS: fs})
	if f, err = s.Open(t.Context(), key, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// rewriteBlocks changes the content of blocks of auditBlocks wherever it stands.
func rewriteBlocks(t testing.TB, fs vfs.FS, indexes ...int) {
	t.Helper()
	withDatabase(t, fs, func(db *pebble.DB) {
		for _, i := range indexes {
			found := false
			old := auditBlocks()[i]
			it, err := db.NewIter(nil)
			if err != nil {
				t.Fatal(err)
			}
			for it.First(); it.Valid(); it.Next() {
				v, err := it.ValueAndErr()
				if err != nil {
					t.Fatal(err)
				}
				if at := bytes.Index(v, old); at >= 0 {
					v = bytes.Clone(v)
					v[at] ^= 1
					if err := db.Set(it.Key(), v, pebble.Sync); err != nil {
						t.Fatal(err)
					}
					found = true
				}
			}
			if err := it.Close(); err != nil {
				t.Fatal(err)
			}
			if !found {
				t.Fatalf("no row has block %d", i)
			}
		}
	})
}

// damagedFilesFeed is the same in files.
func damagedFilesFeed(t *testing.T) *engine.Feed {
	m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	f, err := engine.OpenFiles(t.Context(), m.Open, nil)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, f, auditBlocks()...)
	f.Close()
	size := int64(len(auditBlocks()[0]))
	data, err := m.Open("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int64{3, 50} {
		if _, err := data.WriteAt([]byte("T"), i*size); err != nil {
			t.Fatal(err)
		}
	}
	data.Close()
	if f, err = engine.OpenFiles(t.Context(), m.Open, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
