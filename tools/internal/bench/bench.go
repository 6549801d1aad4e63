package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cairn-feeds/cairn/engine"
)

// Options say how much is done. Counts that a benchmark uses must be positive.
type Options struct {
	// Count is how many blocks Append appends, how many Get reads with each number of readers, and how many Replicate moves.
	Count int
	// Size is the size of a block in bytes.
	Size int
	// Batch is how many blocks Append appends at a time.
	Batch int
	// Blocks is how many blocks the feed has that Get reads.
	Blocks int
	// Records is how many values DHT puts and gets.
	Records int
	// Feeds is how many feeds Many makes.
	Feeds int
	// Sync is the sync policy.
	Sync engine.SyncPolicy
	// Dir is where the store is made, and left. It must not exist, or be empty. Empty means a temporary one.
	Dir string
}

// Report is what a benchmark found out.
type Report struct {
	Bench string `json:"bench"`

	Count   int    `json:"count,omitempty"`
	Size    int    `json:"size"`
	Batch   int    `json:"batch,omitempty"`
	Blocks  int    `json:"blocks,omitempty"`
	Feeds   int    `json:"feeds,omitempty"`
	Records int    `json:"records,omitempty"`
	Sync    string `json:"sync,omitempty"`
	Store   string `json:"store,omitempty"` // where it was left

	AppendPerSecond   float64 `json:"append_per_s,omitempty"`
	AppendMBPerSecond float64 `json:"append_mb_per_s,omitempty"`
	GetPerSecond      float64 `json:"get_per_s,omitempty"`
	Get1PerSecond     float64 `json:"get1_per_s,omitempty"`
	CreatePerSecond   float64 `json:"create_per_s,omitempty"`
	OpenGetPerSecond  float64 `json:"open_get_per_s,omitempty"`

	ReplicateBlocksPerSecond float64 `json:"replicate_blocks_per_s,omitempty"`
	ReplicateMBPerSecond     float64 `json:"replicate_mb_per_s,omitempty"`

	StreamMBPerSecond float64 `json:"stream_mb_per_s,omitempty"`
	ConnectMS         float64 `json:"connect_ms,omitempty"`
	PutPerSecond      float64 `json:"put_per_s,omitempty"`
	LookupPerSecond   float64 `json:"lookup_per_s,omitempty"`

	RSSMB       float64 `json:"rss_mb,omitempty"`
	Descriptors int     `json:"descriptors,omitempty"`
}

// check refuses counts that make no sense.
func check(counts ...int) error {
	for _, n := range counts {
		if n < 1 {
			return fmt.Errorf("%d is not a positive count", n)
		}
	}
	return nil
}

// withDir provides the directory of the store, which is temporary unless the options name one.
func withDir(o *Options, r *Report, do func() error) error {
	if o.Dir != "" {
		if err := requireEmpty(o.Dir); err != nil {
			return err
		}
		r.Store = o.Dir
		return do()
	}
	temporary, err := os.MkdirTemp("", "cairn-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	o.Dir = temporary
	return do()
}

// withStore opens the store for the length of a call.
func withStore(o *Options, do func(*engine.Store) error) error {
	s, err := engine.Open(o.Dir, &engine.Options{Sync: o.Sync})
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

// withFeed makes a store with one feed for the length of a benchmark.
func withFeed(ctx context.Context, o *Options, r *Report, do func(*engine.Store, *engine.Feed) error) error {
	return withDir(o, r, func() error {
		return withStore(o, func(s *engine.Store) error {
			f, err := s.Create(ctx, nil)
			if err != nil {
				return err
			}
			return errors.Join(do(s, f), f.Close())
		})
	})
}

// requireEmpty refuses a directory that somebody uses.
func requireEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: a benchmark makes a new store", dir)
	}
	return nil
}

// timed returns how long a call takes.
func timed(f func() error) (time.Duration, error) {
	start := time.Now()
	err := f()
	return time.Since(start), err
}

func rate(n int, d time.Duration) float64 { return float64(n) / d.Seconds() }

// sampleCount is how many different blocks there are, as in the benchmarks of the JavaScript implementations.
const sampleCount = 251

// samples makes blocks: block i is i, i+1, ... mod 251.
func samples(size int) [][]byte {
	blocks := make([][]byte, sampleCount)
	for i := range blocks {
		blocks[i] = make([]byte, size)
		for k := range blocks[i] {
			blocks[i][k] = byte((i + k) % sampleCount)
		}
	}
	return blocks
}

// fill appends count blocks, batch at a time.
func fill(ctx context.Context, f *engine.Feed, count, batch int, blocks [][]byte) error {
	next := make([][]byte, 0, batch)
	for at := 0; at < count; {
		next = next[:0]
		for ; len(next) < batch && at < count; at++ {
			next = append(next, blocks[at%len(blocks)])
		}
		if _, err := f.Append(ctx, next...); err != nil {
			return err
		}
	}
	return nil
}
