package parity

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocument checks the table of this project, all but the outcomes, which "make test" adds.
func TestDocument(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	document, err := os.Open(filepath.Join(root, "docs", "parity.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer document.Close()
	table, err := Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	summary := table.Check(NewSource(root, "github.com/cairn-feeds/cairn"), nil, false)
	for _, p := range summary.Problems {
		t.Errorf("docs/parity.md: %s", p)
	}
	t.Log(summary)
}

// A small module, with a bit of everything that an identifier may be.
var files = map[string]string{
	"engine/feed.go": `package engine

import "example.org/m/tree"

const Limit, Most = 1, 2

var ErrClosed error

type Feed struct {
	Key, DiscoveryKey []byte
	*tree.Reader
	inner
}

type inner struct{ Depth int }

func (f *Feed) Append() {}
func Open() (*Feed, error) { return nil, nil }

type View[T any] struct{ feed *Feed }

func (v View[T]) Get() {}

type Alias = tree.Reader
type Copy tree.Reader
type Storage interface {
	tree.Nodes
	Close() error
}
`,
	"engine/feed_windows.go":        "package engine\n\nfunc Only() {}\n",
	"engine/feed_test.go":           "package engine\n\nimport \"testing\"\n\nfunc TestFeed(t *testing.T) {}\nfunc helper() {}\n",
	"engine/example_test.go":        "package engine_test\n\nfunc ExampleFeed() {}\n",
	"tree/tree.go":                  "package tree\n\ntype Reader struct{ Length int }\n\nfunc (r *Reader) Node() {}\n\ntype Nodes interface{ Root() }\n",
	"replicate/wire/wire.go":        "package wire\n\ntype Have struct{}\n\ntype Loop = Loop\n",
	"replicate/wire/wire_x_test.go": "package wire\n\nimport \"testing\"\n\nfunc FuzzHave(f *testing.F) {}\n",
}

func testSource(t *testing.T) *Source {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return NewSource(root, "example.org/m")
}

func TestIdentifier(t *testing.T) {
	source := testSource(t)
	for _, id := range strings.Fields(`
		engine.Limit engine.Most engine.ErrClosed engine.Feed engine.Open engine.Only engine.View engine.View.Get
		engine.Feed.Key engine.Feed.DiscoveryKey engine.Feed.Append
		engine.Feed.Reader engine.Feed.Node engine.Feed.Length engine.Feed.Depth engine.Feed.inner
		engine.Alias.Node engine.Alias.Length engine.Copy.Length engine.Storage.Close engine.Storage.Root
		replicate/wire.Have context.Context context.Context.Done io.ReadWriter.Read net/netip.AddrPort.Addr`) {
		if err := source.Identifier(id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	for id, want := range map[string]string{
		"engine.Feed.Close":        "no field or method Close",
		"engine.Nothing":           "does not declare Nothing",
		"engine.Open.Close":        "not a type",
		"engine.helper":            "does not declare helper", // of the test files
		"engine.Copy.Node":         "no field or method Node", // a new type does not have the old one's methods
		"replicate/wire.Loop.Next": "no field or method Next",
		"nowhere.Feed":             "no package nowhere",
		"docs.Feed":                "no package docs",
		"engine":                   "not package.Name",
		"engine..Feed":             "empty name",
		"engine.Feed.Key.Length":   "not package.Name",
	} {
		if err := source.Identifier(id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gave %v, want an error with %q", id, err, want)
		}
	}
}

func TestTest(t *testing.T) {
	source := testSource(t)
	for _, test := range []string{"engine.TestFeed", "engine.TestFeed/append", "engine.TestFeed/a.b/c", "engine.ExampleFeed", "replicate/wire.FuzzHave"} {
		if err := source.Test(test); err != nil {
			t.Errorf("%s: %v", test, err)
		}
	}
	for _, test := range []string{"engine.TestNothing", "engine.helper", "TestFeed", "tree.TestFeed", "nowhere.TestFeed", "engine."} {
		if err := source.Test(test); err == nil {
			t.Errorf("%s passes for a test", test)
		}
	}
}

func TestCheck(t *testing.T) {
	source := testSource(t)
	table := Table{
		{Name: "shown", Go: []string{"engine.Feed", "engine.Open"}, Tests: []string{"engine.TestFeed/a", "engine.ExampleFeed"}},
		{Name: "absent"},
		{Name: "no identifier", Go: []string{"engine.Feed", "engine.Gone"}, Tests: []string{"engine.TestFeed"}},
		{Name: "no test", Go: []string{"engine.Feed"}, Tests: []string{"engine.TestGone"}},
		{Name: "skipped", Go: []string{"engine.Feed"}, Tests: []string{"engine.TestFeed/a", "replicate/wire.FuzzHave"}},
		{Name: "failed", Go: []string{"engine.Feed"}, Tests: []string{"engine.TestFeed/b"}},
		{Name: "not run", Go: []string{"engine.Feed"}, Tests: []string{"engine.TestFeed/c"}},
	}
	outcomes := Outcomes{"engine.TestFeed": Failed}
	for _, add := range []struct {
		test    string
		outcome Outcome
	}{
		{"engine.TestFeed/a", Passed},
		{"engine.ExampleFeed", Passed},
		{"engine.TestFeed/b", Failed},
		{"engine.TestFeed/b", Passed},
		{"replicate/wire.FuzzHave", Passed},
		{"replicate/wire.FuzzHave", Skipped},
	} {
		outcomes.Add(add.test, add.outcome)
	}
	wrong := func(s Summary) string {
		var names []string
		for _, p := range s.Problems {
			names = append(names, p.Row.Name)
		}
		return strings.Join(names, ", ")
	}
	for _, test := range []struct {
		name           string
		outcomes       Outcomes
		strict         bool
		shown, skipped int
		wrong          string
	}{
		{"source only", nil, true, 4, 0, "no identifier, no test"},
		{"a run", outcomes, false, 1, 1, "no identifier, no test, failed, not run"},
		{"a strict run", outcomes, true, 1, 0, "no identifier, no test, skipped, failed, not run"},
		{"an empty run", Outcomes{}, false, 0, 0, "shown, no identifier, no test, skipped, failed, not run"},
	} {
		s := table.Check(source, test.outcomes, test.strict)
		if s.Rows != 7 || s.Absent != 1 || s.Shown != test.shown || s.Skipped != test.skipped || wrong(s) != test.wrong {
			t.Errorf("%s: %s; wrong: %s", test.name, s, wrong(s))
		}
	}
}
