package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
)

func (a *app) feedSeekCommand() *cobra.Command {
	return &cobra.Command{
		Use: "seek FEED BYTES", Short: "Find the block that holds a byte",
		Long: `Find the block that holds a byte of the feed, counted from 0 over all blocks: prints its number and the offset of the byte
in it. The byte length of the feed gives the length and 0.`,
		Example: indent("cairn feed seek notes 1000\ncairn feed seek notes 1000 --json"),
		Args:    arguments(2, 2), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			bytes, err := parseNumber(cmd, "BYTES", args[1])
			if err != nil {
				return err
			}
			return a.withFeed(cmd.Context(), read, args[0], func(_ *engine.Store, _ engine.Info, f *engine.Feed) error {
				var p position
				if p.Index, p.Offset, err = f.Seek(cmd.Context(), bytes, &engine.SeekOptions{NoWait: true}); err != nil {
					return err
				}
				return a.print(p)
			})
		},
	}
}

// position is a byte of a feed.
type position struct {
	Index  uint64 `json:"index"`
	Offset uint64 `json:"offset"`
}

func (p position) text(w io.Writer) { fmt.Fprintf(w, "block %d, byte %d\n", p.Index, p.Offset) }
