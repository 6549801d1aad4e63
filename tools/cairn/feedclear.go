package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
)

func (a *app) feedClearCommand() *cobra.Command {
	acc := access{write: true}
	cmd := &cobra.Command{
		Use: "clear FEED START [END]", Short: "Free blocks",
		Long: `Free the blocks of a range. Without END it is one block. Their hashes stay, so that they can be fetched again from peers
that have them. "cairn compact" gives the space back to the disk.`,
		Example: indent("cairn feed clear videos 0 1000"),
		Args:    arguments(2, 3), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := parseRange(cmd, args[1:])
			if err != nil {
				return err
			}
			return a.withFeed(cmd.Context(), acc, args[0], func(_ *engine.Store, _ engine.Info, f *engine.Feed) error {
				if n := f.Length(); r.end > n {
					return fmt.Errorf("the range [%d, %d) is not inside the feed, which has %s", r.start, r.end, plural(n, "block"))
				}
				if r.start == r.end {
					return a.print(cleared{})
				}
				c, err := f.Clear(cmd.Context(), r.start, r.end)
				if err != nil {
					return err
				}
				return a.print(cleared(c))
			})
		},
	}
	addSync(cmd, &acc.sync)
	return cmd
}

// cleared is what was freed.
type cleared struct {
	Blocks uint64 `json:"blocks"`
	Bytes  uint64 `json:"bytes"`
}

func (c cleared) text(w io.Writer) {
	fmt.Fprintf(w, "cleared %s, %s\n", plural(c.Blocks, "block"), plural(c.Bytes, "byte"))
}
