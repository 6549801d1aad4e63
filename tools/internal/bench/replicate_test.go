package bench_test

import (
	"path/filepath"
	"testing"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tools/internal/bench"
)

// Both stores are left on disk, with the same feed.
func TestReplicate(t *testing.T) {
	for _, policy := range []engine.SyncPolicy{engine.SyncAlways, engine.SyncNever} {
		dir := filepath.Join(t.TempDir(), "stores")
		r, err := bench.Replicate(t.Context(), bench.Options{Count: 2500, Size: 300, Sync: policy, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if r.Bench != "replicate" || r.Store != dir || r.ReplicateBlocksPerSecond <= 0 || r.Sync != policy.String() {
			t.Errorf("%+v", r)
		}
		if got, want := r.ReplicateMBPerSecond, r.ReplicateBlocksPerSecond*300/1e6; got != want {
			t.Errorf("%v MB/s, want %v", got, want)
		}
		var found [2]engine.Info
		for i, name := range []string{"from", "to"} {
			s, err := engine.Open(filepath.Join(dir, name), &engine.Options{MustExist: true, ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			for found[i], err = range s.Feeds() {
				if err != nil {
					t.Fatal(err)
				}
			}
			if found[i].Downloaded != 2500 || found[i].ByteLength != 2500*300 || found[i].Writable != (i == 0) {
				t.Errorf("%s: %+v", name, found[i])
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if found[0].Key != found[1].Key {
			t.Error("two feeds")
		}
	}
}
