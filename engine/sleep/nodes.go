package sleep

import (
	"iter"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// Nodes yields the runs of known nodes within [start, end), in ascending order.
// Changes may be made meanwhile; whether they show is not defined.
func (f *Files) Nodes(start, end tree.Index) iter.Seq[bitmap.Run] {
	return func(yield func(bitmap.Run) bool) {
		for at := uint64(start); at < uint64(end); {
			run, ok := f.nextNodes(at, uint64(end))
			if !ok || !yield(run) {
				return
			}
			at = run.End
		}
	}
}

// nextNodes returns the first run of known nodes within [start, end).
func (f *Files) nextNodes(start, end uint64) (bitmap.Run, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for run := range f.bits.Nodes().Runs(start, end) {
		return run, true
	}
	return bitmap.Run{}, false
}
