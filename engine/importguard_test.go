package engine_test

import (
	"testing"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
)

// TestImportKeepsGuard: files with the secret key, imported onto a copy of the feed
// that had none, say nothing about copies elsewhere.
func TestImportKeepsGuard(t *testing.T) {
	f := createFeed(t, openStore(t, nil), nil)
	mustAppend(t, f, []byte("a"), []byte("b"))
	export := func(public bool) *randomaccess.Memory {
		m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
		if err := f.Export(t.Context(), m.Open, &engine.ExportOptions{Public: public}); err != nil {
			t.Fatal(err)
		}
		return m
	}
	s := openStore(t, nil)
	if _, err := s.Import(t.Context(), export(true).Open, nil); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, f, []byte("c"))
	in, err := s.Import(t.Context(), export(false).Open, nil)
	if err != nil || in.Length != 3 || !in.Writable {
		t.Fatalf("%+v, %v", in, err)
	}
	if info, err := s.Info(f.DiscoveryKey()); err != nil || !info.Guarded {
		t.Errorf("guarded %v, %v", info.Guarded, err)
	}
	// On its own the same export is the feed, moved here.
	alone := openStore(t, nil)
	if _, err := alone.Import(t.Context(), export(false).Open, nil); err != nil {
		t.Fatal(err)
	}
	if info, err := alone.Info(f.DiscoveryKey()); err != nil || info.Guarded {
		t.Errorf("guarded %v, %v", info.Guarded, err)
	}
}
