package static

import (
	"sync"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// share is a feed that streams have channels of, or that is of interest.
type share struct {
	host *Host
	id   tree.Hash

	refreshing sync.Mutex // held from reading the feed to noting it; before host.mu

	// Guarded by host.mu. What the feed said last:
	feed        Feed // nil: nothing is known of it but the id
	stop        func()
	blocks      uint64
	present     *bitmap.Set // nil as long as feed is; never modified
	wants       []uint64
	downloading bool

	requesting *bitmap.Set // asked of some remote, or being stored
	channels   map[*channel]struct{}
}

func newShare(h *Host, id tree.Hash) *share {
	return &share{host: h, id: id, requesting: bitmap.NewSet(), channels: make(map[*channel]struct{})}
}

// refresh reads what the feed says, and tells the streams to act on it.
func (s *share) refresh() {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	h := s.host
	h.mu.Lock()
	feed := s.feed
	h.mu.Unlock()
	if feed == nil {
		return
	}
	wants, downloading, blocks, present := feed.Wants(nil), feed.Downloading(), feed.Blocks(), feed.Present()
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.feed != feed {
		return
	}
	satisfied := len(s.wants) > 0 && len(wants) == 0
	s.wants, s.downloading, s.blocks, s.present = wants, downloading, blocks, present
	if len(wants) > 0 {
		h.wanting[s] = struct{}{}
	} else {
		delete(h.wanting, s)
	}
	for c := range s.channels {
		c.feedChangedLocked()
	}
	if satisfied {
		h.wakeAllLocked() // other feeds gave way to this one
	}
}

func (h *Host) wakeAllLocked() {
	for st := range h.streams {
		st.poke()
	}
}

// urgentLocked reports whether somebody waits for blocks of another feed that a remote could
// be asked for.
func (h *Host) urgentLocked(but *share) bool {
	for s := range h.wanting {
		if s == but {
			continue
		}
		for _, n := range s.wants {
			if s.present.Has(n) || s.requesting.Has(n) {
				continue
			}
			for c := range s.channels {
				if !c.remotePaused && c.remoteHas.Has(n) {
					return true
				}
			}
		}
	}
	return false
}
