package engine

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// SyncPolicy says when a change is forced to stable storage.
type SyncPolicy int

// The sync policies. Under every one of them a block that this store signed is
// offered to peers only once it is synced, see [Feed.Offered].
const (
	// SyncAlways answers a change only after it was synced. Changes that arrive
	// while a sync runs share the next one. The default.
	SyncAlways SyncPolicy = iota
	// SyncPeriodic answers at once and syncs every Options.SyncInterval: a crash of
	// the process or of the machine loses at most the changes of that time.
	SyncPeriodic
	// SyncNever leaves syncing to the operating system, to [Store.Sync] and to the
	// close: a crash of the process may lose the latest changes, one of the machine
	// any number of them.
	SyncNever
)

// String returns the name that [ParseSyncPolicy] understands.
func (p SyncPolicy) String() string {
	switch p {
	case SyncAlways:
		return "always"
	case SyncPeriodic:
		return "periodic"
	case SyncNever:
		return "never"
	}
	return fmt.Sprintf("SyncPolicy(%d)", int(p))
}

// ParseSyncPolicy understands always, periodic and never.
func ParseSyncPolicy(s string) (SyncPolicy, error) {
	for _, p := range []SyncPolicy{SyncAlways, SyncPeriodic, SyncNever} {
		if s == p.String() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("sync policy %q is none of always, periodic, never", s)
}

// Options configure a store. The zero value is ready to use.
type Options struct {
	// FS is the file system the store lives on. Nil means the operating system's.
	FS vfs.FS
	// ReadOnly opens the store without changing anything on disk.
	ReadOnly bool
	// MustExist refuses to make a new store where there is none.
	MustExist bool
	// Sync is the sync policy. The zero value is SyncAlways.
	Sync SyncPolicy
	// SyncInterval is the pause between syncs under SyncPeriodic. Zero means one
	// second.
	SyncInterval time.Duration
	// Passphrase unseals the secret keys of the store, and seals those of a new
	// one. Nil leaves the secret keys of a new store unsealed; on a sealed store,
	// feeds are then readable but not writable. The slice is not kept.
	Passphrase []byte
	// BlockCacheBytes bounds the cache of file blocks. Zero means 64 MiB.
	BlockCacheBytes int64
	// StorageCacheSize bounds, in entries, each of the two caches that all feeds
	// share: tree nodes (an entry is a node, or a complete subtree of 32 blocks)
	// and pages of block maps. Zero means 65,536 nodes and 4,096 pages; negative
	// disables both caches.
	StorageCacheSize int
	// MinFreeBytes is the free space below which writes are refused with
	// ErrNoSpace. Zero means 256 MB or one per cent of the file system, whichever
	// is more; negative disables the check.
	MinFreeBytes int64
	// InlineBlocks keeps large blocks inside the sorted tables. By default values
	// of 1 KiB and more are kept in files of their own, so that compaction need
	// not rewrite them.
	InlineBlocks bool
	// Logger receives what the store reports. Nil discards it.
	Logger *slog.Logger
	// OnFatal is called when the storage engine cannot go on: a failed write of
	// its log or manifest. It must not return control to the store; nil means that
	// the message goes to Logger and to standard error and the process ends with
	// status 70. If it does return, the calling goroutine stops there for ever.
	OnFatal func(message string)
}

const (
	defaultBlockCache   = 64 << 20
	defaultNodeCache    = 65536
	defaultPageCache    = 4096
	defaultSyncInterval = time.Second
	minFreeFloor        = 256_000_000
	exitFatal           = 70 // EX_SOFTWARE of sysexits.h
)

// withDefaults returns a copy in which every default is filled in.
func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.SyncInterval <= 0 {
		c.SyncInterval = defaultSyncInterval
	}
	if c.BlockCacheBytes <= 0 {
		c.BlockCacheBytes = defaultBlockCache
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnFatal == nil {
		log := c.Logger
		c.OnFatal = func(message string) {
			log.Error("storage engine cannot go on", "reason", message)
			fmt.Fprintln(os.Stderr, "cairn: storage engine cannot go on:", message)
			os.Exit(exitFatal)
		}
	}
	return c
}
