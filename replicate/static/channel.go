package static

import (
	"math/rand/v2"

	"github.com/cairn-feeds/cairn/bitmap"
)

// channel is a feed on a stream. All of it is guarded by host.mu.
//
//	joined locally       the channel exists; its Join is sent when there is room
//	opened               Have and Unpause are sent: the remote may ask
//	joined by the remote its messages are understood
//	left                 by either side: it is forgotten
type channel struct {
	stream *Stream
	share  *share
	local  uint64 // our number of it

	remote       uint64 // the remote's number, once remoteJoined
	remoteJoined bool
	remotePaused bool
	remoteHas    *bitmap.Set
	memory       int // of remoteHas, as counted for the stream

	joined    bool        // our Join was sent
	opened    bool        // Have and Unpause were sent
	announced *bitmap.Set // what we said we have
	left      bool
	queued    bool // in stream.dirty

	requests *bitmap.Set // of ours that are not answered
	waiting  *bitmap.Set // of the remote, for blocks that are not here
	cursor   uint64      // where looking for blocks goes on
	started  bool        // cursor is set
}

// feedChangedLocked sees to what follows from a change of the feed.
func (c *channel) feedChangedLocked() {
	c.dirtyLocked()
	c.fetchLocked()
	if c.waiting.Len() == 0 {
		return
	}
	here := c.waiting.Clone()
	here.And(c.share.present)
	for run := range here.Runs(0, MaxBlocks) {
		for n := run.Start; n < run.End; n++ {
			c.stream.asks = append(c.stream.asks, ask{c, n})
		}
	}
	c.waiting.AndNot(here)
	if blocks := c.share.blocks; blocks > 0 {
		if _, behind := c.waiting.NextPresent(blocks); behind {
			c.leaveLocked() // the remote wants a block behind the end
		}
	}
}

// dirtyLocked has the stream look whether there is something to announce.
func (c *channel) dirtyLocked() {
	if !c.queued && !c.left {
		c.queued = true
		c.stream.dirty = append(c.stream.dirty, c)
	}
	c.stream.poke()
}

// fetchLocked has the stream look whether there is something to ask for.
func (c *channel) fetchLocked() {
	if s := c.share; s.downloading && !c.remotePaused && !c.left {
		c.stream.fetch[c] = struct{}{}
		c.stream.poke()
	}
}

// leaveLocked leaves the channel.
func (c *channel) leaveLocked() {
	if c.left {
		return
	}
	if c.joined {
		c.stream.leaves = append(c.stream.leaves, c.local)
	}
	c.forgetLocked()
}

// forgetLocked forgets the channel and lets others ask for what it was asked for.
func (c *channel) forgetLocked() {
	if c.left {
		return
	}
	c.left = true
	st, s := c.stream, c.share
	st.inflight -= int(c.requests.Len())
	st.unanswered -= int(c.waiting.Len())
	st.memory -= c.memory
	s.requesting.AndNot(c.requests)
	delete(st.fetch, c)
	delete(st.byShare, s)
	delete(s.channels, c)
	st.numbers.Remove(c.local, c.local+1)
	if c.remoteJoined {
		st.remote[c.remote] = nil
	}
	for other := range s.channels {
		other.fetchLocked() // for what was asked of this one
	}
	if len(s.host.wanting) > 0 {
		s.host.wakeAllLocked() // what others gave way to may be out of reach now
	}
	if a := s.host.dropLocked(s); a.feed != nil {
		st.orphans = append(st.orphans, a)
	}
	st.poke()
}

// chooseLocked returns the next block to ask the remote for. later is set when there may be
// one, but others come first.
func (c *channel) chooseLocked() (n uint64, ok, later bool) {
	s := c.share
	if !s.downloading || c.remotePaused {
		return 0, false, false
	}
	for _, n := range s.wants {
		if c.remoteHas.Has(n) && !s.present.Has(n) && !s.requesting.Has(n) {
			return n, true, false
		}
	}
	if len(s.wants) == 0 && s.host.urgentLocked(s) {
		return 0, false, true
	}
	if len(s.wants) > 0 {
		c.cursor, c.started = s.wants[0], true
	} else if !c.started {
		last, ok := c.remoteHas.Max()
		if !ok {
			return 0, false, false
		}
		c.cursor, c.started = rand.Uint64N(last+1), true
	}
	if n, ok = c.missingLocked(c.cursor); !ok {
		n, ok = c.missingLocked(0)
	}
	c.cursor = n + 1
	return n, ok, false
}

// missingLocked returns the first block from n on that the remote has and that is neither
// here nor asked for.
func (c *channel) missingLocked(n uint64) (uint64, bool) {
	s := c.share
	for {
		next, ok := c.remoteHas.NextDifference(n, s.present)
		if !ok || s.blocks > 0 && next >= s.blocks {
			return 0, false
		}
		if n = s.requesting.NextMissing(next); n == next {
			return n, true
		}
	}
}
