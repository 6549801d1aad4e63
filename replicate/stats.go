package replicate

import "sync/atomic"

// Stats count the blocks, not the hashes, that were exchanged with a peer, and
// their bytes. A download counts when the block is stored, also if it was already
// there.
type Stats struct {
	UploadedBlocks, UploadedBytes     uint64
	DownloadedBlocks, DownloadedBytes uint64
}

// counters are the Stats of a peer, a session or a host.
type counters struct {
	upBlocks, upBytes, downBlocks, downBytes atomic.Uint64
}

func (c *counters) uploaded(blocks, bytes uint64) {
	c.upBlocks.Add(blocks)
	c.upBytes.Add(bytes)
}

func (c *counters) downloaded(blocks, bytes uint64) {
	c.downBlocks.Add(blocks)
	c.downBytes.Add(bytes)
}

func (c *counters) stats() Stats {
	return Stats{c.upBlocks.Load(), c.upBytes.Load(), c.downBlocks.Load(), c.downBytes.Load()}
}
