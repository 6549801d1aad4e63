package engine

import (
	"sync/atomic"

	"github.com/cairn-feeds/cairn/bitmap"
)

// Stats are totals of a feed since it was opened. Only blocks count, not hashes,
// and a download counts only when the block was new.
type Stats struct {
	UploadedBlocks, UploadedBytes     uint64
	DownloadedBlocks, DownloadedBytes uint64
}

type statCounters struct {
	off                   atomic.Bool
	upBlocks, upBytes     atomic.Uint64
	downBlocks, downBytes atomic.Uint64
}

func (c *statCounters) downloaded(blocks, bytes uint64) {
	if !c.off.Load() {
		c.downBlocks.Add(blocks)
		c.downBytes.Add(bytes)
	}
}

// Stats returns the totals of all handles of the feed. They stay at zero when the
// handle that opened the feed has NoStats.
func (f *Feed) Stats() Stats {
	c := &f.live.stats
	return Stats{c.upBlocks.Load(), c.upBytes.Load(), c.downBlocks.Load(), c.downBytes.Load()}
}

// Uploaded records that a block of size bytes was sent to a peer, for Stats and
// for the subscribers.
func (f *Feed) Uploaded(index uint64, size int) {
	c := &f.live.stats
	if !c.off.Load() {
		c.upBlocks.Add(1)
		c.upBytes.Add(uint64(size))
	}
	if len(f.live.subscriptions()) > 0 {
		f.live.broadcast(Events{Uploaded: []bitmap.Run{{Start: index, End: index + 1}}})
	}
}
