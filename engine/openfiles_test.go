package engine_test

import (
	"errors"
	"testing"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
)

// writeFiles makes a feed of n blocks on files in memory.
func writeFiles(t *testing.T, n int) *randomaccess.Memory {
	t.Helper()
	m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	f, err := engine.OpenFiles(t.Context(), m.Open, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		mustAppend(t, f, []byte{byte(i)})
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

func cutFile(t *testing.T, m *randomaccess.Memory, name string, size int64) {
	t.Helper()
	s, err := m.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Truncate(size), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestFilesBehind: a writer whose files lost their end is guarded, since peers may
// have more of it.
func TestFilesBehind(t *testing.T) {
	m := writeFiles(t, 8)
	cutFile(t, m, sleep.TreeFile, sleep.NodeOffset(7))
	f, err := engine.OpenFiles(t.Context(), m.Open, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !f.Guarded() || f.Length() >= 8 {
		t.Fatalf("guarded %v at length %d", f.Guarded(), f.Length())
	}
	if _, err := f.Append(t.Context(), []byte("x")); !errors.Is(err, engine.ErrGuarded) {
		t.Errorf("append: %v", err)
	}
}

// TestFilesSignedAgain: a writer whose last signature was lost signs its length
// when it is opened.
func TestFilesSignedAgain(t *testing.T) {
	m := writeFiles(t, 8)
	cutFile(t, m, sleep.SignaturesFile, sleep.HeaderSize)
	f, err := engine.OpenFiles(t.Context(), m.Open, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Guarded() || f.Length() != 8 {
		t.Fatalf("guarded %v at length %d", f.Guarded(), f.Length())
	}
	at, sig, err := f.Signature(f.Length() - 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Verify(at, sig); err != nil {
		t.Error(err)
	}
}
