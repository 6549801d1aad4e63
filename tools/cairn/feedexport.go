package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

func (a *app) feedExportCommand() *cobra.Command {
	var public bool
	cmd := &cobra.Command{
		Use: "export FEED DIR", Short: "Write a feed as a directory of hypercore 9",
		Long: `Write a feed as the files that hypercore 9 keeps of it, byte for byte what it would have written for the same appends.
Blocks that are not here are zeros there, and marked as missing.

The secret key of a feed that can be written here goes along, readable by its owner only. Then the feed can be written in two
places: never append in both. --public leaves the secret key out.`,
		Example: indent("cairn feed export notes ./notes-for-node\ncairn feed export notes ./mirror --public"),
		Args:    arguments(2, 2), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := args[1]
			return a.withFeed(cmd.Context(), access{secrets: !public}, args[0], func(_ *engine.Store, info engine.Info, f *engine.Feed) error {
				bar := a.progress("export", "")
				defer bar.Clear()
				out := exported{Key: info.Key, Dir: dir, Length: info.Length, Blocks: info.Downloaded, SecretKey: info.Writable && !public}
				err := f.Export(cmd.Context(), randomaccess.NewDirectory(dir, randomaccess.DirectoryOptions{}).Open, &engine.ExportOptions{
					Public:   public,
					Progress: func(done, total uint64) { out.Bytes = done; bar.Set(done, total) },
				})
				if errors.Is(err, engine.ErrFeedExists) {
					return fmt.Errorf("%s is in use: name a directory that is empty or not there yet: %w", dir, err)
				}
				if err != nil {
					return err
				}
				bar.Clear()
				if out.SecretKey {
					a.note("%s holds the secret key: append to this feed here or there, never in both places", filepath.Join(dir, sleep.SecretKeyFile))
				}
				return a.print(out)
			})
		},
	}
	cmd.Flags().BoolVar(&public, "public", false, "leave the secret key out")
	return cmd
}

// exported is what was written.
type exported struct {
	Key       tree.PublicKey `json:"key"`
	Dir       string         `json:"dir"`
	Length    uint64         `json:"length"`
	Blocks    uint64         `json:"blocks"` // those that are here
	Bytes     uint64         `json:"bytes"`  // of all files
	SecretKey bool           `json:"secretKey"`
}

func (e exported) text(w io.Writer) {
	fmt.Fprintf(w, "exported %s of %s to %s, %s\n", number(e.Blocks), plural(e.Length, "block"), e.Dir, size(e.Bytes))
}
