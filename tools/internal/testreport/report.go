package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cairn-feeds/cairn/tools/internal/parity"
)

// event is a line of "go test -json"; see "go doc test2json".
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build output
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// report gathers the events of a run and prints them as they come.
type report struct {
	out      io.Writer
	outcomes parity.Outcomes
	packages map[string]*pkg     // by path, those that have not ended
	builds   map[string][]string // output of builds
	skips    map[string]int      // tests by the reason why they were skipped

	passed, failed, skipped int // top-level tests
	broken                  int // packages that failed otherwise
}

// pkg is a package whose tests run.
type pkg struct {
	tests  map[string]*test // those that have not ended, by name
	output []string         // of the package itself
	failed bool             // one of its tests did
}

// test is a test that runs, with what it printed.
type test struct{ output []string }

func newReport(out io.Writer) *report {
	return &report{
		out:      out,
		outcomes: make(parity.Outcomes),
		packages: make(map[string]*pkg),
		builds:   make(map[string][]string),
		skips:    make(map[string]int),
	}
}

// read takes events until the end.
func (r *report) read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				// Not an event: the tool chain itself has something to say.
				fmt.Fprintf(r.out, "%s", line)
			} else {
				r.add(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) add(e event) {
	if e.Package == "" {
		if e.Action == "build-output" {
			r.builds[e.ImportPath] = append(r.builds[e.ImportPath], e.Output)
		}
		return
	}
	p := r.packages[e.Package]
	if p == nil {
		p = &pkg{tests: make(map[string]*test)}
		r.packages[e.Package] = p
	}
	if e.Test == "" {
		r.addToPackage(p, e)
		return
	}
	t := p.tests[e.Test]
	if t == nil {
		t = new(test)
		p.tests[e.Test] = t
	}
	switch e.Action {
	case "output":
		t.output = append(t.output, e.Output)
	case "pass":
		r.end(p, e, parity.Passed)
	case "skip":
		r.skips[reason(t.output)]++
		r.end(p, e, parity.Skipped)
	case "fail":
		fmt.Fprintf(r.out, "%s", strings.Join(t.output, ""))
		r.end(p, e, parity.Failed)
		p.failed = true
	}
}

// end notes how a test ended and forgets it.
func (r *report) end(p *pkg, e event, outcome parity.Outcome) {
	r.outcomes.Add(short(e.Package)+"."+e.Test, outcome)
	delete(p.tests, e.Test)
	if strings.Contains(e.Test, "/") {
		return
	}
	switch outcome {
	case parity.Passed:
		r.passed++
	case parity.Skipped:
		r.skipped++
	default:
		r.failed++
	}
}

func (r *report) addToPackage(p *pkg, e event) {
	switch e.Action {
	case "output":
		p.output = append(p.output, e.Output)
		return
	case "pass":
		fmt.Fprintf(r.out, "ok  \t%s\t%.1fs\n", e.Package, e.Elapsed)
	case "skip": // no test files
	case "fail":
		r.failPackage(p, e)
	default:
		return
	}
	delete(r.packages, e.Package)
}

// failPackage prints what explains the failure beyond the tests that failed: a build, a panic, a time-out.
func (r *report) failPackage(p *pkg, e event) {
	if e.FailedBuild != "" {
		fmt.Fprintf(r.out, "%s", strings.Join(r.builds[e.FailedBuild], ""))
	}
	for _, name := range sortedKeys(p.tests) {
		// It was running when the process ended.
		fmt.Fprintf(r.out, "%s", strings.Join(p.tests[name].output, ""))
		r.outcomes.Add(short(e.Package)+"."+name, parity.Failed)
		if !strings.Contains(name, "/") {
			r.failed++
			p.failed = true
		}
	}
	if !p.failed {
		r.broken++
	}
	for _, line := range p.output {
		if strings.TrimSpace(line) != "FAIL" {
			fmt.Fprintf(r.out, "%s", line)
		}
	}
}

// finish prints what only the end tells and reports whether every test passed or was skipped.
func (r *report) finish() bool {
	for _, name := range sortedKeys(r.packages) {
		fmt.Fprintf(r.out, "FAIL\t%s\thas not ended\n", name)
		r.broken++
	}
	for _, why := range sortedKeys(r.skips) {
		fmt.Fprintf(r.out, "%d skipped: %s\n", r.skips[why], why)
	}
	return r.failed == 0 && r.broken == 0 && r.passed+r.skipped > 0
}

// counts prints the last line. A package that failed without a failing test counts as one.
func (r *report) counts() {
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed+r.broken, r.skipped)
}

// reason returns the text that a test was skipped with: its output but for the lines that say how it went. Where it
// stands in the source is left out, so that equal reasons are equal.
func reason(output []string) string {
	var lines []string
	for line := range strings.Lines(strings.Join(output, "")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if file, text, ok := strings.Cut(line, ": "); ok && strings.Contains(file, ".go:") && !strings.Contains(file, " ") {
			line = text
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		return "no reason given"
	}
	return strings.Join(lines, " ")
}

// short returns the path of a package inside the module.
func short(path string) string { return strings.TrimPrefix(path, module+"/") }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
