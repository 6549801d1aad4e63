package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/engine"
)

// process is the command while it runs.
type process struct {
	*exec.Cmd
	in    io.WriteCloser
	lines chan string // of stdout; closed at its end
	err   bytes.Buffer
}

// start starts the command, which is killed at the end of the test.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.CommandContext(t.Context(), "cairn", args...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{Cmd: cmd, lines: make(chan string, 1000)}
	p.Stderr = &p.err
	var err error
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	return p
}

// patience is how long a line or an end may take on a machine that has much else to do.
const patience = 20 * time.Second

// line returns the next line of stdout.
func (p *process) line(t *testing.T) string {
	t.Helper()
	select {
	case s, ok := <-p.lines:
		if !ok {
			t.Fatalf("stdout has ended: %s", p.err.Bytes())
		}
		return s
	case <-time.After(patience):
		t.Fatal("no line came")
	}
	return ""
}

// end waits for the end and returns the exit status and the lines that are left.
func (p *process) end(t *testing.T) (status int, rest []string) {
	t.Helper()
	kill := time.AfterFunc(patience, func() { p.Process.Kill() })
	defer kill.Stop()
	for s := range p.lines {
		rest = append(rest, s)
	}
	_ = p.Wait() // the status says it
	return p.ProcessState.ExitCode(), rest
}

func newStore(t *testing.T, feeds ...string) string {
	t.Helper()
	store := filepath.Join(t.TempDir(), "store")
	for _, name := range feeds {
		cairn(t, nil, "feed", "new", name, "--store", store)
	}
	return store
}

// Somebody who waits for an acknowledgement before sending the next line gets it; the store is closed in order at the end of
// the input.
func TestAppendAnswers(t *testing.T) {
	store := newStore(t, "log")
	p := start(t, "feed", "append", "log", "--lines", "--json", "--store", store)
	for i := range uint64(20) {
		sent := time.Now()
		io.WriteString(p.in, "x\n")
		var b struct{ Seq, Length, ByteLength uint64 }
		if err := json.Unmarshal([]byte(p.line(t)), &b); err != nil || b.Seq != i || b.Length != i+1 || b.ByteLength != i+1 {
			t.Fatalf("line %d: %+v, %v", i, b, err)
		}
		t.Logf("line %d was acknowledged after %v", i, time.Since(sent))
	}
	io.WriteString(p.in, "two\nlines\nand a half")
	p.in.Close()
	status, rest := p.end(t)
	if status != 0 || !strings.Contains(strings.Join(rest, ""), `"length":23,`) {
		t.Errorf("ended with %d and %q: %s", status, rest, p.err.Bytes())
	}
	requireClosed(t, store)
}

// requireClosed opens the store and looks whether the process before has closed it.
func requireClosed(t *testing.T, store string) {
	t.Helper()
	s, err := engine.Open(store, &engine.Options{MustExist: true, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Recovery().Unclean {
		t.Error("the store was not closed in order")
	}
}

// A signal ends an append from stdin like the end of its input: what is complete stays, the store is closed.
func TestAppendSignal(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if runtime.GOOS == "windows" {
			t.Skip("processes do not get signals here")
		}
		store := newStore(t, "log")
		p := start(t, "feed", "append", "log", "--lines", "--json", "--sync", "never", "--store", store)
		io.WriteString(p.in, "one\n")
		p.line(t)
		io.WriteString(p.in, "two\nhalf")
		p.line(t)
		if err := p.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if status, rest := p.end(t); status != 0 || len(rest) > 0 || p.err.Len() > 0 {
			t.Errorf("%v: ended with %d and %q: %s", signal, status, rest, p.err.Bytes())
		}
		requireClosed(t, store)
		var info struct{ Length, ByteLength uint64 }
		if cairn(t, &info, "feed", "info", "log", "--json", "--store", store); info.Length != 2 || info.ByteLength != 6 {
			t.Errorf("%v: the feed has %+v", signal, info)
		}
	}
}

// A file that was not appended to its end is a failure, and says how far it came.
func TestAppendFileSignal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("processes do not get signals here")
	}
	store := newStore(t, "log")
	p := start(t, "feed", "append", "log", "--block-size", "10", "--json", "--store", store)
	io.WriteString(p.in, strings.Repeat("0123456789", 5)+"012")
	p.line(t)
	p.Process.Signal(os.Interrupt)
	if status, _ := p.end(t); status != 1 || !strings.Contains(p.err.String(), "appended before that: 5 blocks") {
		t.Errorf("ended with %d: %s", status, p.err.Bytes())
	}
	requireClosed(t, store)
}

// Nobody reads the acknowledgements any more: the command ends, and the store is closed in order.
func TestAppendBrokenPipe(t *testing.T) {
	store := newStore(t, "log")
	cmd := exec.CommandContext(t.Context(), "cairn", "feed", "append", "log", "--lines", "--json", "--store", store)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	cmd.Stdout, cmd.Stdin = w, strings.NewReader("one\n")
	out := new(bytes.Buffer)
	cmd.Stderr = out
	err = cmd.Run()
	w.Close()
	if err == nil || cmd.ProcessState.ExitCode() != 1 || out.Len() > 0 {
		t.Errorf("%v, %q", err, out)
	}
	requireClosed(t, store)
}

// cat --live shows what other processes append, and lets them.
func TestCatLive(t *testing.T) {
	store := newStore(t, "log")
	appendLines := func(text string) {
		cmd := exec.CommandContext(t.Context(), "cairn", "feed", "append", "log", "--lines", "--store", store)
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	appendLines("zero\none\n")
	p := start(t, "feed", "cat", "log", "--lines", "--live", "--start", "1", "--store", store)
	got := []string{p.line(t)}
	for _, text := range []string{"two\n", "three\nfour\n", "five\n"} {
		appendLines(text)
		for range strings.Count(text, "\n") {
			got = append(got, p.line(t))
		}
	}
	if want := []string{"one", "two", "three", "four", "five"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if runtime.GOOS == "windows" {
		p.Process.Kill()
	} else {
		p.Process.Signal(syscall.SIGTERM)
	}
	if status, rest := p.end(t); runtime.GOOS != "windows" && (status != 0 || len(rest) > 0) {
		t.Errorf("ended with %d and %q: %s", status, rest, p.err.Bytes())
	}
	// With an end it ends by itself.
	p = start(t, "feed", "cat", "log", "--lines", "--live", "--end", "7", "--start", "5", "--store", store)
	p.line(t)
	appendLines("six\nseven\n")
	if status, rest := p.end(t); status != 0 || !slices.Equal(rest, []string{"six"}) {
		t.Errorf("ended with %d and %q: %s", status, rest, p.err.Bytes())
	}
}

// A store that another process holds is waited for, not for ever.
func TestLocked(t *testing.T) {
	store := newStore(t, "log")
	s, err := engine.Open(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, "feed", "ls", "--wait", "0", "--store", store)
	if status, rest := p.end(t); status != 1 || len(rest) > 0 || !strings.Contains(p.err.String(), "in use by another process") {
		t.Errorf("ended with %d and %q: %s", status, rest, p.err.Bytes())
	}
	p = start(t, "feed", "ls", "--wait", "1m", "--store", store)
	time.Sleep(100 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if status, rest := p.end(t); status != 0 || len(rest) != 2 {
		t.Errorf("ended with %d and %q: %s", status, rest, p.err.Bytes())
	}
}
