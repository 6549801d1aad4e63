package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
)

func (a *app) feedCatCommand() *cobra.Command {
	var o catOptions
	cmd := &cobra.Command{
		Use: "cat FEED", Short: "Write blocks to stdout, one after the other",
		Long: `Write the blocks of a feed to stdout, one after the other. A block that is not here, or damaged, is a failure: what comes
before it is written.

With --live it waits for blocks that are not here yet, until a signal ends it. Between looks it leaves the store to other
processes. With --json each block is an object on a line of its own (see "cairn feed get").`,
		Example: indent("cairn feed cat photos --start 12 --end 13 > photo.jpg\ncairn feed cat log --lines --live"),
		Args:    arguments(1, 1), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.bounded = cmd.Flags().Changed("end")
			if o.bounded && o.end < o.start {
				return &usageError{cmd, fmt.Errorf("the range ends at %d, before it starts at %d", o.end, o.start)}
			}
			out := a.newBlockWriter(o.lines)
			if o.live {
				return a.follow(cmd.Context(), args[0], &o, out)
			}
			return a.withFeed(cmd.Context(), read, args[0], func(_ *engine.Store, _ engine.Info, f *engine.Feed) error {
				return cat(cmd.Context(), f, &o, out)
			})
		},
	}
	cmd.Flags().Uint64Var(&o.start, "start", 0, "first `block`")
	cmd.Flags().Uint64Var(&o.end, "end", 0, "`block` behind the last one (default the length)")
	cmd.Flags().BoolVar(&o.lines, "lines", false, "write a newline after each block")
	cmd.Flags().BoolVar(&o.live, "live", false, "wait for more")
	return cmd
}

type catOptions struct {
	start, end  uint64
	bounded     bool // end counts
	lines, live bool
}

// cat writes the blocks of the range.
func cat(ctx context.Context, f *engine.Feed, o *catOptions, out *blockWriter) error {
	end := o.end
	if !o.bounded {
		end = f.Length()
	}
	if o.start > end {
		return fmt.Errorf("block %d is behind the end: the feed has %s", o.start, plural(end, "block"))
	}
	if o.start == end {
		return nil
	}
	for b, err := range f.Blocks(ctx, &engine.StreamOptions{Start: o.start, End: end, NoWait: true}) {
		if err != nil {
			return errors.Join(err, out.flush())
		}
		if err := out.write(b.Index, b.Data); err != nil {
			return err
		}
	}
	return out.flush()
}

// What follow waits for: somebody changing the directory of the store, as every writer does when it comes and goes, or,
// should two changes look alike, some time.
const (
	followPause  = 100 * time.Millisecond
	followAtMost = 5 * time.Second
)

// follow writes the blocks of the range as they come, until it is complete or the context ends. No process can write to the
// store while it is open here, so it is opened for each look.
func (a *app) follow(ctx context.Context, feed string, o *catOptions, out *blockWriter) error {
	for first := true; ; first = false {
		stamp := dirStamp(a.store)
		err := a.withFeed(ctx, read, feed, func(_ *engine.Store, info engine.Info, f *engine.Feed) error {
			feed = info.Key.String() // whatever it is called later
			for ; !o.bounded || o.start < o.end; o.start++ {
				b, ok, err := f.Block(nil, o.start)
				if err != nil {
					return errors.Join(err, out.flush())
				}
				if !ok || ctx.Err() != nil {
					break
				}
				if err := out.write(o.start, b); err != nil {
					return err
				}
			}
			return out.flush()
		})
		if err != nil && ctx.Err() == nil && (first || !errors.Is(err, engine.ErrStoreLocked)) {
			return err
		}
		if o.bounded && o.start >= o.end {
			return nil
		}
		for looked := time.Now(); dirStamp(a.store).Equal(stamp) && time.Since(looked) < followAtMost; {
			select {
			case <-time.After(followPause):
			case <-ctx.Done():
				return nil
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// dirStamp tells when the directory was last changed.
func dirStamp(dir string) time.Time {
	st, err := os.Stat(dir)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}
