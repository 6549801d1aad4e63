// Command testreport runs "go test -json" and prints what a person wants to read of it: a line per package, the output of
// what failed, why tests were skipped, the state of the parity table, and the counts.
//
//	go run ./tools/internal/testreport [-parity FILE] -- [arguments of go test]
//
// It exits with 1 when a test failed, when go test did, or when the parity table promises what the run did not show.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"

	"github.com/cairn-feeds/cairn/tools/internal/parity"
	"github.com/cairn-feeds/cairn/tools/peers"
)

// module is the path that the names of packages are shortened by.
const module = "github.com/cairn-feeds/cairn"

func main() {
	table := flag.String("parity", "", "check the table of this `file` against the outcomes")
	flag.Parse()
	ok, err := run(os.Stdout, os.Stderr, *table, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run reports whether all is well.
func run(stdout, stderr io.Writer, tableFile string, args []string) (bool, error) {
	// go test gets the terminal's signal too and ends its tests; what it says until then is still reported.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	report := newReport(stdout)
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Cancel = func() error { return nil }
	cmd.Stderr = stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	readErr := report.read(output)
	waitErr := cmd.Wait()
	if readErr != nil {
		return false, readErr
	}
	ok := report.finish() && waitErr == nil
	if tableFile != "" {
		summary, err := checkTable(tableFile, report.outcomes)
		if err != nil {
			return false, err
		}
		for _, p := range summary.Problems {
			fmt.Fprintf(stdout, "%s: %s\n", tableFile, p)
			ok = false
		}
		fmt.Fprintln(stdout, summary)
	}
	report.counts()
	return ok, nil
}

// checkTable checks a table that lies in a directory of the module's root.
func checkTable(file string, outcomes parity.Outcomes) (parity.Summary, error) {
	document, err := os.Open(file)
	if err != nil {
		return parity.Summary{}, err
	}
	defer document.Close()
	table, err := parity.Parse(document)
	if err != nil {
		return parity.Summary{}, fmt.Errorf("%s: %w", file, err)
	}
	root := filepath.Dir(filepath.Dir(file))
	return table.Check(parity.NewSource(root, module), outcomes, peers.Required()), nil
}
