package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/static"
	"github.com/cairn-feeds/cairn/tools/internal/ingest"
)

func (a *app) staticAddCommand() *cobra.Command {
	acc := access{write: true, create: true}
	var lines, whole bool
	var blockSize int
	cmd := &cobra.Command{
		Use: "add [FILES...]", Short: "Make a static feed and print its id",
		Long: fmt.Sprintf(`Make one static feed of the files, in this order, or of what comes on stdin, and print its id. Where there is no store yet, it
is made too. The id is printed when the feed is as durable as --sync promises. The same blocks always have the same id: adding
them again changes nothing.

  --whole          a block of each file (the default)
  --lines          a block of each line, without its newline
  --block-size N   blocks of N bytes, and a shorter last one of each file

A block has at most %s bytes: what hypercore 1 peers can receive. A feed without blocks has no id.`, number(static.MaxBlockSize)),
		Example: indent(`
printf 'hello\nworld\n' | cairn static add --lines
cairn static add film.mp4 --block-size 65536`),
		Args: arguments(0, 1<<20),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := ingest.Options{MaxBlock: static.MaxBlockSize}
			switch {
			case lines:
				o.Mode = ingest.Lines
			case cmd.Flags().Changed("block-size"):
				if o.Mode, o.BlockSize = ingest.Pieces, blockSize; blockSize < 1 || blockSize > static.MaxBlockSize {
					return &usageError{cmd, fmt.Errorf("--block-size %d is not between 1 and %d", blockSize, static.MaxBlockSize)}
				}
			}
			if len(args) == 0 {
				args = []string{"-"}
			}
			return a.withStatic(cmd.Context(), acc, func(core *static.Core) error {
				f, err := core.Add()
				if err != nil {
					return err
				}
				info, err := a.addStatic(cmd, core, f, args, o)
				if err := errors.Join(err, f.Close()); err != nil {
					return err
				}
				return a.print(staticID(newStaticInfo(info)))
			})
		},
	}
	cmd.Flags().BoolVar(&lines, "lines", false, "a block of each line")
	cmd.Flags().IntVar(&blockSize, "block-size", 0, "blocks of this many `bytes`")
	cmd.Flags().BoolVar(&whole, "whole", false, "a block of each file (default)")
	cmd.MarkFlagsMutuallyExclusive("lines", "block-size", "whole")
	addSync(cmd, &acc.sync)
	return cmd
}

// addStatic appends the files and finalizes the feed.
func (a *app) addStatic(cmd *cobra.Command, core *static.Core, f *static.Feed, files []string, o ingest.Options) (static.Info, error) {
	ctx := cmd.Context()
	for _, name := range files {
		if err := a.addStaticFile(cmd, f, name, o); err != nil {
			return static.Info{}, err
		}
	}
	id, err := f.Finalize(ctx)
	if errors.Is(err, engine.ErrEmpty) {
		return static.Info{}, errors.New("there is nothing to add: a feed without blocks has no id")
	}
	if err != nil {
		return static.Info{}, err
	}
	return core.Info(id)
}

func (a *app) addStaticFile(cmd *cobra.Command, f *static.Feed, name string, o ingest.Options) error {
	in, err := a.openInput([]string{name})
	if err != nil {
		return err
	}
	defer in.Close()
	bar := a.progress("add", "")
	defer bar.Clear()
	o.OnRead = func(total int64) { bar.Set(uint64(total), in.size) }
	err = ingest.Run(cmd.Context(), in, o, func(blocks [][]byte) error {
		_, err := f.Append(cmd.Context(), blocks...)
		return err
	})
	if err != nil && !in.stdin {
		return fmt.Errorf("%s: %w", name, err)
	}
	return err
}
