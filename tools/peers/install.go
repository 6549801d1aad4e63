package peers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Kind names a reference implementation; it is the name of its directory.
type Kind string

// The reference implementations, each in a directory of its own because their dependencies exclude each other.
const (
	Hypercore9  Kind = "hc9"   // hypercore 9.12 and multifeed 6
	Hypercore1  Kind = "hc1"   // hypercore 1.8
	Hyperswarm2 Kind = "hs2"   // hyperswarm 2.15 and its DHT
	Hyperswarm4 Kind = "hs4"   // hyperswarm 4.17
	HyperDHT6   Kind = "node6" // hyperdht 6.34, udx-native, secret-stream
)

// Kinds returns every kind.
func Kinds() []Kind {
	return []Kind{Hypercore9, Hypercore1, Hyperswarm2, Hyperswarm4, HyperDHT6}
}

// ErrNotInstalled says that a reference implementation cannot run here, and how to get it.
var ErrNotInstalled = errors.New("reference peers are not installed: get Node.js 18 or newer with npm, then run \"make peers\"")

// Required reports whether a missing reference implementation fails tests instead of skipping them: the environment
// variable CAIRN_PEERS is "required".
func Required() bool { return os.Getenv("CAIRN_PEERS") == "required" }

// Dir returns the directory of a kind, with its package.json, node_modules and scripts. It is found from the working directory,
// which "go test" sets to the directory of the package under test, upwards. The error is [ErrNotInstalled] when node or
// the packages are missing.
func Dir(kind Kind) (string, error) {
	if _, err := exec.LookPath("node"); err != nil {
		return "", fmt.Errorf("%w (%w)", ErrNotInstalled, err)
	}
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		dir := filepath.Join(at, "tools", "peers", string(kind))
		if _, err := os.Stat(filepath.Join(dir, "package.json")); err == nil {
			return dir, installed(dir)
		}
		up := filepath.Dir(at)
		if up == at {
			return "", fmt.Errorf("peers: no directory tools/peers/%s here or above", kind)
		}
		at = up
	}
}

// installed returns ErrNotInstalled when the packages of a directory are not there. It opens the files that a test's result
// depends on, so that "go test" does not take a cached one for them when they changed.
func installed(dir string) error {
	files := []string{
		filepath.Join(dir, "peer.js"),
		filepath.Join(filepath.Dir(dir), "line.js"),
		filepath.Join(dir, "node_modules", ".package-lock.json"), // npm writes it last
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("%w (%w)", ErrNotInstalled, err)
		}
		f.Close()
	}
	return nil
}

// dirOrSkip is Dir for a test: what is not installed skips it, or fails it where peers are required.
func dirOrSkip(t testing.TB, kind Kind) string {
	t.Helper()
	dir, err := Dir(kind)
	switch {
	case err == nil:
		return dir
	case errors.Is(err, ErrNotInstalled) && !Required():
		t.Skip(ErrNotInstalled) // without the details, so that all such skips read alike
	default:
		t.Fatal(err)
	}
	return ""
}
