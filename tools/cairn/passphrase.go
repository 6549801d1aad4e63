package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"github.com/cairn-feeds/cairn/engine"
)

// givenPassphrase returns the passphrase that a descriptor or a file holds, nil when none was given.
func (a *app) givenPassphrase() ([]byte, error) {
	var b []byte
	var err error
	switch name := os.Getenv("CAIRN_PASSPHRASE_FILE"); {
	case a.passphraseFD == 0:
		b, err = readSecret(a.stdin)
	case a.passphraseFD > 0:
		f := os.NewFile(uintptr(a.passphraseFD), "descriptor")
		if f == nil {
			return nil, fmt.Errorf("--passphrase-fd %d: no such descriptor", a.passphraseFD)
		}
		b, err = readSecret(f)
		f.Close()
	case name != "":
		b, err = readSecretFile(name)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	return checkPassphrase(b)
}

// checkPassphrase takes the newline off that ends a file.
func checkPassphrase(b []byte) ([]byte, error) {
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 {
		return nil, errors.New("the passphrase is empty")
	}
	return b, nil
}

// askPassphrase asks at the terminal, also when stdin is something else.
func (a *app) askPassphrase(ctx context.Context, prompt string) ([]byte, error) {
	tty, err := openTerminal()
	if err != nil {
		return nil, fmt.Errorf("%w, and there is no terminal to ask for the passphrase", engine.ErrSealed)
	}
	defer tty.Close()
	fmt.Fprintf(a.stderr, "%s: ", prompt)
	defer fmt.Fprintln(a.stderr)
	b, err := readPassword(ctx, int(tty.Fd()))
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	return checkPassphrase(b)
}

// readPassword reads a line without showing it. When the context ends first, the terminal shows again what is typed.
func readPassword(ctx context.Context, tty int) ([]byte, error) {
	before, err := term.GetState(tty)
	if err != nil {
		return nil, err
	}
	type typed struct {
		b   []byte
		err error
	}
	done := make(chan typed, 1)
	go func() {
		b, err := term.ReadPassword(tty)
		done <- typed{b, err}
	}()
	select {
	case t := <-done:
		return t.b, t.err
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), term.Restore(tty, before))
	}
}

// askNewPassphrase asks twice.
func (a *app) askNewPassphrase(ctx context.Context) ([]byte, error) {
	b, err := a.askPassphrase(ctx, "New passphrase")
	if err != nil {
		return nil, err
	}
	again, err := a.askPassphrase(ctx, "The same again")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(b, again) {
		return nil, errors.New("the two passphrases differ")
	}
	return b, nil
}

// openTerminal opens the terminal that the process was started from.
func openTerminal() (*os.File, error) {
	name := "/dev/tty"
	if os.PathSeparator == '\\' {
		name = "CONIN$"
	}
	return os.OpenFile(name, os.O_RDWR, 0)
}
