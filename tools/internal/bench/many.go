package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// manyWorkers is how many goroutines create and open feeds.
const manyWorkers = 8

// Many creates feeds of one block, closes the store, opens it again, and opens all feeds at once, reading the block of
// each.
func Many(ctx context.Context, o Options) (Report, error) {
	r := Report{Bench: "many", Feeds: o.Feeds, Size: o.Size, Sync: o.Sync.String()}
	if err := check(o.Feeds, o.Size); err != nil {
		return r, err
	}
	m := many{blocks: samples(o.Size), keys: make([]tree.PublicKey, o.Feeds)}
	return r, withDir(&o, &r, func() error {
		err := withStore(&o, func(s *engine.Store) error {
			d, err := timed(func() error { return parallel(o.Feeds, func(i int) error { return m.create(ctx, s, i) }) })
			r.CreatePerSecond = rate(o.Feeds, d)
			return err
		})
		if err != nil {
			return err
		}
		debug.FreeOSMemory() // what creating took is no part of what having them open takes
		return withStore(&o, func(s *engine.Store) error { return m.openAll(ctx, s, &r) })
	})
}

type many struct {
	blocks [][]byte
	keys   []tree.PublicKey
}

// create makes feed i and appends its block.
func (m *many) create(ctx context.Context, s *engine.Store, i int) error {
	f, err := s.Create(ctx, nil)
	if err != nil {
		return err
	}
	m.keys[i] = f.Key()
	_, err = f.Append(ctx, m.blocks[i%len(m.blocks)])
	return errors.Join(err, f.Close())
}

// openAll opens all feeds, reads the block of each, and closes them once all are open.
func (m *many) openAll(ctx context.Context, s *engine.Store, r *Report) error {
	feeds := make([]*engine.Feed, len(m.keys))
	d, err := timed(func() error { return parallel(len(feeds), func(i int) error { return m.open(ctx, s, i, feeds) }) })
	r.OpenGetPerSecond = rate(len(feeds), d)
	r.usage() // with all of them open
	for _, f := range feeds {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// open opens feed i and reads its block.
func (m *many) open(ctx context.Context, s *engine.Store, i int, feeds []*engine.Feed) error {
	f, err := s.Open(ctx, m.keys[i], &engine.FeedOptions{MustExist: true})
	if err != nil {
		return err
	}
	feeds[i] = f
	b, err := f.Get(ctx, 0, nil)
	if err == nil && !bytes.Equal(b, m.blocks[i%len(m.blocks)]) {
		err = fmt.Errorf("feed %d: the block is not what was appended", i)
	}
	return err
}

// parallel calls f with 0 to count-1 from several goroutines, until one fails.
func parallel(count int, f func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Bool
	errs := make([]error, manyWorkers)
	var wg sync.WaitGroup
	for w := range manyWorkers {
		wg.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				if err := f(i); err != nil {
					errs[w] = err
					failed.Store(true)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
