// Command compare runs "cairn bench" and the benchmarks of the JavaScript implementations in turn, on this machine and in
// one run, and prints the medians as a table with ratios.
//
//	go run ./tools/internal/compare -cairn bin/cairn [-runs 3] [-rows append,get]
//
// JavaScript does not sync what it writes to disk, so the ratio is that of Cairn without syncing; what Cairn does under
// its default, where every acknowledged change is synced, stands beside it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/cairn-feeds/cairn/tools/peers"
)

func main() {
	cairn := flag.String("cairn", "bin/cairn", "the `command` to measure")
	runs := flag.Int("runs", 3, "how often each side runs; the median counts")
	rows := flag.String("rows", "", "a comma-separated `list` of benchmarks, instead of all")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *cairn, *runs, *rows); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cairn string, runs int, names string) error {
	if runs < 1 {
		return fmt.Errorf("-runs %d: at least one is needed", runs)
	}
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	var lines []line
	failed := 0
	for _, c := range chosen {
		dir, err := peers.Dir(c.peer)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s: %s ...\n", c.bench, c.what)
		results, err := c.measure(ctx, sides{
			cairn:     command{cairn},
			reference: command{"node", "--no-deprecation", filepath.Join(dir, "bench.js")},
		}, runs)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			fmt.Fprintf(os.Stderr, "%s: %s: %v\n", c.bench, c.what, err)
			failed++
			continue
		}
		lines = append(lines, c.lines(results)...)
	}
	fmt.Print(table(lines))
	if failed > 0 {
		return fmt.Errorf("%d of %d comparisons failed", failed, len(chosen))
	}
	return nil
}

// choose returns the comparisons whose benchmark is in the list; all for an empty one.
func choose(names string) ([]comparison, error) {
	if names == "" {
		return comparisons, nil
	}
	var chosen []comparison
	for name := range strings.SplitSeq(names, ",") {
		before := len(chosen)
		for _, c := range comparisons {
			if c.bench == name {
				chosen = append(chosen, c)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("-rows: there is no benchmark %q", name)
		}
	}
	return chosen, nil
}
