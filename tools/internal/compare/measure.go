package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
)

// command is a program and its first arguments.
type command []string

// sides are the programs that are compared.
type sides struct{ cairn, reference command }

// report is what one run of a benchmark printed.
type report map[string]any

// results are the reports of all runs of a comparison. synced is empty when the comparison has no such run.
type results struct{ cairn, synced, reference []report }

// measure runs both sides in turn, so that what else happens on the machine meets both alike.
func (c *comparison) measure(ctx context.Context, s sides, runs int) (results, error) {
	var r results
	for range runs {
		never := slices.Concat([]string{"bench", c.bench, "--json"}, c.both, c.cairn)
		if c.synced != nil {
			never = append(never, "--sync", "never")
		}
		if err := collect(ctx, &r.cairn, s.cairn, never); err != nil {
			return results{}, err
		}
		if c.synced != nil {
			always := slices.Concat([]string{"bench", c.bench, "--json"}, c.both, c.synced, []string{"--sync", "always"})
			if err := collect(ctx, &r.synced, s.cairn, always); err != nil {
				return results{}, err
			}
		}
		if err := collect(ctx, &r.reference, s.reference, slices.Concat([]string{c.bench}, c.both, c.reference)); err != nil {
			return results{}, err
		}
	}
	return r, nil
}

// collect runs a program and appends the object that it prints.
func collect(ctx context.Context, to *[]report, c command, args []string) error {
	cmd := exec.CommandContext(ctx, c[0], slices.Concat(c[1:], args)...)
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return fmt.Errorf("%s: %w: %s", cmd, err, bytes.TrimSpace(exit.Stderr))
		}
		return err
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	*to = append(*to, r)
	return nil
}

// median returns the median of a figure over runs; ok is false when a run lacks it.
func median(reports []report, name string) (m float64, ok bool) {
	values := make([]float64, 0, len(reports))
	for _, r := range reports {
		v, ok := r[name].(float64)
		if !ok {
			return 0, false
		}
		values = append(values, v)
	}
	if len(values) == 0 {
		return 0, false
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2, true
	}
	return values[middle], true
}
