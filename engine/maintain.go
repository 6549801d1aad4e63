package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairn-feeds/cairn/tree"
)

// Metrics are figures of a store.
type Metrics struct {
	// OpenFeeds is how many feeds have handles.
	OpenFeeds int
	// Changes, Commits and Syncs count since the store was opened: changes of
	// feeds, batches they were committed in, and batches that were synced.
	Changes, Commits, Syncs uint64
	// DiskBytes is what the files of the store take.
	DiskBytes uint64
	// CachedNodes, CachedGroups and CachedPages are the entries of the caches that
	// all feeds share.
	CachedNodes, CachedGroups, CachedPages int
	// Database are the figures of the storage engine.
	Database *pebble.Metrics
}

// Metrics returns the figures of the store.
func (s *Store) Metrics() (Metrics, error) {
	if err := s.use(); err != nil {
		return Metrics{}, err
	}
	defer s.unuse()
	m := Metrics{
		Changes:  s.commit.changes.Load(),
		Commits:  s.commit.commits.Load(),
		Syncs:    s.commit.syncs.Load(),
		Database: s.db.Metrics(),
	}
	m.DiskBytes = m.Database.DiskSpaceUsage()
	if c := s.caches; c.nodes != nil {
		m.CachedNodes, m.CachedGroups, m.CachedPages = c.nodes.Len(), c.group.Len(), c.pages.Len()
	}
	s.mu.Lock()
	m.OpenFeeds = len(s.mu.live)
	s.mu.Unlock()
	return m, nil
}

// Checkpoint makes a consistent copy of the store in dir, which must not exist.
// Files are linked rather than copied where the file system can. Writers go on
// meanwhile. A copy that is opened while the original lives on could fork its
// writable feeds: open it read-only, or restore it.
func (s *Store) Checkpoint(ctx context.Context, dir string) error {
	if err := s.use(); err != nil {
		return err
	}
	defer s.unuse()
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := s.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("checkpoint to %s: %w", dir, err)
	}
	return nil
}

// Compact rewrites the files of the store so that space of cleared blocks and
// destroyed feeds comes back.
func (s *Store) Compact(ctx context.Context) error {
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	if err := s.use(); err != nil {
		return err
	}
	defer s.unuse()
	if err := s.flush(ctx); err != nil {
		return err
	}
	return s.db.Compact(ctx, []byte{0}, []byte{0xff}, true)
}

// DiskUsage estimates the bytes on disk of a feed's blocks, nodes, signatures and
// map.
func (s *Store) DiskUsage(dk tree.DiscoveryKey) (uint64, error) {
	if err := s.use(); err != nil {
		return 0, err
	}
	defer s.unuse()
	r, err := s.readRecord(dk)
	if err != nil {
		return 0, &FeedError{Feed: dk, Err: err}
	}
	start, end := dataSpan(r.Number)
	return s.db.EstimateDiskUsage(start, end)
}

// Reserved gives those who embed the store rows of their own, in its reserved key
// space: the records of a DHT, an application's indexes. The owner's name keeps
// them apart.
type Reserved struct {
	s      *Store
	prefix []byte
}

// maxOwnerLength bounds the names given to Reserved, in bytes.
const maxOwnerLength = 64

// Reserved returns the rows of an owner. The name has 1 to 64 bytes and no zero
// byte.
func (s *Store) Reserved(owner string) (*Reserved, error) {
	if owner == "" || len(owner) > maxOwnerLength {
		return nil, fmt.Errorf("%w: an owner has 1 to %d bytes", ErrBadName, maxOwnerLength)
	}
	prefix := append([]byte{tableReserved}, owner...)
	for _, c := range prefix[1:] {
		if c == 0 {
			return nil, fmt.Errorf("%w: %q has a zero byte", ErrBadName, owner)
		}
	}
	return &Reserved{s, append(prefix, 0)}, nil
}

func (r *Reserved) key(k []byte) []byte { return append(r.prefix[:len(r.prefix):len(r.prefix)], k...) }

// Get returns a copy of a row, ok false when there is none.
func (r *Reserved) Get(key []byte) (value []byte, ok bool, err error) {
	if err := r.s.use(); err != nil {
		return nil, false, err
	}
	defer r.s.unuse()
	v, err := r.s.get(r.key(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	return v, err == nil, err
}

// Set writes a row under the store's sync policy; a nil value deletes it.
func (r *Reserved) Set(key, value []byte) error {
	if err := r.s.use(); err != nil {
		return err
	}
	defer r.s.unuse()
	return r.s.write(func(b *pebble.Batch) error {
		if value == nil {
			return b.Delete(r.key(key), nil)
		}
		return b.Set(r.key(key), value, nil)
	})
}

// Scan calls yield with the rows whose keys begin with prefix, in ascending order,
// until it returns false. Key and value are valid during the call, which must be
// short: it holds up the freeing of space.
func (r *Reserved) Scan(prefix []byte, yield func(key, value []byte) bool) error {
	if err := r.s.use(); err != nil {
		return err
	}
	defer r.s.unuse()
	lower := r.key(prefix)
	it, err := r.s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: prefixEnd(lower)})
	if err != nil {
		return err
	}
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return rowError(it.Key(), err)
		}
		if !yield(it.Key()[len(r.prefix):], v) {
			return nil
		}
	}
	return rowError(lower, it.Error())
}

// prefixEnd returns the first key behind all that begin with prefix, whose first
// byte is not 0xff.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; ; i-- {
		if end[i] != 0xff {
			end[i]++
			return end[:i+1]
		}
	}
}
