package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
)

func (a *app) feedCommands() *cobra.Command {
	feed := group("feed", "Make, fill, read, verify and carry feeds", `
Make, fill, read, verify and carry feeds.

FEED is a name, a public key in hex or z-base32, or the beginning of a key that fits no other feed of the store.`, `
cairn feed new notes
cairn feed append notes todo.txt --lines
cairn feed info notes`)
	feed.AddCommand(
		a.feedNewCommand(), a.feedAddCommand(), a.feedListCommand(), a.feedInfoCommand(), a.feedRenameCommand(), a.feedRemoveCommand(),
		a.feedAppendCommand(), a.feedGetCommand(), a.feedCatCommand(), a.feedSeekCommand(), a.feedHasCommand(), a.feedClearCommand(),
		a.feedAuditCommand(), a.feedProofCommand(), a.feedVerifyCommand(), a.feedExportCommand(), a.feedImportCommand(),
		a.feedReplicateCommand(),
	)
	return feed
}

// parseNumber decodes a block number or byte offset, the argument that the usage line calls what.
func parseNumber(cmd *cobra.Command, what, arg string) (uint64, error) {
	n, err := strconv.ParseUint(arg, 10, 64)
	if err != nil {
		return 0, &usageError{cmd, fmt.Errorf("%s is %q, not a number from 0", what, arg)}
	}
	return n, nil
}

// blockRange is a row of blocks, half-open.
type blockRange struct{ start, end uint64 }

// parseRange decodes START [END]; without END it is one block.
func parseRange(cmd *cobra.Command, args []string) (r blockRange, err error) {
	if r.start, err = parseNumber(cmd, "START", args[0]); err != nil {
		return r, err
	}
	r.end = r.start + 1
	if len(args) > 1 {
		if r.end, err = parseNumber(cmd, "END", args[1]); err != nil {
			return r, err
		}
	}
	if r.end < r.start {
		return r, &usageError{cmd, fmt.Errorf("the range ends at %d, before it starts at %d", r.end, r.start)}
	}
	return r, nil
}
