package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// outcome runs the command and returns what it printed and its status.
func outcome(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "cairn", args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestDamage flips a bit of a block that is stored: check and audit tell, get does not serve it, everything else is as it
// was.
func TestDamage(t *testing.T) {
	store := newStore(t, "mine")
	const count, size = 40, 5000 // large enough for blocks to be stored one by one
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, count*size)
	random.Read(data)
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cairn(t, nil, "feed", "append", "mine", file, "--block-size", strconv.Itoa(size), "--store", store)
	cairn(t, nil, "compact", "--store", store)
	if out, _, status := outcome(t, "check", "--json", "--store", store); status != 0 {
		t.Fatalf("check of a new store: %d: %s", status, out)
	}

	const hurt = 17
	flip(t, store, data[hurt*size:(hurt+1)*size])

	get := func(index int) (string, string, int) {
		return outcome(t, "feed", "get", "mine", strconv.Itoa(index), "--store", store)
	}
	if out, errs, status := get(hurt); status != 1 || out != "" || errs == "" {
		t.Errorf("the damaged block: status %d, %d bytes, %q", status, len(out), errs)
	}
	if out, _, status := get(0); status != 0 || out != string(data[:size]) {
		t.Errorf("another block: status %d, %d bytes", status, len(out))
	}
	out, _, status := outcome(t, "feed", "cat", "mine", "--store", store)
	if status != 1 || !bytes.HasPrefix(data, []byte(out)) || len(out) > hurt*size {
		t.Errorf("cat: status %d, %d bytes", status, len(out))
	}

	var audit struct {
		Valid, Invalid uint64
		Damaged        [][2]uint64
	}
	out, _, status = outcome(t, "feed", "audit", "mine", "--json", "--store", store)
	if err := json.Unmarshal([]byte(out), &audit); err != nil || status != 1 || audit.Invalid == 0 || audit.Valid+audit.Invalid != count {
		t.Errorf("audit: status %d, %s, %v", status, out, err)
	}
	contains := func(ranges [][2]uint64) bool {
		for _, r := range ranges {
			if r[0] <= hurt && hurt < r[1] {
				return true
			}
		}
		return false
	}
	if !contains(audit.Damaged) {
		t.Errorf("audit does not name block %d: %v", hurt, audit.Damaged)
	}
	if out, _, status := outcome(t, "feed", "audit", "mine", "--store", store); status != 1 || out == "" {
		t.Errorf("audit as text: status %d, %s", status, out)
	}

	var check struct {
		Clean        bool
		ProblemCount int
		Problems     []struct{ What, Error string }
	}
	out, _, status = outcome(t, "check", "--json", "--store", store)
	if err := json.Unmarshal([]byte(out), &check); err != nil || status != 4 || check.Clean || check.ProblemCount == 0 || len(check.Problems) == 0 {
		t.Errorf("check: status %d, %s, %v", status, out, err)
	}
	if out, _, status := outcome(t, "check", "--store", store); status != 4 || out == "" {
		t.Errorf("check as text: status %d, %s", status, out)
	}
	if _, _, status := outcome(t, "feed", "verify", "mine", "--store", store); status != 0 {
		t.Errorf("verify, which looks at no blocks: status %d", status)
	}
}

// flip flips one bit in the middle of some bytes, in the file of the store that holds them.
func flip(t *testing.T, store string, content []byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(store, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if st, err := os.Stat(name); err != nil || !st.Mode().IsRegular() {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, content[:1000]); at >= 0 {
			b[at+500] ^= 0x10
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Logf("flipped a bit of %s", filepath.Base(name))
			return
		}
	}
	t.Fatal("no file of the store holds the block as it is")
}

// TestDamagedStore breaks what opening the store needs: that is damage, not a mistake of the user.
func TestDamagedStore(t *testing.T) {
	store := newStore(t, "mine")
	manifests, err := filepath.Glob(filepath.Join(store, "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatal(err, manifests)
	}
	for _, name := range manifests {
		if err := os.WriteFile(name, bytes.Repeat([]byte{0xff}, 100), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, errs, status := outcome(t, "check", "--store", store); status != 4 || errs == "" {
		t.Errorf("check: status %d, %s, %s", status, out, errs)
	}
	if _, errs, status := outcome(t, "feed", "ls", "--store", store); status != 1 || errs == "" {
		t.Errorf("ls: status %d, %s", status, errs)
	}
}
