package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/static"
)

func (a *app) staticCommands() *cobra.Command {
	cmd := group("static", "Feeds that are named by a hash of their content", `
Static feeds are those of hypercore 1: their id is a hash of their content, so they never change, and whoever has the id can
verify each block, whoever it came from.

ID is the id of a feed in hex, or the beginning of one that fits no other static feed of the store.`, `
printf 'hello\nworld\n' | cairn static add --lines
cairn static cat e1a31bb8716f0a0487377e22dbc7f0491fb47a712ac21519792a4e32cf56fb6f
cairn static replicate --listen 127.0.0.1:4000`)
	cmd.AddCommand(a.staticAddCommand(), a.staticListCommand(), a.staticCatCommand(), a.staticInfoCommand(), a.staticReplicateCommand(), a.staticImportCommand())
	return cmd
}

// withStatic opens the static feeds of the store for the length of a call.
func (a *app) withStatic(ctx context.Context, acc access, do func(*static.Core) error) error {
	return a.withStore(ctx, acc, func(s *engine.Store) error {
		core, err := static.Open(s)
		if err != nil {
			return err
		}
		return errors.Join(do(core), core.Close())
	})
}

// findStatic returns the stored feed that a person means.
func findStatic(core *static.Core, text string) (static.Info, error) {
	info, err := core.Find(text)
	if errors.Is(err, engine.ErrNoFeed) {
		// Not wrapped: the advice for it is about the other feeds.
		return info, fmt.Errorf("no static feed %q is here\n\"cairn static ls\" lists those that are", text)
	}
	return info, err
}

func (a *app) staticListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List the static feeds of the store",
		Long:    "List the static feeds of the store by id, also those of which only a part is here.",
		Example: indent("cairn static ls\ncairn static ls --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStatic(cmd.Context(), read, func(core *static.Core) error {
				list := staticList{Feeds: []staticInfo{}}
				for i, err := range core.List() {
					if err != nil {
						return err
					}
					list.Feeds = append(list.Feeds, newStaticInfo(i))
				}
				return a.print(list)
			})
		},
	}
}

func (a *app) staticInfoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "info ID", Short: "Describe a static feed",
		Long:    "Describe a static feed: its length, and how much of it is here. Its length in bytes is known when all of it is.",
		Example: indent("cairn static info e1a31b --json"),
		Args:    arguments(1, 1), ValidArgsFunction: a.completeStatic,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStatic(cmd.Context(), read, func(core *static.Core) error {
				info, err := findStatic(core, args[0])
				if err != nil {
					return err
				}
				return a.print(newStaticInfo(info))
			})
		},
	}
}

func (a *app) staticCatCommand() *cobra.Command {
	var start, end uint64
	var lines bool
	cmd := &cobra.Command{
		Use: "cat ID", Short: "Write the blocks of a static feed to stdout",
		Long: `Write the blocks of a static feed to stdout, one after the other. A block that is not here is a failure: what comes before it
is written. With --json each block is an object on a line of its own (see "cairn feed get").`,
		Example: indent("cairn static cat e1a31b --lines"),
		Args:    arguments(1, 1), ValidArgsFunction: a.completeStatic,
		RunE: func(cmd *cobra.Command, args []string) error {
			bounded := cmd.Flags().Changed("end")
			if bounded && end < start {
				return &usageError{cmd, fmt.Errorf("the range ends at %d, before it starts at %d", end, start)}
			}
			out := a.newBlockWriter(lines)
			return a.withStatic(cmd.Context(), read, func(core *static.Core) error {
				info, err := findStatic(core, args[0])
				if err != nil {
					return err
				}
				if !bounded {
					end = info.Blocks
				}
				if start > info.Blocks || end > info.Blocks {
					return fmt.Errorf("block %d is behind the end: the feed has %s", max(start, end), plural(info.Blocks, "block"))
				}
				return catStatic(cmd.Context(), core, info.ID, start, end, out)
			})
		},
	}
	cmd.Flags().Uint64Var(&start, "start", 0, "first `block`")
	cmd.Flags().Uint64Var(&end, "end", 0, "`block` behind the last one (default the length)")
	cmd.Flags().BoolVar(&lines, "lines", false, "write a newline after each block")
	return cmd
}

// catStatic writes the blocks [start, end), which do not have to be here.
func catStatic(ctx context.Context, core *static.Core, id static.ID, start, end uint64, out *blockWriter) error {
	f, _, err := core.Lookup(id)
	if err != nil {
		return err
	}
	defer f.Close()
	var block []byte
	for n := start; n < end && err == nil; n++ {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		} else if block, err = f.AppendBlock(block[:0], n); err == nil {
			err = out.write(n, block)
		}
	}
	return errors.Join(err, out.flush())
}

func (a *app) staticImportCommand() *cobra.Command {
	acc := access{write: true, create: true}
	cmd := &cobra.Command{
		Use: "import DIR", Short: "Take the feeds of a hypercore 1 database",
		Long: `Take the feeds of a hypercore 1 database, a LevelDB directory that no other process has open, and print the id of each that was
taken. Every block is verified. What is damaged is left out: the sound blocks of a damaged feed are taken, and the status is 1.
The directory is only read.`,
		Example: indent("cairn static import ./hypercore.db"),
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStatic(cmd.Context(), acc, func(core *static.Core) error {
				var failed []error
				for info, err := range core.Import(cmd.Context(), args[0]) {
					if err != nil {
						failed = append(failed, err)
					}
					if info.Downloaded == 0 {
						continue
					}
					if err := a.print(staticID(newStaticInfo(info))); err != nil {
						return err
					}
				}
				return errors.Join(failed...)
			})
		},
	}
	addSync(cmd, &acc.sync)
	return cmd
}

// staticInfo describes a static feed.
type staticInfo struct {
	ID         static.ID `json:"id"`
	Blocks     uint64    `json:"blocks"`
	Downloaded uint64    `json:"downloaded"` // blocks that are here
	Bytes      uint64    `json:"bytes"`      // of those
	Complete   bool      `json:"complete"`
	Created    time.Time `json:"created"`
}

func newStaticInfo(i static.Info) staticInfo {
	return staticInfo{ID: i.ID, Blocks: i.Blocks, Downloaded: i.Downloaded, Bytes: i.Bytes, Complete: i.Complete(), Created: i.Created.UTC()}
}

func (i staticInfo) here() string {
	if i.Complete {
		return "all"
	}
	return fmt.Sprintf("%s (%.1f %%)", number(i.Downloaded), 100*float64(i.Downloaded)/float64(i.Blocks))
}

func (i staticInfo) text(w io.Writer) {
	table(w, [][]string{
		{"id", i.ID.String()},
		{"length", plural(i.Blocks, "block")},
		{"here", i.here() + ", " + plural(i.Bytes, "byte")},
		{"stored", i.Created.Format(time.DateTime) + " UTC"},
	})
}

// staticID is a static feed of which people get the id.
type staticID staticInfo

func (i staticID) text(w io.Writer) { fmt.Fprintln(w, i.ID) }

// staticList is the static feeds of a store.
type staticList struct {
	Feeds []staticInfo `json:"feeds"`
}

func (l staticList) text(w io.Writer) {
	if len(l.Feeds) == 0 {
		fmt.Fprintln(w, "no static feeds")
		return
	}
	rows := [][]string{{"ID", "BLOCKS", "HERE", "SIZE"}}
	for _, i := range l.Feeds {
		rows = append(rows, []string{i.ID.String(), number(i.Blocks), i.here(), size(i.Bytes)})
	}
	table(w, rows)
}

// completeStatic proposes the ids of feeds.
func (a *app) completeStatic(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	_ = a.withStatic(cmd.Context(), read, func(core *static.Core) error { // without a store there is nothing to propose
		for i, err := range core.List() {
			if err != nil {
				return err
			}
			if id := i.ID.String(); !slices.Contains(args, id) {
				ids = append(ids, id)
			}
		}
		return nil
	})
	return ids, cobra.ShellCompDirectiveNoFileComp
}
