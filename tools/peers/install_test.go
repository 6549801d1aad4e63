package peers

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// recorder is a test that notes how it was ended.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper() {}

func (r *recorder) Skip(args ...any) {
	r.skipped = fmt.Sprint(args...)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) {
	r.failed = fmt.Sprint(args...)
	runtime.Goexit()
}

// record runs f as a test would.
func record(f func(testing.TB)) *recorder {
	r := new(recorder)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CAIRN_PEERS", "")
	for _, kind := range Kinds() {
		if _, err := Dir(kind); !errors.Is(err, ErrNotInstalled) {
			t.Errorf("%s without node: %v", kind, err)
		}
		r := record(func(t testing.TB) { Start(t, kind) })
		if !strings.Contains(r.skipped, "make peers") || strings.Contains(r.skipped, "\n") || r.failed != "" {
			t.Errorf("%s without node: skipped with %q, failed with %q", kind, r.skipped, r.failed)
		}
	}
	t.Setenv("CAIRN_PEERS", "required")
	if r := record(func(t testing.TB) { Start(t, Hypercore9) }); r.skipped != "" || !strings.Contains(r.failed, "make peers") {
		t.Errorf("required: skipped with %q, failed with %q", r.skipped, r.failed)
	}
}

// A misspelt kind is a mistake of the test, wherever it runs.
func TestUnknownKind(t *testing.T) {
	dirOrSkip(t, Hypercore9)
	t.Setenv("CAIRN_PEERS", "")
	if r := record(func(t testing.TB) { Start(t, "hc7") }); r.failed == "" {
		t.Errorf("skipped with %q", r.skipped)
	}
}

// The packages are pinned: exact versions, every file by its hash, and no host that they must come from.
func TestLockFiles(t *testing.T) {
	exact := regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	for _, kind := range Kinds() {
		var manifest struct{ Dependencies, Overrides map[string]string }
		readJSON(t, filepath.Join(string(kind), "package.json"), &manifest)
		var lock struct {
			Packages map[string]struct{ Version, Resolved, Integrity string }
		}
		readJSON(t, filepath.Join(string(kind), "package-lock.json"), &lock)
		for name, version := range manifest.Dependencies {
			if !exact.MatchString(version) {
				t.Errorf("%s: %s is not pinned: %s", kind, name, version)
			}
			if got := lock.Packages["node_modules/"+name].Version; got != version {
				t.Errorf("%s: %s is %s in package.json and %q in the lock file", kind, name, version, got)
			}
		}
		for path, p := range lock.Packages {
			if path != "" && p.Integrity == "" {
				t.Errorf("%s: %s has no hash", kind, path)
			}
			if p.Resolved != "" {
				t.Errorf("%s: %s names where it comes from: %s", kind, path, p.Resolved)
			}
		}
	}
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
