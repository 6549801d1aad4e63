package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/tree"
)

// formatVersion is the version of the key space this package writes.
const formatVersion = 1

// Rows of tableStore.
const (
	rowFormat = "format" // uvarint version
	rowIdent  = "id"     // 16 random bytes, made with the store
	rowNext   = "next"   // uvarint: no feed has this number or a higher one
	rowSeal   = "seal"   // how secret keys are sealed; absent when they are not
)

// A Store holds any number of feeds in one directory. Its methods may be called
// from any goroutine.
type Store struct {
	dir    string
	opts   Options
	fs     vfs.FS
	dbFS   *databaseFS // fs, as the database sees it
	log    *slog.Logger
	lock   *pebble.Lock
	cache  *pebble.Cache
	db     *pebble.DB
	commit *committer
	caches *caches
	seal   *seal // nil when secret keys are stored in the clear

	recovery  Recovery
	mustGuard bool // the last process may have lost changes
	id        [16]byte

	syncer      syncer
	flushFailed chan error // holds the last error of background work

	feedLocks [feedLockCount]sync.Mutex // see lockFeed
	nameLock  sync.Mutex                // of the claims in tableNames; after a feed lock
	sealLock  sync.RWMutex              // of seal, which SealSecrets replaces
	mu        struct {
		sync.Mutex
		live   map[tree.DiscoveryKey]*live
		next   feedNumber // the next feed's number
		limit  feedNumber // numbers below are reserved on disk
		closed bool
	}
	gate      *gate // of the calls that use db
	closeOnce sync.Once
	closeErr  error
}

// Open opens the store in dir, and makes it when there is none. opts may be nil.
// One process at a time can hold a store: for a second one the error matches
// [ErrStoreLocked].
//
// After an unclean end Open replays the log. What can not be replayed is kept in
// the folder set-aside of the store and reported by [Store.Recovery]; when the
// policy at that time was not SyncAlways, feeds that can be written start guarded
// (see [Feed.Guarded]).
func Open(dir string, opts *Options) (_ *Store, err error) {
	o := opts.withDefaults()
	s := &Store{dir: dir, opts: o, fs: o.FS, log: o.Logger, gate: newGate()}
	if s.fs == vfs.Default {
		s.fs = privateFS{s.fs}
	}
	s.dbFS = &databaseFS{FS: s.fs}
	s.flushFailed = make(chan error, 1)
	s.mu.live = make(map[tree.DiscoveryKey]*live)
	if err := s.prepareDir(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	if s.lock, err = pebble.LockDirectory(dir, s.fs); err != nil {
		return nil, s.lockError(err)
	}
	if err := s.beforeReplay(); err != nil {
		return nil, err
	}
	s.cache = pebble.NewCache(o.BlockCacheBytes)
	if s.db, err = pebble.Open(dir, s.pebbleOptions()); err != nil {
		return nil, s.openError(err)
	}
	s.commit = &committer{db: s.db, space: &spaceGuard{fs: s.fs, dir: dir, floor: o.MinFreeBytes}}
	s.caches = newCaches(o.StorageCacheSize)
	if err := s.loadFormat(); err != nil {
		return nil, err
	}
	if err := s.afterReplay(); err != nil {
		return nil, err
	}
	if !o.ReadOnly && o.Sync != SyncAlways {
		s.syncer.start(s)
	}
	return s, nil
}

// prepareDir makes the directory of a new store and refuses one that is absent
// when it must exist.
func (s *Store) prepareDir() error {
	desc, err := pebble.Peek(s.dir, s.fs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.openError(err)
	}
	if err == nil && desc.Exists {
		return nil
	}
	if s.opts.MustExist || s.opts.ReadOnly {
		return fmt.Errorf("%w: %s", ErrNoStore, s.dir)
	}
	if err := s.fs.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make store directory: %w", err)
	}
	return nil
}

// lockError explains why the lock could not be had.
func (s *Store) lockError(err error) error {
	if holder := s.readMarker(); holder != "" {
		return fmt.Errorf("%w: %s is held by %s", ErrStoreLocked, s.dir, holder)
	}
	return fmt.Errorf("%w: %s: %w", ErrStoreLocked, s.dir, err)
}

// openError names what the database said about its files.
func (s *Store) openError(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("open store %s: %w: %w", s.dir, ErrCorrupt, err)
	}
	return fmt.Errorf("open store %s: %w", s.dir, err)
}

// Sizes of the database, for a machine with two cores and many small feeds.
const (
	memTableSize      = 16 << 20
	memTables         = 4 // at most, before writes wait
	maxOpenFiles      = 64
	separateFrom      = 1024 // bytes: larger values leave the tables
	l0FileNumTrigger  = 4
	l0StopWrites      = 24
	targetFileSize    = 8 << 20
	bytesPerSync      = 1 << 20
	bloomBitsPerKey   = 10
	blobGarbageRatio  = 0.25
	blobReferenceMost = 8
)

func (s *Store) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                          s.dbFS,
		Lock:                        s.lock,
		Cache:                       s.cache,
		ReadOnly:                    s.opts.ReadOnly,
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: memTables,
		MaxOpenFiles:                maxOpenFiles,
		L0CompactionThreshold:       l0FileNumTrigger,
		L0StopWritesThreshold:       l0StopWrites,
		BytesPerSync:                bytesPerSync,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		Logger:                      pebbleLogger{s},
	}
	for i := range o.TargetFileSizes {
		o.TargetFileSizes[i] = targetFileSize << min(i, 3)
	}
	for i := range o.Levels {
		// Blocks are opaque and often compressed or encrypted already, and hashes do
		// not compress.
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBitsPerKey)
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	o.EventListener = s.eventListener()
	separation := pebble.ValueSeparationPolicy{
		Enabled:               !s.opts.InlineBlocks,
		MinimumSize:           separateFrom,
		MaxBlobReferenceDepth: blobReferenceMost,
		TargetGarbageRatio:    blobGarbageRatio,
	}
	o.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy { return separation }
	return o
}

// loadFormat checks the version of the key space and the seal, and lays out a new
// store.
func (s *Store) loadFormat() error {
	v, err := s.get(storeKey(rowFormat))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		if s.opts.ReadOnly {
			return fmt.Errorf("%w: %s", ErrNoStore, s.dir)
		}
		if err := s.requireEmpty(); err != nil {
			return err
		}
		return s.layOut()
	case err != nil:
		return fmt.Errorf("store format: %w", err)
	}
	version, n := binary.Uvarint(v)
	if n <= 0 {
		return fmt.Errorf("store format row: %w", ErrCorrupt)
	}
	if version > formatVersion {
		return fmt.Errorf("%w: %s has format %d, this program knows up to %d: use a newer one", ErrNewerFormat, s.dir, version, formatVersion)
	}
	id, err := s.get(storeKey(rowIdent))
	if err != nil {
		return fmt.Errorf("store id: %w", err)
	}
	copy(s.id[:], id)
	if err := s.loadNext(); err != nil {
		return err
	}
	return s.loadSeal()
}

// requireEmpty refuses to turn a database of somebody else into a store.
func (s *Store) requireEmpty() error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return err
	}
	defer it.Close()
	if it.First() {
		return fmt.Errorf("%s holds a Pebble database that is not a Cairn store: %w", s.dir, ErrCorrupt)
	}
	return it.Error()
}

// get reads a row and copies its value.
func (s *Store) get(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(key)
	if err != nil {
		return nil, rowError(key, err)
	}
	defer closer.Close()
	return append([]byte(nil), v...), nil
}

// rowError marks errors of damaged files, and leaves the others as they are.
func rowError(key []byte, err error) error {
	if err != nil && pebble.IsCorruptionError(err) {
		return fmt.Errorf("row %x: %w: %w", key, ErrCorrupt, err)
	}
	return err
}

// use registers a call that touches the database, unless the store is closed.
// Every successful use is followed by unuse.
func (s *Store) use() error {
	if !s.gate.enter() {
		return fmt.Errorf("store: %w", ErrClosed)
	}
	return nil
}

func (s *Store) unuse() { s.gate.leave() }

// write commits rows that are not feed data, under the store's sync policy.
func (s *Store) write(fill func(*pebble.Batch) error) error {
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	b := s.db.NewBatch()
	if err := fill(b); err != nil {
		b.Close()
		return err
	}
	return s.commit.commit(b, s.opts.Sync == SyncAlways)
}

// Sync forces everything that was answered so far to stable storage, whatever the
// policy.
func (s *Store) Sync(ctx context.Context) error {
	if err := s.use(); err != nil {
		return err
	}
	defer s.unuse()
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.syncNow()
}

// Flush writes what is only in the log and in memory into tables.
func (s *Store) Flush(ctx context.Context) error {
	if err := s.use(); err != nil {
		return err
	}
	defer s.unuse()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.commit.failure(); err != nil {
		return err
	}
	return s.flush(ctx)
}

// flush is Flush for those who use the database. A flush that fails is tried again
// by the database for ever; this one gives up.
func (s *Store) flush(ctx context.Context) error {
	select {
	case <-s.flushFailed: // of an earlier one
	default:
	}
	done, err := s.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case err := <-s.flushFailed:
		return fmt.Errorf("flush: %w", err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Dir returns the directory of the store.
func (s *Store) Dir() string { return s.dir }

// ID returns the random identity that the store was made with. A copy of the
// directory has the same one.
func (s *Store) ID() [16]byte { return s.id }

// Close ends what waits on feeds of the store with ErrClosed, closes the feeds,
// flushes, so that nothing lives in the log alone, and releases the directory. It
// may be called more than once.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.mu.closed = true
		lives := make([]*live, 0, len(s.mu.live))
		for _, l := range s.mu.live {
			lives = append(lives, l)
		}
		s.mu.Unlock()
		for _, l := range lives {
			l.shut(ErrClosed)
		}
		s.syncer.stop()
		s.gate.shut()
		s.closeErr = s.release()
	})
	return s.closeErr
}

// release gives back whatever Open has acquired so far.
func (s *Store) release() error {
	var errs []error
	if s.db != nil {
		healthy := !s.opts.ReadOnly && (s.commit == nil || s.commit.failure() == nil)
		if healthy {
			if err := s.flush(context.Background()); err != nil {
				healthy = false
				errs = append(errs, err)
			}
		}
		if err := s.db.Close(); err != nil {
			healthy = false
			errs = append(errs, fmt.Errorf("close database: %w", err))
		}
		if healthy {
			errs = append(errs, s.removeMarker())
		}
	}
	if s.cache != nil {
		s.cache.Unref()
	}
	if s.lock != nil {
		errs = append(errs, closeLock(s.lock))
	}
	return errors.Join(errs...)
}

// closeLock closes the lock of the directory.
func closeLock(l io.Closer) error {
	if err := l.Close(); err != nil {
		return fmt.Errorf("unlock store: %w", err)
	}
	return nil
}
