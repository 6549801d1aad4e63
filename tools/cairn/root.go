package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// app is one run of the command: where it reads and writes, and the flags that all commands have.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	store        string
	json         bool
	verbose      bool
	wait         time.Duration
	passphraseFD int
}

// defaultStore is where the store is when nobody says.
const defaultStore = "cairn-store"

func (a *app) command() *cobra.Command {
	root := group("cairn", "Signed append-only feeds in one embedded store", `
Cairn keeps signed append-only feeds, which are compatible with hypercore 9, in one embedded store.

FEED is a name, a public key in hex or z-base32, or the beginning of a key that fits no other feed of the store.
Ranges are half-open: 2 5 are the blocks 2, 3 and 4. Sizes in MB are millions of bytes.`, `
cairn feed new notes
echo 'first note' | cairn feed append notes --lines
cairn feed cat notes --lines
cairn inspect`)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd, err} })
	flags := root.PersistentFlags()
	flags.StringVar(&a.store, "store", cmp.Or(os.Getenv("CAIRN_STORE"), defaultStore), "`directory` of the store; also CAIRN_STORE")
	flags.BoolVar(&a.json, "json", false, "print JSON")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log what the store does, on stderr")
	flags.DurationVar(&a.wait, "wait", time.Second, "how long to wait for another process that uses the store")
	flags.IntVar(&a.passphraseFD, "passphrase-fd", -1, "read the passphrase of the secret keys from this open file `descriptor`; also CAIRN_PASSPHRASE_FILE")
	_ = root.MarkPersistentFlagDirname("store") // it exists
	root.SetUsageTemplate(usageTemplate(root))
	root.AddCommand(a.feedCommands(), a.keysCommands(), a.inspectCommand(), a.checkCommand(), a.compactCommand(), a.benchCommands(), a.doctorCommand(), a.dhtCommands(), a.staticCommands())
	return root
}

// group is a command that only has commands below it. Without one of them it is wrong usage.
func group(use, short, long, example string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: strings.TrimSpace(long), Example: indent(example),
		Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				cmd.SetOut(cmd.ErrOrStderr()) // nobody asked for help
				return errors.Join(cmd.Help(), &statusError{status: statusFailure})
			}
			err := fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0])
			if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
				err = fmt.Errorf("%w, did you mean %s?", err, strings.Join(similar, " or "))
			}
			return &usageError{cmd, err}
		},
	}
}

// usageTemplate is cobra's, but for the two usage lines of a command that has others below it: it is only there for them.
func usageTemplate(root *cobra.Command) string {
	const both = `{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]{{end}}`
	return strings.Replace(root.UsageTemplate(), both, `
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}`, 1)
}

// indent lays out the lines of an example.
func indent(example string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(example), "\n", "\n  ")
}

// usageError is a mistake in the arguments of a command.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e *usageError) Error() string {
	line := e.cmd.UseLine()
	if e.cmd.HasAvailableSubCommands() {
		line = e.cmd.CommandPath() + " COMMAND"
	}
	return fmt.Sprintf("%v\nUsage: %s\nSee %q.", e.err, line, e.cmd.CommandPath()+" --help")
}

func (e *usageError) Unwrap() error { return e.err }

// arguments checks how many arguments a command gets; its usage line names them.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return &usageError{cmd, fmt.Errorf("%s: an argument is missing", cmd.CommandPath())}
		case len(args) > most:
			return &usageError{cmd, fmt.Errorf("%s: there is nothing to do with %q", cmd.CommandPath(), args[most])}
		}
		return nil
	}
}
