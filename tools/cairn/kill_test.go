package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/engine"
)

// killLine is the block that the test appends at an index.
func killLine(index uint64) string {
	return fmt.Sprintf("block %d %s", index, strings.Repeat("x", int(index*37%700)))
}

// TestKill kills an append at random times. Under the default policy nothing that it has acknowledged is lost, the audit is
// clean, and the feed can be appended to at once.
func TestKill(t *testing.T) {
	rounds := 25
	if os.Getenv("CAIRN_NIGHTLY") != "" {
		rounds = 100
	}
	if testing.Short() {
		rounds = 5
	}
	store := filepath.Join(t.TempDir(), "store")
	cairn(t, nil, "feed", "new", "log", "--store", store)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	length := uint64(0)
	for round := range rounds {
		acknowledged, batches := appendAndKill(t, store, length, time.Duration(random.IntN(80))*time.Millisecond)
		t.Logf("seed %d, round %d: %d blocks acknowledged in %d batches", seed, round, acknowledged-length, batches)
		length = soundLength(t, store, length, acknowledged)
	}
	if length < uint64(rounds) {
		t.Errorf("only %d blocks in %d rounds: the kills came before anything happened", length, rounds)
	}
	cairn(t, nil, "check", "--store", store)
}

// TestKillUnsynced kills an append that does not sync. What was acknowledged may be gone after a crash of the machine, while
// peers have it: appends are refused until somebody vouches that none does.
func TestKillUnsynced(t *testing.T) {
	for _, policy := range []string{"periodic", "never"} {
		store := newStore(t, "log")
		appendTo(t, store, "log", []byte("zero"))
		p := start(t, "feed", "append", "log", "--lines", "--json", "--sync", policy, "--store", store)
		io.WriteString(p.in, "one\n")
		p.line(t)
		p.Process.Kill()
		p.end(t)
		file := filepath.Join(t.TempDir(), "more")
		if err := os.WriteFile(file, []byte("two\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, status := outcome(t, "feed", "append", "log", file, "--store", store)
		if status != 1 || out != "" || !strings.Contains(errs, "not closed in order") || !strings.Contains(errs, "--force") {
			t.Errorf("%s: status %d, %q, %q", policy, status, out, errs)
		}
		if _, errs, status := outcome(t, "feed", "append", "log", file, "--force", "--store", store); status != 0 || errs != "" {
			t.Errorf("%s: forced: status %d, %q", policy, status, errs)
		}
		var info struct{ Length uint64 }
		// Block 1 may be lost or not.
		if cairn(t, &info, "feed", "info", "log", "--json", "--store", store); info.Length != 2 && info.Length != 3 {
			t.Errorf("%s: the feed has %d blocks", policy, info.Length)
		}
	}
}

// appendAndKill appends lines from an index on, kills the process some time after the first acknowledgement, and returns the
// length that was acknowledged.
func appendAndKill(t *testing.T, store string, from uint64, after time.Duration) (length uint64, batches int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "cairn", "feed", "append", "log", "--lines", "--json", "--store", store)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := from; ; i++ {
			if _, err := io.WriteString(stdin, killLine(i)+"\n"); err != nil {
				return // the reader is dead
			}
		}
	}()
	length = from
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var b struct{ Seq, Length uint64 }
		if err := json.Unmarshal(lines.Bytes(), &b); err != nil {
			t.Fatalf("a line that was cut off came out: %q", lines.Text())
		}
		if b.Seq != length || b.Length <= b.Seq {
			t.Fatalf("after %d blocks came %q", length, lines.Text())
		}
		if length = b.Length; batches == 0 {
			time.AfterFunc(after, func() { cmd.Process.Kill() })
		}
		batches++
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() >= 0 {
		t.Fatalf("the append ended by itself: %v", err)
	}
	return length, batches
}

// soundLength verifies a feed after a kill and returns its length, which is at least what was acknowledged. What was there
// before the append is only audited.
func soundLength(t *testing.T, store string, before, acknowledged uint64) uint64 {
	t.Helper()
	s, err := engine.Open(store, &engine.Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	info, err := s.Find("log")
	if err != nil {
		t.Fatal(err)
	}
	if info.Length < acknowledged || info.Downloaded != info.Length || info.Guarded {
		t.Fatalf("%d blocks were acknowledged: %+v", acknowledged, info)
	}
	f, err := s.Open(t.Context(), info.Key, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b, err := range f.Blocks(t.Context(), &engine.StreamOptions{Start: before, NoWait: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if want := killLine(b.Index); string(b.Data) != want {
			t.Fatalf("block %d is %q, want %q", b.Index, b.Data, want)
		}
	}
	if a, err := f.Audit(t.Context(), nil); err != nil || a.Invalid > 0 || a.Valid != info.Length {
		t.Fatalf("audit: %+v, %v", a, err)
	}
	if _, sig, err := f.Signature(info.Length - 1); err != nil || f.Verify(info.Length-1, sig) != nil {
		t.Fatalf("the head is not signed: %v", err)
	}
	return info.Length
}
