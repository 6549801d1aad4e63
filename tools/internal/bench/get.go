package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/cairn-feeds/cairn/engine"
)

// fillBatch is how many blocks are appended at a time where appending is not what is measured.
const fillBatch = 1000

// Get reads blocks at random, after all of them were read once.
func Get(ctx context.Context, o Options) (Report, error) {
	r := Report{Bench: "get", Count: o.Count, Size: o.Size, Blocks: o.Blocks, Sync: o.Sync.String()}
	if err := check(o.Count, o.Size, o.Blocks); err != nil {
		return r, err
	}
	return r, withFeed(ctx, &o, &r, func(s *engine.Store, f *engine.Feed) error {
		blocks := samples(o.Size)
		if err := fill(ctx, f, o.Blocks, fillBatch, blocks); err != nil {
			return err
		}
		if err := s.Flush(ctx); err != nil {
			return err
		}
		g := getter{feed: f, blocks: blocks, length: o.Blocks}
		for i := range o.Blocks { // warm
			if err := g.get(ctx, i); err != nil {
				return err
			}
		}
		alone, err := timed(func() error { return g.random(ctx, o.Count) })
		if err != nil {
			return err
		}
		readers := runtime.GOMAXPROCS(0)
		together, err := timed(func() error { return g.concurrently(ctx, o.Count, readers) })
		if err != nil {
			return err
		}
		r.Get1PerSecond, r.GetPerSecond = rate(o.Count, alone), rate(o.Count, together)
		r.usage()
		return nil
	})
}

// getter reads blocks of a feed and looks whether they are the right ones.
type getter struct {
	feed   *engine.Feed
	blocks [][]byte
	length int
	buf    []byte
}

func (g *getter) get(ctx context.Context, index int) (err error) {
	if g.buf, err = g.feed.AppendBlock(ctx, g.buf[:0], uint64(index), nil); err != nil {
		return err
	}
	// Comparing all of it would be a measurable part of the time.
	if want := g.blocks[index%len(g.blocks)]; len(g.buf) != len(want) || !bytes.HasPrefix(g.buf, want[:min(8, len(want))]) {
		return fmt.Errorf("block %d is not what was appended", index)
	}
	return nil
}

func (g *getter) random(ctx context.Context, count int) error {
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	for range count {
		if err := g.get(ctx, random.IntN(g.length)); err != nil {
			return err
		}
	}
	return nil
}

func (g *getter) concurrently(ctx context.Context, count, readers int) error {
	var wg sync.WaitGroup
	errs := make([]error, readers)
	for i := range readers {
		own := *g
		own.buf = nil
		wg.Go(func() { errs[i] = own.random(ctx, count*(i+1)/readers-count*i/readers) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
