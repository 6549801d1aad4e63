package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/cairn-feeds/cairn/tree"
)

// feedRecord is the row of a feed in tableFeeds.
type feedRecord struct {
	Number  feedNumber `msgpack:"n"`
	Key     []byte     `msgpack:"k"` // public key
	Created int64      `msgpack:"t"` // Unix milliseconds
	Name    string     `msgpack:"a,omitempty"`
	// Writable is set when there is a row in tableSecrets.
	Writable bool `msgpack:"w,omitempty"`
}

// Info describes a feed of a store.
type Info struct {
	// Key is the public key.
	Key tree.PublicKey
	// DiscoveryKey is what peers look for.
	DiscoveryKey tree.DiscoveryKey
	// Name is the local name, empty when it has none.
	Name string
	// Created is when the feed came into the store, to the millisecond.
	Created time.Time
	// Length and ByteLength are those of the whole feed, Downloaded is how many of
	// its blocks are here.
	Length, ByteLength, Downloaded uint64
	// Writable is set when the secret key is here.
	Writable bool
	// Guarded is set when appends are refused (see Feed.Guarded).
	Guarded bool
	// Forked is set when two signed histories of the feed were seen.
	Forked bool
}

func newInfo(dk tree.DiscoveryKey, r *feedRecord, h *head) Info {
	return Info{
		Key: r.key(), DiscoveryKey: dk, Name: r.Name, Created: time.UnixMilli(r.Created),
		Length: h.length, ByteLength: h.byteLength, Downloaded: h.present,
		Writable: r.Writable, Guarded: h.guarded(), Forked: h.flags&flagForked != 0,
	}
}

// numberReserve is how many feed numbers are reserved on disk at a time. A crash
// skips those that were not used.
const numberReserve = 1024

// layOut writes the rows that make an empty database a store.
func (s *Store) layOut() error {
	s.id = newStoreID()
	var sealValue []byte
	if s.opts.Passphrase != nil {
		k, row, err := newSeal(s.opts.Passphrase)
		if err != nil {
			return err
		}
		if sealValue, err = msgpack.Marshal(row); err != nil {
			return err
		}
		s.seal = k
	}
	s.mu.next, s.mu.limit = 1, 1
	b := s.db.NewBatch()
	err := errors.Join(
		b.Set(storeKey(rowFormat), binary.AppendUvarint(nil, formatVersion), nil),
		b.Set(storeKey(rowIdent), s.id[:], nil),
		b.Set(storeKey(rowNext), binary.AppendUvarint(nil, 1), nil),
	)
	if sealValue != nil {
		err = errors.Join(err, b.Set(storeKey(rowSeal), sealValue, nil))
	}
	if err != nil {
		b.Close()
		return err
	}
	return s.commit.commit(b, true)
}

// loadNext finds the first feed number that was never used.
func (s *Store) loadNext() error {
	v, err := s.get(storeKey(rowNext))
	if err != nil {
		return fmt.Errorf("next feed number: %w", err)
	}
	n, used := binary.Uvarint(v)
	if used <= 0 {
		return fmt.Errorf("next feed number: %w", ErrCorrupt)
	}
	s.mu.next, s.mu.limit = feedNumber(n), feedNumber(n)
	// Should the reservation be older than a feed, the feed counts.
	lower, upper := tableSpan(tableHeads)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer it.Close()
	if it.Last() {
		last, err := parseNumberKey(tableHeads, it.Key())
		if err != nil {
			return err
		}
		s.mu.next = max(s.mu.next, last+1)
		s.mu.limit = max(s.mu.limit, last+1)
	}
	return rowError(lower, it.Error())
}

// takeNumber returns a new feed number. When it is the first of a new
// reservation, that goes into the batch.
func (s *Store) takeNumber(b *pebble.Batch) (feedNumber, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.mu.next
	s.mu.next++
	if s.mu.next <= s.mu.limit {
		return n, nil
	}
	s.mu.limit = s.mu.next + numberReserve
	return n, b.Set(storeKey(rowNext), binary.AppendUvarint(nil, uint64(s.mu.limit)), nil)
}

// readRecord returns the record of a feed; the error matches ErrNoFeed when there
// is none.
func (s *Store) readRecord(dk tree.DiscoveryKey) (*feedRecord, error) {
	key := catalogKey(dk)
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, ErrNoFeed
	}
	if err != nil {
		return nil, rowError(key, err)
	}
	defer closer.Close()
	return parseRecord(v)
}

func parseRecord(v []byte) (*feedRecord, error) {
	r := new(feedRecord)
	if err := msgpack.Unmarshal(v, r); err != nil {
		return nil, fmt.Errorf("feed record: %w: %w", ErrCorrupt, err)
	}
	if len(r.Key) != len(tree.PublicKey{}) {
		return nil, fmt.Errorf("feed record: key of %d bytes: %w", len(r.Key), ErrCorrupt)
	}
	return r, nil
}

func (r *feedRecord) key() tree.PublicKey { return tree.PublicKey(r.Key) }

func setRecord(b *pebble.Batch, dk tree.DiscoveryKey, r *feedRecord) error {
	v, err := msgpack.Marshal(r)
	if err != nil {
		return err
	}
	return b.Set(catalogKey(dk), v, nil)
}

// Info describes a feed. The error matches ErrNoFeed when it is not in the store.
func (s *Store) Info(dk tree.DiscoveryKey) (Info, error) {
	if err := s.use(); err != nil {
		return Info{}, err
	}
	defer s.unuse()
	r, err := s.readRecord(dk)
	if err != nil {
		return Info{}, &FeedError{Feed: dk, Err: err}
	}
	return s.infoOf(dk, r)
}

func (s *Store) infoOf(dk tree.DiscoveryKey, r *feedRecord) (Info, error) {
	h, err := (&rows{s: s, number: r.Number}).readHead()
	if err != nil {
		return Info{}, &FeedError{Feed: dk, Err: err}
	}
	return newInfo(dk, r, h), nil
}

// Feeds yields all feeds of the store, ordered by discovery key. Feeds that come or
// go meanwhile may be missed. A non-nil error is the last pair.
func (s *Store) Feeds() iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		var after []byte
		for {
			page, err := s.feedPage(after)
			for i := range page {
				if !yield(page[i], nil) {
					return
				}
			}
			if err != nil {
				yield(Info{}, err)
				return
			}
			if len(page) < feedPageSize {
				return
			}
			after = catalogKey(page[len(page)-1].DiscoveryKey)
		}
	}
}

// feedPageSize is how many feeds are read between two calls of a consumer, which
// may take its time: an iterator of the database must not wait for it.
const feedPageSize = 256

// feedPage returns the feeds behind a key of the catalogue.
func (s *Store) feedPage(after []byte) ([]Info, error) {
	if err := s.use(); err != nil {
		return nil, err
	}
	defer s.unuse()
	lower, upper := tableSpan(tableFeeds)
	if after != nil {
		lower = append(after, 0)
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var page []Info
	for it.First(); it.Valid() && len(page) < feedPageSize; it.Next() {
		var dk tree.DiscoveryKey
		if copy(dk[:], it.Key()[1:]) != len(dk) {
			return page, fmt.Errorf("row %x: %w", it.Key(), ErrCorrupt)
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return page, rowError(it.Key(), err)
		}
		r, err := parseRecord(v)
		if err != nil {
			return page, &FeedError{Feed: dk, Err: err}
		}
		info, err := s.infoOf(dk, r)
		if errors.Is(err, pebble.ErrNotFound) {
			continue // destroyed since the iterator was made
		}
		if err != nil {
			return page, err
		}
		page = append(page, info)
	}
	return page, rowError(lower, it.Error())
}

// Destroyed tells what a destroy has freed.
type Destroyed struct {
	// Blocks is how many blocks were there.
	Blocks uint64
	// Bytes estimates the bytes on disk that the feed's rows took. They come back
	// when compaction has rewritten the files they are in.
	Bytes uint64
}

// Destroy closes all handles of a feed and removes every row of it: blocks, tree,
// signatures, keys and name. A secret key that is not exported before is gone.
func (s *Store) Destroy(ctx context.Context, dk tree.DiscoveryKey) (Destroyed, error) {
	if s.opts.ReadOnly {
		return Destroyed{}, ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return Destroyed{}, context.Cause(ctx)
	}
	unlock := s.lockFeed(dk)
	defer unlock()
	if err := s.shutFeed(dk); err != nil {
		return Destroyed{}, err
	}
	if err := s.use(); err != nil {
		return Destroyed{}, err
	}
	defer s.unuse()
	r, err := s.readRecord(dk)
	if err != nil {
		return Destroyed{}, &FeedError{Feed: dk, Err: err}
	}
	be := &rows{s: s, number: r.Number}
	h, err := be.readHead()
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return Destroyed{}, &FeedError{Feed: dk, Err: err}
	}
	var d Destroyed
	if h != nil {
		d.Blocks = h.present
	}
	start, end := dataSpan(r.Number)
	if d.Bytes, err = s.db.EstimateDiskUsage(start, end); err != nil {
		d.Bytes = 0
	}
	return d, s.write(func(b *pebble.Batch) error {
		err := errors.Join(
			b.Delete(catalogKey(dk), nil),
			b.Delete(numberKey(tableHeads, r.Number), nil),
			b.Delete(numberKey(tableSecrets, r.Number), nil),
			b.DeleteRange(numberKey(tableEvidence, r.Number), numberKey(tableEvidence, r.Number+1), nil),
			b.DeleteRange(start, end, nil),
		)
		if r.Name != "" {
			err = errors.Join(err, b.Delete(nameKey(r.Name), nil))
		}
		return err
	})
}

// guardAll guards every feed whose secret key is here.
func (s *Store) guardAll() (int, error) {
	lower, upper := tableSpan(tableSecrets)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return 0, err
	}
	defer it.Close()
	b := s.db.NewBatch()
	n := 0
	for it.First(); it.Valid(); it.Next() {
		number, err := parseNumberKey(tableSecrets, it.Key())
		if err != nil {
			b.Close()
			return 0, err
		}
		h, err := (&rows{s: s, number: number}).readHead()
		if errors.Is(err, pebble.ErrNotFound) || errors.Is(err, ErrCorrupt) {
			continue // check tells
		}
		if err != nil {
			b.Close()
			return 0, err
		}
		if h.length == 0 || h.guarded() {
			continue
		}
		h.flags |= flagGuarded
		n++
		if err := b.Set(numberKey(tableHeads, number), appendHead(nil, h), nil); err != nil {
			b.Close()
			return 0, err
		}
	}
	if err := it.Error(); err != nil {
		b.Close()
		return 0, rowError(lower, err)
	}
	return n, s.commit.commit(b, true)
}
