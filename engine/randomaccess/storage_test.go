package randomaccess_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/randomaccess/randomaccesstest"
)

func TestMemory(t *testing.T) {
	randomaccesstest.Test(t, func(testing.TB) randomaccess.Opener {
		return randomaccess.NewMemory(randomaccess.MemoryOptions{}).Open
	}, randomaccesstest.Options{})
}

func TestDirectory(t *testing.T) {
	randomaccesstest.Test(t, func(t testing.TB) randomaccess.Opener {
		return randomaccess.NewDirectory(filepath.Join(t.TempDir(), "not", "yet"), randomaccess.DirectoryOptions{}).Open
	}, randomaccesstest.Options{})
}

func TestDirectoryNoLock(t *testing.T) {
	dir := randomaccess.NewDirectory(t.TempDir(), randomaccess.DirectoryOptions{NoLock: true})
	for range 2 {
		s, err := dir.Open("bitfield")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.WriteAt([]byte("x"), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// A function of the user's own is an opener too.
func TestFunction(t *testing.T) {
	randomaccesstest.Test(t, func(t testing.TB) randomaccess.Opener {
		memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
		dir := randomaccess.NewDirectory(t.TempDir(), randomaccess.DirectoryOptions{})
		return func(name string) (randomaccess.Storage, error) {
			if strings.HasSuffix(name, "data") {
				return dir.Open(name)
			}
			return memory.Open(name)
		}
	}, randomaccesstest.Options{})
}

func TestMemoryBound(t *testing.T) {
	m := randomaccess.NewMemory(randomaccess.MemoryOptions{MaxBytes: 3 * 4096})
	data, err := m.Open("data")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := m.Open("tree")
	if err != nil {
		t.Fatal(err)
	}
	// A hole costs nothing, however far it reaches.
	if _, err := data.WriteAt([]byte("x"), math.MaxInt64-1); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.WriteAt(make([]byte, 4097), 0); err != nil {
		t.Fatal(err)
	}
	if got := m.Used(); got != 3*4096 {
		t.Errorf("used %d bytes, want 3 pages", got)
	}
	if _, err := tree.WriteAt([]byte("yz"), 2*4096-1); !errors.Is(err, randomaccess.ErrNoSpace) {
		t.Errorf("write past the bound: %v, want ErrNoSpace", err)
	}
	if st, _ := tree.Stat(); st.Size != 4097 {
		t.Errorf("the refused write changed the size to %d", st.Size)
	}
	if err := tree.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	if _, err := data.WriteAt([]byte("yz"), 100); err != nil {
		t.Errorf("write after freeing a page: %v", err)
	}
	for _, s := range []randomaccess.Storage{data, tree} {
		if err := randomaccess.Destroy(s); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.Used(); got != 0 {
		t.Errorf("used %d bytes after all was destroyed", got)
	}
}

func TestDirectoryCreatesLate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "feed")
	dir := randomaccess.NewDirectory(path, randomaccess.DirectoryOptions{})
	data, err := dir.Open("data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening data made the directory (%v)", err)
	}
	bitfield, err := dir.Open("bitfield")
	if err != nil {
		t.Fatal(err)
	}
	defer bitfield.Close()
	if err := errors.Join(second(data.WriteAt([]byte("abc"), 0)), data.Sync(), data.Close()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 2 {
		t.Fatalf("directory has %v, %v", entries, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for name, want := range map[string]fs.FileMode{"": 0o700 | fs.ModeDir, "data": 0o600, "bitfield": 0o600} {
		st, err := os.Stat(filepath.Join(path, name))
		if err != nil || st.Mode() != want {
			t.Errorf("mode of %q is %v, want %v (%v)", name, st.Mode(), want, err)
		}
	}
}

func TestDirectoryReadOnly(t *testing.T) {
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "data"), []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := randomaccess.NewDirectory(path, randomaccess.DirectoryOptions{ReadOnly: true})
	for _, open := range []randomaccess.Opener{
		dir.Open,
		randomaccess.ReadOnly(randomaccess.NewDirectory(path, randomaccess.DirectoryOptions{}).Open),
	} {
		for _, name := range []string{"data", "tree"} {
			s, err := open(name)
			if err != nil {
				t.Fatal(err)
			}
			for op, err := range map[string]error{
				"WriteAt":  second(s.WriteAt([]byte("x"), 0)),
				"Delete":   s.Delete(0, 9),
				"Truncate": s.Truncate(0),
			} {
				if !errors.Is(err, randomaccess.ErrReadOnly) {
					t.Errorf("%s of read-only %s: %v", op, name, err)
				}
			}
			if err := s.Sync(); err != nil {
				t.Errorf("Sync: %v", err)
			}
			if err := randomaccess.Destroy(s); !errors.Is(err, randomaccess.ErrReadOnly) {
				t.Errorf("Destroy: %v", err)
			}
		}
	}
	if s, err := dir.Open("bitfield"); err != nil {
		t.Error(err)
	} else {
		s.Close()
	}
	if entries, _ := os.ReadDir(path); len(entries) != 1 {
		t.Errorf("read-only opening left %v", entries)
	}
	// An existing bitfield is locked even so.
	if err := os.WriteFile(filepath.Join(path, "bitfield"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := dir.Open("bitfield")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if s, err := dir.Open("bitfield"); !errors.Is(err, randomaccess.ErrLocked) || !strings.Contains(err.Error(), "ELOCKED: File is locked") {
		t.Errorf("second opening: %v, %v", s, err)
	}
}

func TestDirectoryOddFiles(t *testing.T) {
	path := t.TempDir()
	if err := os.Mkdir(filepath.Join(path, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, opts := range []randomaccess.DirectoryOptions{{}, {ReadOnly: true}} {
		s, err := randomaccess.NewDirectory(path, opts).Open("data")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Stat(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("Stat of a directory: %v", err)
		}
		s.Close()
	}
}

func second[T any](_ T, err error) error { return err }

func BenchmarkWriteAt(b *testing.B) {
	for name, open := range map[string]randomaccess.Opener{
		"directory": randomaccess.NewDirectory(b.TempDir(), randomaccess.DirectoryOptions{}).Open,
		"memory":    randomaccess.NewMemory(randomaccess.MemoryOptions{}).Open,
	} {
		b.Run("storage="+name, func(b *testing.B) {
			s, err := open("data")
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			block := make([]byte, 1024)
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			off := int64(0)
			for b.Loop() {
				if _, err := s.WriteAt(block, off); err != nil {
					b.Fatal(err)
				}
				off = (off + int64(len(block))) & (1<<26 - 1)
			}
		})
	}
}

func BenchmarkReadAt(b *testing.B) {
	for name, open := range map[string]randomaccess.Opener{
		"directory": randomaccess.NewDirectory(b.TempDir(), randomaccess.DirectoryOptions{}).Open,
		"memory":    randomaccess.NewMemory(randomaccess.MemoryOptions{}).Open,
	} {
		b.Run("storage="+name, func(b *testing.B) {
			s, err := open("data")
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			if _, err := s.WriteAt(make([]byte, 1<<24), 0); err != nil {
				b.Fatal(err)
			}
			block := make([]byte, 1024)
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			off := int64(0)
			for b.Loop() {
				if _, err := s.ReadAt(block, off); err != nil {
					b.Fatal(err)
				}
				off = (off + 7*int64(len(block))) & (1<<24 - 1024)
			}
		})
	}
}
