package bench_test

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tools/internal/bench"
)

func TestReports(t *testing.T) {
	ctx := t.Context()
	o := bench.Options{Count: 300, Size: 100, Batch: 7, Blocks: 50, Feeds: 40, Sync: engine.SyncNever}
	tests := []struct {
		name  string
		run   func(context.Context, bench.Options) (bench.Report, error)
		rates func(bench.Report) []float64
		feeds int
	}{
		{"append", bench.Append, func(r bench.Report) []float64 { return []float64{r.AppendPerSecond, r.AppendMBPerSecond} }, 1},
		{"get", bench.Get, func(r bench.Report) []float64 { return []float64{r.Get1PerSecond, r.GetPerSecond} }, 1},
		{"many", bench.Many, func(r bench.Report) []float64 { return []float64{r.CreatePerSecond, r.OpenGetPerSecond} }, 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o.Dir = filepath.Join(t.TempDir(), "store")
			r, err := tt.run(ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			for i, rate := range tt.rates(r) {
				if rate <= 0 {
					t.Errorf("rate %d of %+v", i, r)
				}
			}
			if r.Bench != tt.name || r.Store != o.Dir || r.Sync != "never" || r.RSSMB <= 0 {
				t.Errorf("%+v", r)
			}
			if runtime.GOOS == "linux" && r.Descriptors <= 3 {
				t.Errorf("%d descriptors with a store open", r.Descriptors)
			}
			s, err := engine.Open(o.Dir, &engine.Options{MustExist: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			feeds, blocks := 0, uint64(0)
			for info, err := range s.Feeds() {
				if err != nil {
					t.Fatal(err)
				}
				feeds++
				blocks += info.Downloaded
			}
			want := uint64(max(r.Feeds, r.Blocks))
			if tt.name == "append" {
				want = uint64(r.Count)
			}
			if feeds != tt.feeds || blocks != want {
				t.Errorf("the store that was left holds %d feeds and %d blocks", feeds, blocks)
			}
			if _, err := tt.run(ctx, o); err == nil {
				t.Error("a store that is there was used")
			}
		})
	}
	if _, err := bench.Replicate(ctx, bench.Options{Count: 1}); err == nil {
		t.Error("blocks of no size were taken")
	}
	if _, err := bench.Append(ctx, bench.Options{Count: -1}); err == nil {
		t.Error("a negative count was taken")
	}
}
