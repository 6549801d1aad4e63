package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadme types what the README says into a shell, in an empty directory that has the README.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(readme), "\n## On the command line\n")
	if !ok {
		t.Fatal("the README has no section on the command line")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var script strings.Builder
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			script.WriteString(command)
		}
	}
	if n := strings.Count(script.String(), "cairn "); n < 5 {
		t.Fatalf("the README has %d commands:\n%s", n, script.String())
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "README.md"), readme, 0o600); err != nil {
		t.Fatal(err)
	}
	out := shell(t, dir, "-euxc", script.String())
	for _, want := range []string{"first note\n", "valid, 0 invalid", "everything is sound"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in what the commands of the README print:\n%s", want, out)
		}
	}
}

// TestRunScript is "make run" without the building.
func TestRunScript(t *testing.T) {
	readme, err := filepath.Abs("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("../run.sh")
	if err != nil {
		t.Fatal(err)
	}
	out := shell(t, t.TempDir(), script, "cairn", readme)
	for _, want := range []string{"byte for byte", "0 invalid", "everything is sound", "readme  "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the output:\n%s", want, out)
		}
	}
}

// shell runs a shell in a directory, with no store but the default one there.
func shell(t *testing.T, dir string, args ...string) (stdout string) {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell here")
	}
	cmd := exec.CommandContext(t.Context(), sh, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CAIRN_STORE=")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, out.Bytes(), errs.Bytes())
	}
	return out.String()
}
