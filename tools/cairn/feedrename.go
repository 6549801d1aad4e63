package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

func (a *app) feedRenameCommand() *cobra.Command {
	acc := access{write: true}
	cmd := &cobra.Command{
		Use: "rename FEED [NAME]", Short: "Give a feed another name, or none",
		Long:    "Give a feed another name. Without NAME its name is taken away. Names are known in this store only.",
		Example: indent("cairn feed rename notes diary\ncairn feed rename d04ab2 friend"),
		Args:    arguments(1, 2), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 1 {
				name = args[1]
			}
			return a.withStore(cmd.Context(), acc, func(s *engine.Store) error {
				info, err := s.Find(args[0])
				if err != nil {
					return err
				}
				if err := s.SetName(cmd.Context(), info.DiscoveryKey, name); err != nil {
					return err
				}
				info.Name = name
				return a.print(keyAnswer{newFeedInfo(info)})
			})
		},
	}
	addSync(cmd, &acc.sync)
	return cmd
}

func (a *app) feedRemoveCommand() *cobra.Command {
	acc := access{write: true}
	var yes bool
	cmd := &cobra.Command{
		Use: "rm FEED --yes", Short: "Remove a feed with everything that is stored of it",
		Long: `Remove a feed with everything that is stored of it: blocks, tree, signatures, keys and name. Nothing brings back a feed
whose secret key was only here: "cairn keys export" saves it before. "cairn compact" gives the space back to the disk.`,
		Example: indent("cairn feed rm old --yes"),
		Args:    arguments(1, 1), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), acc, func(s *engine.Store) error {
				info, err := s.Find(args[0])
				if err != nil {
					return err
				}
				if !yes {
					return &usageError{cmd, fmt.Errorf("this removes %s (%s) for good: confirm with --yes", args[0], contents(info))}
				}
				d, err := s.Destroy(cmd.Context(), info.DiscoveryKey)
				if err != nil {
					return err
				}
				return a.print(removed{Key: info.Key, Blocks: d.Blocks, Bytes: d.Bytes})
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm")
	addSync(cmd, &acc.sync)
	return cmd
}

// contents says what would be lost with a feed.
func contents(i engine.Info) string {
	s := fmt.Sprintf("%s here", plural(i.Downloaded, "block"))
	if i.Writable {
		s += ", and its secret key"
	}
	return s
}

// removed tells what went with a feed.
type removed struct {
	Key    tree.PublicKey `json:"key"`
	Blocks uint64         `json:"blocks"`
	Bytes  uint64         `json:"bytes"` // on disk, estimated
}

func (r removed) text(w io.Writer) {
	fmt.Fprintf(w, "removed %s with %s, about %s on disk\n", r.Key, plural(r.Blocks, "block"), size(r.Bytes))
}
