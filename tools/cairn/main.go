package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses beside 0.
const (
	statusFailure  = 1 // wrong usage too
	statusRepaired = 3
	statusDamaged  = 4
)

func main() { os.Exit(run()) }

// run runs the command line of the process and returns its exit status.
func run() int {
	// A reader of stdout that leaves early must not end the process before the store is closed.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	err := a.command().ExecuteContext(ctx)
	return a.report(ctx, err)
}

// statusError is an error with an exit status of its own. Its text is for stderr, if it has one.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// report says on stderr what went wrong, and returns the exit status.
func (a *app) report(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	status := statusFailure
	if e, ok := errors.AsType[*statusError](err); ok {
		if status = e.status; e.err == nil {
			return status
		}
	}
	if errors.Is(err, syscall.EPIPE) {
		return status // nobody is left who would read it
	}
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		err = fmt.Errorf("ended by a signal: %w", err)
	}
	fmt.Fprintf(a.stderr, "cairn: %s\n", explain(err))
	return status
}
