package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

func (a *app) feedImportCommand() *cobra.Command {
	acc := access{write: true, create: true}
	var public bool
	cmd := &cobra.Command{
		Use: "import DIR [NAME]", Short: "Take a feed from a directory of hypercore 9",
		Long: `Take a feed from a directory of hypercore 9 and print its key. Every node, signature and block is verified before anything
is stored: a damaged directory changes nothing. The directory is only read. When the store has the feed already, what is
missing is added; a directory that contradicts what is here is refused.

A secret key comes along, unless --public leaves it out. Then the feed can be written in two places: never append in both.`,
		Example: indent("cairn feed import ./notes-from-node notes"),
		Args:    arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, name := args[0], ""
			if len(args) > 1 {
				name = args[1]
			}
			if st, err := os.Stat(dir); err != nil {
				return err // before a store is made for it
			} else if !st.IsDir() {
				return fmt.Errorf("%s is not a directory", dir)
			}
			acc.secrets = !public
			return a.withStore(cmd.Context(), acc, func(s *engine.Store) error {
				bar := a.progress("import", "blocks")
				defer bar.Clear()
				in, err := s.Import(cmd.Context(), randomaccess.NewDirectory(dir, randomaccess.DirectoryOptions{ReadOnly: true}).Open,
					&engine.ImportOptions{Name: name, Public: public, Progress: bar.Set})
				if errors.Is(err, sleep.ErrNoFeed) {
					return fmt.Errorf("%s is not a directory of hypercore 9: it holds no feed", dir)
				}
				if err != nil {
					return err
				}
				bar.Clear()
				info, err := s.Info(in.Key.DiscoveryKey())
				if err != nil {
					return err
				}
				if in.Writable && !public {
					a.note("%s has the secret key too: append to this feed here or there, never in both places", dir)
				}
				if info.Guarded {
					a.note("another copy of the feed may be ahead: appends are refused until a peer has shown otherwise, or --force")
				}
				return a.print(imported{info.Key, info.Name, in.Length, in.Blocks, in.Bytes, info.Writable})
			})
		},
	}
	cmd.Flags().BoolVar(&public, "public", false, "leave the secret key out")
	addSync(cmd, &acc.sync)
	return cmd
}

// imported is what was taken. People get the key.
type imported struct {
	Key      tree.PublicKey `json:"key"`
	Name     string         `json:"name"`
	Length   uint64         `json:"length"`
	Blocks   uint64         `json:"blocks"` // new to the store
	Bytes    uint64         `json:"bytes"`  // of those
	Writable bool           `json:"writable"`
}

func (i imported) text(w io.Writer) { fmt.Fprintln(w, i.Key) }
