package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine"
)

func (a *app) feedAuditCommand() *cobra.Command {
	acc := access{}
	var clear bool
	cmd := &cobra.Command{
		Use: "audit FEED", Short: "Compare every block with its hash",
		Long: `Compare every block that is here with its hash in the tree. The exit status is 1 when a block does not match or cannot be
read. Nothing is changed, unless --clear says to free such blocks, so that they can be fetched again.`,
		Example: indent("cairn feed audit notes\ncairn feed audit notes --json\ncairn feed audit notes --clear"),
		Args:    arguments(1, 1), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			acc.write = clear
			return a.withFeed(cmd.Context(), acc, args[0], func(_ *engine.Store, _ engine.Info, f *engine.Feed) error {
				bar := a.progress("audit", "blocks")
				defer bar.Clear()
				report, err := f.Audit(cmd.Context(), &engine.AuditOptions{Clear: clear, Progress: bar.Set})
				if err != nil {
					return err
				}
				bar.Clear()
				if err := a.print(newAudit(report, clear)); err != nil {
					return err
				}
				if report.Invalid > 0 && !clear {
					return &statusError{status: statusFailure}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&clear, "clear", false, "free the blocks that do not match")
	addSync(cmd, &acc.sync)
	return cmd
}

// audit is the report of an audit.
type audit struct {
	Valid   uint64      `json:"valid"`
	Invalid uint64      `json:"invalid"`
	Damaged [][2]uint64 `json:"damaged"` // half-open ranges of the invalid blocks
	Cleared bool        `json:"cleared"` // whether those were freed
}

func newAudit(r engine.Audit, clear bool) audit {
	return audit{Valid: r.Valid, Invalid: r.Invalid, Damaged: ranges(r.Damaged), Cleared: clear && r.Invalid > 0}
}

func (r audit) text(w io.Writer) {
	fmt.Fprintf(w, "%s valid, %s invalid\n", plural(r.Valid, "block"), number(r.Invalid))
	if r.Invalid == 0 {
		return
	}
	verb := "damaged"
	if r.Cleared {
		verb = "cleared"
	}
	fmt.Fprintf(w, "%s: %s\n", verb, rangesText(r.Damaged))
}

// ranges are runs as JSON: an array of pairs.
func ranges(runs []bitmap.Run) [][2]uint64 {
	out := make([][2]uint64, len(runs))
	for i, r := range runs {
		out[i] = [2]uint64{r.Start, r.End}
	}
	return out
}

// rangesText lists ranges for people: single blocks as they are, others with their first and last block.
func rangesText(ranges [][2]uint64) string {
	words := make([]string, len(ranges))
	for i, r := range ranges {
		if words[i] = number(r[0]); r[1]-r[0] > 1 {
			words[i] += " to " + number(r[1]-1)
		}
	}
	return strings.Join(words, ", ")
}
