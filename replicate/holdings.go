package replicate

import (
	"sync"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/bitmap/demand"
)

// holdings are the blocks that a remote has. They have a lock of their own, because
// the feed's demand asks about them with its lock held.
type holdings struct {
	session *Session

	mu     sync.Mutex
	blocks bitmap.Set
	length uint64 // 1 + the highest block heard of
	able   bool   // the remote uploads and we download
	memory int    // counted in the session
	since  int    // additions since it was counted
}

// countEvery is the number of additions, of at most a page each, between two counts
// of the memory.
const countEvery = 64

// change changes the blocks and counts the memory if that is due. It returns an error
// when the session's holdings take too much.
func (h *holdings) change(countNow bool, f func(*bitmap.Set) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := f(&h.blocks); err != nil {
		return err
	}
	if h.since++; !countNow && h.since < countEvery {
		return nil
	}
	h.since = 0
	memory := h.blocks.SizeInMemory()
	sum := h.session.holdings.Add(int64(memory - h.memory))
	h.memory = memory
	if limit := h.session.host.opts.Limits.Holdings; sum > int64(limit) {
		return flood("what the remote has takes more than %d bytes to remember", limit)
	}
	return nil
}

// reset forgets everything.
func (h *holdings) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.session.holdings.Add(-int64(h.memory))
	h.memory = 0
	h.blocks.Clear()
}

// raise notes that the remote's feed has a length, and says whether that is news.
func (h *holdings) raise(length uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if length <= h.length {
		return false
	}
	h.length = length
	return true
}

func (h *holdings) setAble(able bool) {
	h.mu.Lock()
	h.able = able
	h.mu.Unlock()
}

func (h *holdings) remoteLength() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.length
}

func (h *holdings) has(i uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.blocks.Has(i)
}

// next returns the first block at or behind i that the remote has.
func (h *holdings) next(i uint64) (uint64, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.blocks.NextPresent(i)
}

// nextMissing returns the first block at or behind i that the remote does not have.
func (h *holdings) nextMissing(i uint64) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.blocks.NextMissing(i)
}

// missing yields the parts of a run that the remote does not have.
func (h *holdings) missing(r bitmap.Run, yield func(bitmap.Run)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := h.blocks.NextMissing(r.Start); i < r.End; i = h.blocks.NextMissing(i) {
		end := r.End
		if next, ok := h.blocks.NextPresent(i); ok {
			end = min(end, next)
		}
		yield(bitmap.Run{Start: i, End: end})
		i = end
	}
}

// can says whether the remote could bring what an item of the demand waits for.
func (h *holdings) can(it demand.Item) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.able {
		return false
	}
	switch it.Kind {
	case demand.Get:
		return h.blocks.Has(it.Index)
	case demand.Update:
		return h.length > it.Index
	case demand.Seek:
		next, ok := h.blocks.NextPresent(it.Start)
		return ok && next < it.End
	case demand.Range:
		if it.Blocks == nil {
			next, ok := h.blocks.NextPresent(it.Start)
			return ok && next < it.End
		}
		for _, b := range it.Blocks {
			if h.blocks.Has(b) {
				return true
			}
		}
	}
	return false
}
