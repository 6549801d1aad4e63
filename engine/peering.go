package engine

import (
	"context"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// What replication needs beside the API for callers. Its signatures hold no types
// of this package, so that replication can declare them as interfaces of its own
// (see replicate.Feed).

// Lookup opens the feed of the store with a discovery key, and asks for all of it
// unless it is writable. The error matches ErrNoFeed when there is none.
func (s *Store) Lookup(ctx context.Context, dk tree.DiscoveryKey) (*Feed, error) {
	return s.OpenDiscovery(ctx, dk, nil)
}

// Watch reports changes that peers want to hear of: signal delivers a value when
// there are some, take returns those since the last call: blocks that arrived from
// others, blocks that were cleared, and whether the handle was closed. That Offered
// grew is signaled too. stop ends the watch.
func (f *Feed) Watch() (signal <-chan struct{}, take func() (arrived, cleared []bitmap.Run, closed bool), stop func()) {
	s := f.Subscribe()
	take = func() (arrived, cleared []bitmap.Run, closed bool) {
		e := s.Take()
		return e.Downloaded, e.Cleared, e.Closed
	}
	return s.Signal(), take, s.Close
}

// SeekKnown looks a byte offset up in what is known here. The error matches
// tree.ErrOutOfBounds for an offset behind the end.
func (f *Feed) SeekKnown(bytes uint64) (tree.SeekResult, error) {
	r, err := f.live.seekLocal(f.live.head.Load(), bytes)
	if err != nil {
		return r, f.fail(err)
	}
	return r, nil
}
