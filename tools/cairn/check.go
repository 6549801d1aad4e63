package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check [FEED]", Short: "Verify the store, or one feed of it",
		Long: `Verify that the store is sound: that every row belongs to something and, for each feed, the block map against the blocks,
blocks against their hashes, nodes of the tree against their parents, the roots against the signatures, and the head against
the tree. Nothing is changed.

The exit status is 0 when everything is sound, 4 when something is damaged, 1 for wrong usage and when the check could not be
finished.`,
		Example: indent("cairn check\ncairn check notes --json"),
		Args:    arguments(0, 1), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := a.withStore(cmd.Context(), read, func(s *engine.Store) error {
				var o engine.CheckOptions
				if len(args) > 0 {
					info, err := s.Find(args[0])
					if err != nil {
						return err
					}
					o.Feed = &info.DiscoveryKey
				}
				bar := a.progress("check", "blocks")
				defer bar.Clear()
				c := checked{Problems: []problem{}}
				o.Progress, o.OnProblem = bar.Set, c.add
				r, err := s.Check(cmd.Context(), &o)
				if err != nil {
					return err
				}
				bar.Clear()
				c.finish(r)
				if err := a.print(c); err != nil {
					return err
				}
				if !c.Clean {
					return &statusError{status: statusDamaged}
				}
				return nil
			})
			if _, told := errors.AsType[*statusError](err); !told && errors.Is(err, engine.ErrCorrupt) {
				return &statusError{statusDamaged, err} // so damaged that it could not be opened or read through
			}
			return err
		},
	}
}

// maxProblems is how many problems are listed; all of them are counted.
const maxProblems = 1000

// checked is what a check found.
type checked struct {
	Clean        bool      `json:"clean"`
	Feeds        uint64    `json:"feeds"`
	Blocks       uint64    `json:"blocks"`
	Bytes        uint64    `json:"bytes"`
	Nodes        uint64    `json:"nodes"`
	Signatures   uint64    `json:"signatures"`
	Unverified   uint64    `json:"unverified"` // signatures whose roots are not known here
	ProblemCount uint64    `json:"problemCount"`
	Problems     []problem `json:"problems"` // the first 1,000
}

// problem is something that is damaged.
type problem struct {
	Feed  *tree.DiscoveryKey `json:"feed"` // discovery key; null when it is about no feed
	What  engine.Damage      `json:"what"`
	Index uint64             `json:"index"`
	Error string             `json:"error"`

	line string
}

func (c *checked) add(p *engine.Problem) {
	if len(c.Problems) >= maxProblems {
		return
	}
	out := problem{What: p.What, Index: p.Index, Error: packages.Replace(p.Err.Error()), line: packages.Replace(p.Error())}
	if p.Feed != (tree.DiscoveryKey{}) {
		out.Feed = &p.Feed
	}
	c.Problems = append(c.Problems, out)
}

func (c *checked) finish(r engine.Report) {
	c.Clean = r.Problems == 0
	c.Feeds, c.Blocks, c.Bytes, c.Nodes, c.Signatures = r.Feeds, r.Blocks, r.Bytes, r.Nodes, r.Signatures
	c.Unverified, c.ProblemCount = r.Unverified, r.Problems
}

func (c checked) text(w io.Writer) {
	for _, p := range c.Problems {
		fmt.Fprintln(w, p.line)
	}
	if more := c.ProblemCount - uint64(len(c.Problems)); more > 0 {
		fmt.Fprintf(w, "and %s more\n", plural(more, "problem"))
	}
	fmt.Fprintf(w, "checked %s: %s, %s, %s, %s\n", plural(c.Feeds, "feed"), plural(c.Blocks, "block"), size(c.Bytes),
		plural(c.Nodes, "node"), plural(c.Signatures, "signature"))
	if c.Clean {
		fmt.Fprintln(w, "everything is sound")
	} else {
		fmt.Fprintf(w, "damaged: %s\n", plural(c.ProblemCount, "problem"))
	}
}
