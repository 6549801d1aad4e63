package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
)

func (a *app) feedHasCommand() *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use: "has FEED START [END]", Short: "Tell whether blocks are here",
		Long: `Tell whether all blocks of a range are here: prints true or false. Without END it is one block. With --quiet nothing is
printed, and the exit status is 1 when one is missing.`,
		Example: indent("cairn feed has notes 3\ncairn feed has notes 0 100 --quiet && echo complete"),
		Args:    arguments(2, 3), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := parseRange(cmd, args[1:])
			if err != nil {
				return err
			}
			return a.withFeed(cmd.Context(), read, args[0], func(_ *engine.Store, _ engine.Info, f *engine.Feed) error {
				has := f.HasRange(r.start, r.end)
				switch {
				case !quiet:
					return a.print(hasAnswer{has})
				case !has:
					return &statusError{status: statusFailure}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "answer by the exit status only")
	return cmd
}

// hasAnswer tells whether blocks are here.
type hasAnswer struct {
	Has bool `json:"has"`
}

func (h hasAnswer) text(w io.Writer) { fmt.Fprintln(w, h.Has) }
