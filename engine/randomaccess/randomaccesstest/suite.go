package randomaccesstest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
)

// Options describe the implementation under test. The zero value is right for
// most.
type Options struct {
	// NoLock says that the bitfield can be open more than once.
	NoLock bool
}

// Test runs the conformance suite. The function makes a new, empty set of
// storages; the opener that it returns must find again what was closed before.
func Test(t *testing.T, make func(testing.TB) randomaccess.Opener, opts Options) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, randomaccess.Opener)
	}{
		{"Empty", testEmpty},
		{"ReadWrite", testReadWrite},
		{"Hole", testHole},
		{"Delete", testDelete},
		{"Truncate", testTruncate},
		{"Reopen", testReopen},
		{"Names", testNames},
		{"Invalid", testInvalid},
		{"Closed", testClosed},
		{"Destroy", testDestroy},
		{"Concurrent", testConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, make(t)) })
	}
	t.Run("Model", func(t *testing.T) { testModel(t, make) })
	if !opts.NoLock {
		t.Run("Lock", func(t *testing.T) { testLock(t, make(t)) })
	}
}

func testEmpty(t *testing.T, open randomaccess.Opener) {
	s := mustOpen(t, open, "data")
	wantContent(t, s, "")
	if n, err := s.ReadAt(nil, 0); n != 0 || err != nil {
		t.Errorf("ReadAt of nothing = %d, %v", n, err)
	}
	if n, err := s.ReadAt(make([]byte, 4), 100); n != 0 || err != io.EOF {
		t.Errorf("ReadAt past the end = %d, %v, want 0, EOF", n, err)
	}
	if n, err := s.WriteAt(nil, 10); n != 0 || err != nil {
		t.Errorf("WriteAt of nothing = %d, %v", n, err)
	}
	for name, err := range map[string]error{
		"Delete":   s.Delete(0, math.MaxInt64),
		"Truncate": s.Truncate(0),
		"Sync":     s.Sync(),
	} {
		if err != nil {
			t.Errorf("%s of an empty storage: %v", name, err)
		}
	}
	wantContent(t, s, "")
}

func testReadWrite(t *testing.T, open randomaccess.Opener) {
	s := mustOpen(t, open, "data")
	write(t, s, 0, "hello world")
	write(t, s, 6, "there")
	write(t, s, 11, "!!")
	wantContent(t, s, "hello there!!")

	p := make([]byte, 5)
	if n, err := s.ReadAt(p, 8); n != 5 || err != nil || string(p) != "ere!!" {
		t.Errorf("ReadAt up to the end = %d, %q, %v, want 5, \"ere!!\", nil", n, p, err)
	}
	if n, err := s.ReadAt(p, 10); n != 3 || err != io.EOF || string(p[:n]) != "e!!" {
		t.Errorf("ReadAt over the end = %d, %q, %v, want 3, \"e!!\", EOF", n, p[:n], err)
	}

	// The slice is the caller's again.
	buf := []byte("mine")
	if _, err := s.WriteAt(buf, 0); err != nil {
		t.Fatal(err)
	}
	copy(buf, "XXXX")
	wantContent(t, s, "mineo there!!")
}

func testHole(t *testing.T, open randomaccess.Opener) {
	s := mustOpen(t, open, "data")
	const far = 3<<20 + 17
	write(t, s, far, "end")
	if st, err := s.Stat(); err != nil || st.Size != far+3 {
		t.Fatalf("Stat = %+v, %v, want %d", st, err, far+3)
	}
	p := bytes.Repeat([]byte{1}, 1<<16)
	for off := int64(0); off+int64(len(p)) < far; off += 5 * int64(len(p)) {
		if _, err := s.ReadAt(p, off); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p, make([]byte, len(p))) {
			t.Fatalf("hole at %d does not read as zeros", off)
		}
	}
}

func testDelete(t *testing.T, open randomaccess.Opener) {
	s := mustOpen(t, open, "data")
	write(t, s, 0, "0123456789")
	for _, c := range []struct {
		offset, length int64
		want           string
	}{
		{2, 3, "0123456789"},
		{0, 9, "0123456789"},
		{10, 5, "0123456789"},
		{50, 5, "0123456789"},
		{50, math.MaxInt64, "0123456789"},
		{3, 0, "0123456789"},
		{8, 2, "01234567"},
		{6, 100, "012345"},
		{4, math.MaxInt64, "0123"},
		{0, math.MaxInt64, ""},
	} {
		if err := s.Delete(c.offset, c.length); err != nil {
			t.Fatalf("Delete(%d, %d): %v", c.offset, c.length, err)
		}
		if got := content(t, s); got != c.want {
			t.Fatalf("after Delete(%d, %d): %q, want %q", c.offset, c.length, got, c.want)
		}
	}
	write(t, s, 2, "x")
	wantContent(t, s, "\x00\x00x")
}

func testTruncate(t *testing.T, open randomaccess.Opener) {
	s := mustOpen(t, open, "data")
	for _, c := range []struct {
		size int64
		want string
	}{{3, "\x00\x00\x00"}, {0, ""}} {
		if err := s.Truncate(c.size); err != nil {
			t.Fatal(err)
		}
		wantContent(t, s, c.want)
	}
	write(t, s, 0, "0123456789")
	if err := s.Truncate(4); err != nil {
		t.Fatal(err)
	}
	wantContent(t, s, "0123")
	// What was cut off does not come back.
	if err := s.Truncate(6); err != nil {
		t.Fatal(err)
	}
	wantContent(t, s, "0123\x00\x00")
	write(t, s, 8, "z")
	wantContent(t, s, "0123\x00\x00\x00\x00z")
}

func testReopen(t *testing.T, open randomaccess.Opener) {
	s := mustOpen(t, open, "tree")
	write(t, s, 3, "kept")
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, open, "tree")
	wantContent(t, s, "\x00\x00\x00kept")
	write(t, s, 0, "and")
	wantContent(t, s, "andkept")
}

func testNames(t *testing.T, open randomaccess.Opener) {
	names := []string{"key", "secret_key", "0/key", "0/secret_key", "10/key"}
	for _, name := range names {
		write(t, mustOpen(t, open, name), 0, "this is "+name)
	}
	for _, name := range names {
		wantContent(t, mustOpen(t, open, name), "this is "+name)
	}
	wantContent(t, mustOpen(t, randomaccess.Prefix(open, "0"), "key"), "this is 0/key")
	for _, name := range []string{"", ".", "..", "../key", "a/../../key", "/key"} {
		if s, err := open(name); err == nil {
			s.Close()
			t.Errorf("opened the name %q", name)
		}
	}
}

func testInvalid(t *testing.T, open randomaccess.Opener) {
	s := mustOpen(t, open, "data")
	write(t, s, 0, "abc")
	p := make([]byte, 2)
	for name, f := range map[string]func() error{
		"ReadAt negative":        func() error { _, err := s.ReadAt(p, -1); return err },
		"WriteAt negative":       func() error { _, err := s.WriteAt(p, -1); return err },
		"ReadAt overflow":        func() error { _, err := s.ReadAt(p, math.MaxInt64); return err },
		"WriteAt overflow":       func() error { _, err := s.WriteAt(p, math.MaxInt64); return err },
		"Delete negative":        func() error { return s.Delete(-1, 1) },
		"Delete negative length": func() error { return s.Delete(0, -1) },
		"Truncate negative":      func() error { return s.Truncate(-1) },
	} {
		if err := f(); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v, want fs.ErrInvalid", name, err)
		}
	}
	wantContent(t, s, "abc")
}

func testClosed(t *testing.T, open randomaccess.Opener) {
	for _, name := range []string{"never-written", "data"} {
		s := mustOpen(t, open, name)
		if name == "data" {
			write(t, s, 0, "abc")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 1)
		for op, f := range map[string]func() error{
			"ReadAt":   func() error { _, err := s.ReadAt(p, 0); return err },
			"WriteAt":  func() error { _, err := s.WriteAt(p, 0); return err },
			"Delete":   func() error { return s.Delete(0, 1) },
			"Truncate": func() error { return s.Truncate(1) },
			"Stat":     func() error { _, err := s.Stat(); return err },
			"Sync":     s.Sync,
		} {
			if err := f(); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("%s of closed %s: %v, want fs.ErrClosed", op, name, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("second Close of %s: %v", name, err)
		}
	}
}

func testDestroy(t *testing.T, open randomaccess.Opener) {
	for _, name := range []string{"data", "never-written"} {
		s := mustOpen(t, open, name)
		if name == "data" {
			write(t, s, 0, "abc")
		}
		if err := randomaccess.Destroy(s); err != nil {
			t.Fatalf("Destroy of %s: %v", name, err)
		}
		if _, err := s.Stat(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Stat after Destroy: %v, want fs.ErrClosed", err)
		}
		wantContent(t, mustOpen(t, open, name), "")
	}
}

func testConcurrent(t *testing.T, open randomaccess.Opener) {
	s := mustOpen(t, open, "data")
	const writers, each, size = 4, 50, 1000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			p := bytes.Repeat([]byte{byte(w + 1)}, size)
			for i := range each {
				off := int64(i*writers+w) * size
				if _, err := s.WriteAt(p, off); err != nil {
					t.Error(err)
				}
				got := make([]byte, size)
				if _, err := s.ReadAt(got, off); err != nil || !bytes.Equal(got, p) {
					t.Errorf("block of writer %d at %d was not read back: %v", w, off, err)
				}
				if _, err := s.Stat(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range writers * each {
		got := make([]byte, size)
		if _, err := s.ReadAt(got, int64(i)*size); err != nil || got[0] != byte(i%writers+1) || got[size-1] != got[0] {
			t.Fatalf("block %d: starts with %d, %v", i, got[0], err)
		}
	}
}

func testLock(t *testing.T, open randomaccess.Opener) {
	for _, name := range []string{"bitfield", "7/bitfield"} {
		s := mustOpen(t, open, name)
		other, err := open(name)
		if err == nil {
			_, err = other.WriteAt([]byte("x"), 0)
			other.Close()
		}
		if !errors.Is(err, randomaccess.ErrLocked) {
			t.Errorf("second opening of %s: %v, want ErrLocked", name, err)
		}
		write(t, s, 0, "still mine")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantContent(t, mustOpen(t, open, name), "still mine")
	}
	// Other names are not locked.
	mustOpen(t, open, "data")
	mustOpen(t, open, "data")
}

// testModel compares random operations with a slice.
func testModel(t *testing.T, make func(testing.TB) randomaccess.Opener) {
	open := make(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		name := fmt.Sprintf("%d/data", run)
		s, err := open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { s.Close() }()
		var model []byte
		grow := func(size int) {
			for len(model) < size {
				model = append(model, 0)
			}
		}
		offsets := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 20000))
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				p := rapid.SliceOfN(rapid.Byte(), 0, 6000).Draw(t, "bytes")
				off := offsets.Draw(t, "offset")
				if n, err := s.WriteAt(p, int64(off)); n != len(p) || err != nil {
					t.Fatalf("WriteAt = %d, %v", n, err)
				}
				if len(p) > 0 {
					grow(off + len(p))
					copy(model[off:], p)
				}
			},
			"delete": func(t *rapid.T) {
				off, length := offsets.Draw(t, "offset"), offsets.Draw(t, "length")
				if err := s.Delete(int64(off), int64(length)); err != nil {
					t.Fatal(err)
				}
				if off < len(model) && off+length >= len(model) {
					model = model[:off:off]
				}
			},
			"truncate": func(t *rapid.T) {
				size := offsets.Draw(t, "size")
				if err := s.Truncate(int64(size)); err != nil {
					t.Fatal(err)
				}
				grow(size)
				model = model[:size:size]
			},
			"reopen": func(t *rapid.T) {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = open(name); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				st, err := s.Stat()
				if err != nil || st.Size != int64(len(model)) {
					t.Fatalf("Stat = %+v, %v, want %d", st, err, len(model))
				}
				got := bytes.Repeat([]byte{0xa5}, len(model))
				if _, err := s.ReadAt(got, 0); err != nil || !bytes.Equal(got, model) {
					t.Fatalf("content differs from the model (%v)", err)
				}
				off := offsets.Draw(t, "read offset")
				want := model[min(off, len(model)):]
				p := bytes.Repeat([]byte{0xa5}, 50)
				wantErr := io.EOF
				if len(want) >= len(p) {
					want, wantErr = want[:len(p)], nil
				}
				if n, err := s.ReadAt(p, int64(off)); !bytes.Equal(p[:n], want) || err != wantErr {
					t.Fatalf("ReadAt(50, %d) = %d, %v, want %d, %v", off, n, err, len(want), wantErr)
				}
			},
		})
	})
}

func mustOpen(t *testing.T, open randomaccess.Opener, name string) randomaccess.Storage {
	t.Helper()
	s, err := open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func write(t *testing.T, s randomaccess.Storage, off int64, data string) {
	t.Helper()
	if n, err := s.WriteAt([]byte(data), off); n != len(data) || err != nil {
		t.Fatalf("WriteAt(%d bytes, %d) = %d, %v", len(data), off, n, err)
	}
}

func content(t *testing.T, s randomaccess.Storage) string {
	t.Helper()
	st, err := s.Stat()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, st.Size)
	if _, err := s.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func wantContent(t *testing.T, s randomaccess.Storage, want string) {
	t.Helper()
	if got := content(t, s); got != want {
		t.Fatalf("content is %q, want %q", got, want)
	}
}
