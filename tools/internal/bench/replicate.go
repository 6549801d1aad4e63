package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/replicate"
)

// Replicate moves a feed from one store to another, both in this process, over TCP on the loopback: from connecting to the last
// block being stored, as durable as the sync policy says.
func Replicate(ctx context.Context, o Options) (Report, error) {
	r := Report{Bench: "replicate", Count: o.Count, Size: o.Size, Sync: o.Sync.String()}
	if err := check(o.Count, o.Size); err != nil {
		return r, err
	}
	return r, withDir(&o, &r, func() error {
		source, target := o, o
		source.Dir, target.Dir = filepath.Join(o.Dir, "from"), filepath.Join(o.Dir, "to")
		return withStore(&source, func(from *engine.Store) error {
			return withStore(&target, func(to *engine.Store) error {
				d, err := copyFeed(ctx, from, to, &o)
				r.ReplicateBlocksPerSecond = rate(o.Count, d)
				r.ReplicateMBPerSecond = r.ReplicateBlocksPerSecond * float64(o.Size) / 1e6
				r.usage()
				return err
			})
		})
	})
}

// copyFeed makes a feed in one store and replicates it to the other, and says how long that took.
func copyFeed(ctx context.Context, from, to *engine.Store, o *Options) (d time.Duration, err error) {
	f, err := from.Create(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := fill(ctx, f, o.Count, fillBatch, samples(o.Size)); err != nil {
		return 0, err
	}
	if err := errors.Join(from.Sync(ctx), from.Flush(ctx)); err != nil {
		return 0, err
	}
	g, err := to.Open(ctx, f.Key(), nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	watch := g.Subscribe()
	defer watch.Close()

	left, right := replicate.NewHost(nil, &replicate.Options{Live: true}), replicate.NewHost(nil, &replicate.Options{Live: true})
	defer left.Close()
	defer right.Close()
	return timed(func() error {
		a, b, err := loopback(ctx)
		if err != nil {
			return err
		}
		sending, receiving := left.Start(ctx, a, true), right.Start(ctx, b, false)
		if _, err := sending.Add(f, nil); err != nil {
			return err
		}
		if _, err := receiving.Add(g, nil); err != nil {
			return err
		}
		return whole(watch, g, uint64(o.Count), receiving)
	})
}

// whole waits until a feed has this many blocks.
func whole(watch *engine.Subscription, f *engine.Feed, count uint64, s *replicate.Session) error {
	for {
		select {
		case <-watch.Signal():
			if e := watch.Take(); e.Err != nil {
				return e.Err
			}
			if f.Downloaded(0, 0) == count {
				return nil
			}
		case <-s.Done():
			return fmt.Errorf("the session ended with %d of %d blocks: %w", f.Downloaded(0, 0), count, s.Wait())
		}
	}
}

// loopback returns both ends of a TCP connection.
func loopback(ctx context.Context) (a, b io.ReadWriteCloser, err error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	var d net.Dialer
	if a, err = d.DialContext(ctx, "tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	if b, err = l.Accept(); err != nil {
		return nil, nil, errors.Join(err, a.Close())
	}
	return a, b, nil
}
