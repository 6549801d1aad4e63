package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-feeds/cairn/tools/internal/parity"
)

// events of a run with every kind of end, as go test writes them.
const events = `{"Action":"start","Package":"github.com/cairn-feeds/cairn/tree"}
{"Action":"run","Package":"github.com/cairn-feeds/cairn/tree","Test":"TestGood"}
{"Action":"output","Package":"github.com/cairn-feeds/cairn/tree","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"run","Package":"github.com/cairn-feeds/cairn/tree","Test":"TestGood/sub"}
{"Action":"output","Package":"github.com/cairn-feeds/cairn/tree","Test":"TestGood/sub","Output":"chatter\n"}
{"Action":"pass","Package":"github.com/cairn-feeds/cairn/tree","Test":"TestGood/sub","Elapsed":0}
{"Action":"pass","Package":"github.com/cairn-feeds/cairn/tree","Test":"TestGood","Elapsed":0}
{"Action":"output","Package":"github.com/cairn-feeds/cairn/tree","Test":"TestPeer","Output":"=== RUN   TestPeer\n"}
{"Action":"output","Package":"github.com/cairn-feeds/cairn/tree","Test":"TestPeer","Output":"    peer_test.go:10: no peers: run make\n"}
{"Action":"output","Package":"github.com/cairn-feeds/cairn/tree","Test":"TestPeer","Output":"--- SKIP: TestPeer (0.00s)\n"}
{"Action":"skip","Package":"github.com/cairn-feeds/cairn/tree","Test":"TestPeer","Elapsed":0}
{"Action":"output","Package":"github.com/cairn-feeds/cairn/tree","Test":"TestOther","Output":"    other_test.go:99: no peers: run make\n"}
{"Action":"skip","Package":"github.com/cairn-feeds/cairn/tree","Test":"TestOther","Elapsed":0}
{"Action":"skip","Package":"github.com/cairn-feeds/cairn/tree","Test":"TestMute","Elapsed":0}
{"Action":"output","Package":"github.com/cairn-feeds/cairn/tree","Output":"PASS\n"}
{"Action":"pass","Package":"github.com/cairn-feeds/cairn/tree","Elapsed":1.25}
`

const failures = `{"Action":"output","Package":"github.com/cairn-feeds/cairn/dht","Test":"TestBad","Output":"    x_test.go:1: got 1, want 2\n"}
{"Action":"fail","Package":"github.com/cairn-feeds/cairn/dht","Test":"TestBad","Elapsed":0}
{"Action":"output","Package":"github.com/cairn-feeds/cairn/dht","Output":"FAIL\n"}
{"Action":"fail","Package":"github.com/cairn-feeds/cairn/dht","Elapsed":0.5}
{"Action":"output","Package":"github.com/cairn-feeds/cairn/swarm","Test":"TestPanics","Output":"panic: at the disco\n"}
{"Action":"output","Package":"github.com/cairn-feeds/cairn/swarm","Output":"FAIL\tgithub.com/cairn-feeds/cairn/swarm\t0.1s\n"}
{"Action":"fail","Package":"github.com/cairn-feeds/cairn/swarm","Elapsed":0.1}
{"ImportPath":"github.com/cairn-feeds/cairn/codec","Action":"build-output","Output":"codec.go:3: undefined: x\n"}
{"ImportPath":"github.com/cairn-feeds/cairn/codec","Action":"build-fail"}
{"Action":"output","Package":"github.com/cairn-feeds/cairn/codec","Output":"FAIL\tgithub.com/cairn-feeds/cairn/codec [build failed]\n"}
{"Action":"fail","Package":"github.com/cairn-feeds/cairn/codec","Elapsed":0,"FailedBuild":"github.com/cairn-feeds/cairn/codec"}
{"Action":"start","Package":"github.com/cairn-feeds/cairn/fuzz"}
go: some complaint
`

func readAll(t *testing.T, text string) (*report, bool, string) {
	t.Helper()
	var out bytes.Buffer
	r := newReport(&out)
	if err := r.read(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	ok := r.finish()
	r.counts()
	return r, ok, out.String()
}

func TestReportPassed(t *testing.T) {
	r, ok, got := readAll(t, events)
	const want = `ok  	github.com/cairn-feeds/cairn/tree	1.2s
2 skipped: no peers: run make
1 skipped: no reason given
1 passed, 0 failed, 3 skipped
`
	if got != want || !ok {
		t.Errorf("ok is %v, printed\n%swant\n%s", ok, got, want)
	}
	outcomes := parity.Outcomes{
		"tree.TestGood": parity.Passed, "tree.TestGood/sub": parity.Passed,
		"tree.TestPeer": parity.Skipped, "tree.TestOther": parity.Skipped, "tree.TestMute": parity.Skipped,
	}
	if !maps.Equal(r.outcomes, outcomes) {
		t.Errorf("outcomes %v, want %v", r.outcomes, outcomes)
	}
}

func TestReportFailed(t *testing.T) {
	r, ok, got := readAll(t, events+failures)
	if ok {
		t.Error("a run with failures is ok")
	}
	const want = `ok  	github.com/cairn-feeds/cairn/tree	1.2s
    x_test.go:1: got 1, want 2
panic: at the disco
FAIL	github.com/cairn-feeds/cairn/swarm	0.1s
codec.go:3: undefined: x
FAIL	github.com/cairn-feeds/cairn/codec [build failed]
go: some complaint
FAIL	github.com/cairn-feeds/cairn/fuzz	has not ended
2 skipped: no peers: run make
1 skipped: no reason given
1 passed, 4 failed, 3 skipped
`
	if got != want {
		t.Errorf("printed\n%swant\n%s", got, want)
	}
	for _, name := range []string{"dht.TestBad", "swarm.TestPanics"} {
		if r.outcomes[name] != parity.Failed {
			t.Errorf("%s %s", name, r.outcomes[name])
		}
	}
}

// A run of nothing shows nothing.
func TestReportEmpty(t *testing.T) {
	if _, ok, got := readAll(t, ""); ok || got != "0 passed, 0 failed, 0 skipped\n" {
		t.Errorf("ok is %v, printed %q", ok, got)
	}
}

// A package whose tests all passed and that fails after them, as goleak does, is a failure.
func TestReportFailedAfterTests(t *testing.T) {
	_, ok, got := readAll(t, `{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"goleak: Errors\n"}
{"Action":"fail","Package":"p"}
`)
	if ok || got != "goleak: Errors\n1 passed, 1 failed, 0 skipped\n" {
		t.Errorf("ok is %v, printed %q", ok, got)
	}
}

// The command as a whole, on a package of the standard library.
func TestRun(t *testing.T) {
	root := t.TempDir()
	table := filepath.Join(root, "docs", "parity.md")
	write := func(identifier, test string) {
		t.Helper()
		text := fmt.Sprintf("# T\n| JavaScript | Go | Test | Note |\n| --- | --- | --- | --- |\n| a | `%s` | `%s` | |\n", identifier, test)
		if err := os.MkdirAll(filepath.Dir(table), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(table, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, identifier, test string
		args                   []string
		ok                     bool
		want                   string
	}{
		{"shown", "path.Join", "path.TestJoin", []string{"path"}, true, "1 rows, 1 shown by tests"},
		{"no such identifier", "path.Joint", "path.TestJoin", []string{"path"}, false, "does not declare Joint"},
		{"did not run", "path.Join", "path.TestJoin", []string{"-run", "TestClean", "path"}, false, "path.TestJoin did not run"},
		{"bad argument", "path.Join", "path.TestJoin", []string{"-nonsense", "path"}, false, "0 passed"},
	} {
		write(test.identifier, test.test)
		var out, stderr bytes.Buffer
		ok, err := run(&out, &stderr, table, test.args)
		if err != nil || ok != test.ok || !strings.Contains(out.String(), test.want) {
			t.Errorf("%s: ok is %v, %v; printed\n%s%s", test.name, ok, err, &out, &stderr)
		}
	}
}
