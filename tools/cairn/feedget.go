package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
)

func (a *app) feedGetCommand() *cobra.Command {
	var newline bool
	cmd := &cobra.Command{
		Use: "get FEED INDEX", Short: "Write one block to stdout",
		Long: `Write the bytes of one block to stdout, and nothing else. A block that is not here is a failure.

With --json it is an object: index, byteLength, and data when the bytes are UTF-8, else base64.`,
		Example: indent("cairn feed get notes 0\ncairn feed get photos 12 > photo.jpg"),
		Args:    arguments(2, 2), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			index, err := parseNumber(cmd, "INDEX", args[1])
			if err != nil {
				return err
			}
			return a.withFeed(cmd.Context(), read, args[0], func(_ *engine.Store, _ engine.Info, f *engine.Feed) error {
				if n := f.Length(); index >= n {
					return fmt.Errorf("block %d is behind the end: the feed has %s", index, plural(n, "block"))
				}
				b, err := f.Get(cmd.Context(), index, &engine.GetOptions{NoWait: true})
				if err != nil {
					return err
				}
				out := a.newBlockWriter(newline)
				if err := out.write(index, b); err != nil {
					return err
				}
				return out.flush()
			})
		},
	}
	cmd.Flags().BoolVar(&newline, "lines", false, "write a newline after the block")
	return cmd
}
