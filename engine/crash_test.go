package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// crashBlock is the content of a block: it follows from feed and number.
func crashBlock(key tree.PublicKey, index uint64) []byte {
	size := int(key[0]^byte(index*7)) * int(index%5)
	text := fmt.Appendf(nil, "%x/%d;", key[:2], index)
	return bytes.Repeat(text, size/len(text)+1)[:size]
}

// acknowledged is what the workload was promised, by feed.
type acknowledged struct {
	sync.Mutex
	feeds map[tree.PublicKey]promise
}

type promise struct {
	length  uint64
	cleared uint64 // blocks [0, cleared) were cleared, once that many
}

func (a *acknowledged) snapshot() map[tree.PublicKey]promise {
	a.Lock()
	defer a.Unlock()
	out := make(map[tree.PublicKey]promise, len(a.feeds))
	for k, p := range a.feeds {
		out[k] = p
	}
	return out
}

func (a *acknowledged) update(key tree.PublicKey, change func(*promise)) {
	a.Lock()
	defer a.Unlock()
	p := a.feeds[key]
	change(&p)
	a.feeds[key] = p
}

// crashWriter creates feeds, appends to them and clears their beginnings: one
// operation for each turn.
func crashWriter(turns <-chan struct{}, s *engine.Store, seed uint64, acks *acknowledged) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	var feeds []*engine.Feed
	for range turns {
		if len(feeds) == 0 || len(feeds) < 4 && rng.IntN(20) == 0 {
			f, err := s.Create(context.Background(), nil)
			if err != nil {
				return err
			}
			defer f.Close()
			acks.update(f.Key(), func(*promise) {})
			feeds = append(feeds, f)
		}
		f := feeds[rng.IntN(len(feeds))]
		if n := f.Length(); n > 0 && rng.IntN(10) == 0 {
			end := 1 + rng.Uint64N(n)
			if _, err := f.Clear(context.Background(), 0, end); err != nil {
				return err
			}
			acks.update(f.Key(), func(p *promise) { p.cleared = max(p.cleared, end) })
			continue
		}
		batch := make([][]byte, 1+rng.IntN(3)*rng.IntN(40))
		first := f.Length()
		for i := range batch {
			batch[i] = crashBlock(f.Key(), first+uint64(i))
		}
		if _, err := f.Append(context.Background(), batch...); err != nil {
			return err
		}
		acks.update(f.Key(), func(p *promise) { p.length = first + uint64(len(batch)) })
	}
	return nil
}

// TestCrash loses power at many points of a workload, with any part of what was
// not synced. Whatever was acknowledged before is there when the store is opened
// again, and the store passes its check.
func TestCrash(t *testing.T) {
	points := 2000
	if os.Getenv("CAIRN_NIGHTLY") != "" {
		points = 10_000
	}
	if testing.Short() {
		points = 100
	}
	const perStore = 20
	for base := 0; base < points; base += perStore {
		crashRound(t, uint64(base), perStore)
	}
}

// turnsPerPoint is how many operations lie between two points, on average: the
// power goes while they run.
const turnsPerPoint = 5

func crashRound(t *testing.T, seed uint64, points int) {
	fs := vfs.NewCrashableMem()
	s, err := engine.Open("store", &engine.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	acks := &acknowledged{feeds: make(map[tree.PublicKey]promise)}
	turns := make(chan struct{}, turnsPerPoint)
	var wg sync.WaitGroup
	for w := range uint64(3) {
		wg.Go(func() {
			if err := crashWriter(turns, s, seed+w, acks); err != nil {
				t.Errorf("writer: %v", err)
			}
		})
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	for i := range points {
		for range turnsPerPoint {
			turns <- struct{}{}
		}
		before := acks.snapshot()
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		crashVerify(t, clone, before)
		if t.Failed() {
			t.Errorf("seed %d, point %d", seed, i)
			break
		}
	}
	close(turns)
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// crashVerify opens what a crash has left.
func crashVerify(t *testing.T, fs vfs.FS, promised map[tree.PublicKey]promise) {
	t.Helper()
	s, err := engine.Open("store", &engine.Options{FS: fs, MustExist: len(promised) > 0})
	if err != nil {
		t.Errorf("open after the crash: %v", err)
		return
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	checkClean(t, s)
	for key, p := range promised {
		f, err := s.Open(t.Context(), key, &engine.FeedOptions{MustExist: true})
		if err != nil {
			t.Errorf("feed %v: %v", key, err)
			continue
		}
		defer f.Close()
		if f.Length() < p.length || !f.Writable() || f.Guarded() {
			t.Errorf("feed %v has length %d of %d acknowledged, writable %v, guarded %v", key, f.Length(), p.length, f.Writable(), f.Guarded())
		}
		for i := uint64(0); i < f.Length(); i++ {
			b, err := f.Get(t.Context(), i, &engine.GetOptions{NoWait: true})
			if err == nil && !bytes.Equal(b, crashBlock(key, i)) {
				t.Errorf("feed %v: block %d has the wrong content", key, i)
			}
			if err == nil && i < p.cleared {
				t.Errorf("feed %v: block %d is back", key, i)
			}
		}
		if _, err := f.Append(t.Context(), []byte("after the crash")); err != nil {
			t.Errorf("append after the crash: %v", err)
		}
	}
}
