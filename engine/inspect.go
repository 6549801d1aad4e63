package engine

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// RowCount counts rows of one kind. Bytes are those of keys and values before
// whatever the files do with them.
type RowCount struct {
	Rows, KeyBytes, ValueBytes uint64
}

func (c *RowCount) add(key, value int) {
	c.Rows++
	c.KeyBytes += uint64(key)
	c.ValueBytes += uint64(value)
}

// Usage says what the rows of one feed, or of a whole store, take by kind.
type Usage struct {
	MapPages, NodeGroups, Nodes, Signatures, BlockGroups, Blocks RowCount
}

// Inspection describes one feed in depth.
type Inspection struct {
	Info
	// Roots are the full roots of the length, TreeHash is what their signature signs.
	Roots    []tree.Node
	TreeHash tree.Hash
	// Signed tells how many blocks the last signature covers, Signature is that
	// one.
	Signed    uint64
	Signature tree.Signature
	// Signatures is how many there are: one for each batch, in a feed that has
	// everything.
	Signatures uint64
	// Present are the runs of blocks that are here, at most as many as were asked
	// for; PresentRuns is how many there are.
	Present     []bitmap.Run
	PresentRuns uint64
	// Usage counts the rows.
	Usage Usage
	// DiskBytes estimates what the rows take on disk.
	DiskBytes uint64
}

// Inspect describes a feed in depth, with at most maxRuns runs of blocks. It reads
// all keys of the feed, but not the blocks.
func (s *Store) Inspect(ctx context.Context, dk tree.DiscoveryKey, maxRuns int) (Inspection, error) {
	if err := s.use(); err != nil {
		return Inspection{}, err
	}
	defer s.unuse()
	r, err := s.readRecord(dk)
	if err != nil {
		return Inspection{}, &FeedError{Feed: dk, Err: err}
	}
	be := &rows{s: s, number: r.Number, key: r.key()}
	h, err := be.readHead()
	if err != nil {
		return Inspection{}, &FeedError{Feed: dk, Err: err}
	}
	in := Inspection{Info: newInfo(dk, r, h), Roots: h.roots, TreeHash: tree.TreeHash(h.roots)}
	if in.Signed, err = be.indexEnd(kindSignature, h.length); err == nil && in.Signed > 0 {
		_, in.Signature, err = be.signature(in.Signed - 1)
	}
	if err != nil {
		return in, &FeedError{Feed: dk, Err: err}
	}
	for run, err := range (blockMap{pages: be, prefix: h.prefix, length: h.length}).runs(0, h.length) {
		if err != nil {
			return in, &FeedError{Feed: dk, Err: err}
		}
		if in.PresentRuns++; len(in.Present) < maxRuns {
			in.Present = append(in.Present, run)
		}
	}
	start, end := dataSpan(r.Number)
	if err := s.countRows(ctx, start, end, &in.Usage); err != nil {
		return in, &FeedError{Feed: dk, Err: err}
	}
	in.Signatures = in.Usage.Signatures.Rows
	if in.DiskBytes, err = s.db.EstimateDiskUsage(start, end); err != nil {
		return in, &FeedError{Feed: dk, Err: err}
	}
	return in, nil
}

// Usage counts the rows of all feeds by kind. It reads all keys of the store.
func (s *Store) Usage(ctx context.Context) (Usage, error) {
	if err := s.use(); err != nil {
		return Usage{}, err
	}
	defer s.unuse()
	var u Usage
	lower, upper := tableSpan(tableData)
	return u, s.countRows(ctx, lower, upper, &u)
}

// countRows adds the rows of feed data between two keys. Values that stand apart
// from their keys are not read.
func (s *Store) countRows(ctx context.Context, lower, upper []byte, u *Usage) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer it.Close()
	n := 0
	for it.First(); it.Valid(); it.Next() {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_, kind, _, err := parseDataKey(it.Key())
		if err != nil {
			continue // check tells
		}
		c := u.of(kind)
		if c == nil {
			continue
		}
		v := it.LazyValue()
		c.add(len(it.Key()), v.Len())
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("count rows: %w", rowError(lower, err))
	}
	return nil
}

func (u *Usage) of(kind byte) *RowCount {
	switch kind {
	case kindMap:
		return &u.MapPages
	case kindNodeGroup:
		return &u.NodeGroups
	case kindNode:
		return &u.Nodes
	case kindSignature:
		return &u.Signatures
	case kindBlockGroup:
		return &u.BlockGroups
	case kindBlock:
		return &u.Blocks
	}
	return nil
}
