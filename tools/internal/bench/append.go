package bench

import (
	"context"

	"github.com/cairn-feeds/cairn/engine"
)

// Append appends blocks to one feed, each batch after the one before was acknowledged.
func Append(ctx context.Context, o Options) (Report, error) {
	r := Report{Bench: "append", Count: o.Count, Size: o.Size, Batch: o.Batch, Sync: o.Sync.String()}
	if err := check(o.Count, o.Size, o.Batch); err != nil {
		return r, err
	}
	return r, withFeed(ctx, &o, &r, func(_ *engine.Store, f *engine.Feed) error {
		blocks := samples(o.Size)
		d, err := timed(func() error { return fill(ctx, f, o.Count, o.Batch, blocks) })
		r.AppendPerSecond = rate(o.Count, d)
		r.AppendMBPerSecond = r.AppendPerSecond * float64(o.Size) / 1e6
		r.usage()
		return err
	})
}
