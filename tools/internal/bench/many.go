package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	m := many{options: o, blocks: samples(o.Size), keys: make([]tree.PublicKey, o.Feeds)}
	return r, withStore(&o, &r, func(s *engine.Store) error {
		d, err := timed(func() error { return parallel(o.Feeds, func(i int) error { return m.create(ctx, s, i) }) })
		if err != nil {
			return err
		}
		r.CreatePerSecond = rate(o.Feeds, d)
		if err := s.Close(); err != nil {
			return err
		}
		return m.openAll(ctx, s.Dir(), &r)
	})
}

type many struct {
	options Options
	blocks  [][]byte
	keys    []tree.PublicKey
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

// openAll measures in a store that was opened anew.
func (m *many) openAll(ctx context.Context, dir string, r *Report) error {
	s, err := engine.Open(dir, &engine.Options{Sync: m.options.Sync, MustExist: true})
	if err != nil {
		return err
	}
	feeds := make([]*engine.Feed, len(m.keys))
	d, err := timed(func() error {
		return parallel(len(feeds), func(i int) (err error) {
			if feeds[i], err = s.Open(ctx, m.keys[i], &engine.FeedOptions{MustExist: true}); err != nil {
				return err
			}
			b, err := feeds[i].Get(ctx, 0, nil)
			if err == nil && !bytes.Equal(b, m.blocks[i%len(m.blocks)]) {
				err = fmt.Errorf("feed %d: the block is not what was appended", i)
			}
			return err
		})
	})
	if err != nil {
		return errors.Join(err, s.Close())
	}
	r.OpenGetPerSecond = rate(len(feeds), d)
	r.usage() // with all of them open
	for _, f := range feeds {
		if err := f.Close(); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	return s.Close()
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
