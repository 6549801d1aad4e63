package main

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
)

func (a *app) compactCommand() *cobra.Command {
	return &cobra.Command{
		Use: "compact", Short: "Give the space of cleared blocks and removed feeds back",
		Long: `Rewrite the files of the store, so that the space of cleared blocks and removed feeds comes back at once; otherwise it does
bit by bit, as the store is written to. While it runs, the disk needs room for what is kept once more.`,
		Example: indent("cairn compact\ncairn compact --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			before := filesSize(a.store)
			err := a.withStore(cmd.Context(), access{write: true}, func(s *engine.Store) error { return s.Compact(cmd.Context()) })
			if err != nil {
				return err
			}
			return a.print(compacted{Before: before, After: filesSize(a.store)}) // once files that are not needed are gone
		},
	}
}

// filesSize returns how many bytes the files below a directory have.
func filesSize(dir string) (sum uint64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // what cannot be seen does not count
		if err != nil || d.IsDir() {
			return nil
		}
		if st, err := d.Info(); err == nil {
			sum += uint64(st.Size())
		}
		return nil
	})
	return sum
}

// compacted is the size of the store's files.
type compacted struct {
	Before uint64 `json:"before"`
	After  uint64 `json:"after"`
}

func (c compacted) text(w io.Writer) {
	fmt.Fprintf(w, "the store takes %s, before it took %s\n", size(c.After), size(c.Before))
}
