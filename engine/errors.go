package engine

import (
	"errors"
	"fmt"

	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/tree"
)

// Conditions that callers branch on. All are matched with errors.Is; most come
// wrapped in an error that says which feed, block or file it is about.
var (
	// ErrClosed is returned by calls on a closed store or feed, and ends those
	// that were waiting when it closed.
	ErrClosed = errors.New("engine: closed")
	// ErrNotWritable is returned by appends to a feed whose secret key is not here.
	ErrNotWritable = errors.New("engine: this feed is not writable: its secret key is not here")
	// ErrReadOnly is returned by writes to a store or feed that was opened read-only.
	ErrReadOnly = errors.New("engine: opened read-only")
	// ErrNoFeed is returned when a feed is not in the store and was not to be created.
	ErrNoFeed = errors.New("engine: no such feed")
	// ErrFeedExists is returned when a feed to be created is there already.
	ErrFeedExists = errors.New("engine: feed exists")
	// ErrAmbiguous is returned when an abbreviated key fits more than one feed.
	ErrAmbiguous = errors.New("engine: more than one feed fits")
	// ErrNotPresent is returned for a block that is not here when the call is not
	// to wait for it.
	ErrNotPresent = errors.New("engine: block not downloaded")
	// ErrNotAvailable is returned when no connected peer can bring what is asked for.
	ErrNotAvailable = demand.ErrNotAvailable
	// ErrCanceled ends calls that were waiting for blocks withdrawn with
	// [Feed.Cancel], and downloads that were stopped.
	ErrCanceled = errors.New("engine: request canceled")
	// ErrEmpty is returned by Head of a feed without blocks.
	ErrEmpty = errors.New("engine: feed is empty")
	// ErrBlockTooLarge is returned by appends of a block that no hypercore 9 peer
	// could receive; nothing of the append is stored.
	ErrBlockTooLarge = errors.New("engine: block too large")
	// ErrRange is returned for block numbers and ranges that cannot be.
	ErrRange = errors.New("engine: range out of bounds")
	// ErrGuarded is returned by appends to a feed whose copy here may be older
	// than another one with the same secret key. See [Feed.Guarded].
	ErrGuarded = errors.New("engine: this copy of the feed may be out of date: connect to a peer that has it, or force appending")
	// ErrCorrupt marks bytes that were read back but cannot be what was written.
	ErrCorrupt = errors.New("engine: corrupt")
	// ErrNoSpace is returned by writes while the file system has less free space
	// than the store keeps in reserve.
	ErrNoSpace = errors.New("engine: not enough free disk space")
	// ErrStoreFailed is returned by writes after a commit failed: what is on disk
	// is unknown until the store is opened again. Reads go on.
	ErrStoreFailed = errors.New("engine: store failed")
	// ErrStoreLocked is returned by Open when another process holds the store.
	ErrStoreLocked = errors.New("engine: store is in use by another process")
	// ErrNoStore is returned by Open when there is no store and none is to be made.
	ErrNoStore = errors.New("engine: no store here")
	// ErrNewerFormat is returned by Open for a store that a newer version wrote.
	ErrNewerFormat = errors.New("engine: store has a newer format")
	// ErrSealed is returned when secret keys are sealed and no passphrase, or a
	// wrong one, was given.
	ErrSealed = errors.New("engine: secret keys are sealed")
	// ErrNameTaken is returned when a name belongs to another feed.
	ErrNameTaken = errors.New("engine: name is taken")
	// ErrBadName is returned for names that cannot be used.
	ErrBadName = errors.New("engine: bad name")
)

// A BlockError says which block an error is about.
type BlockError struct {
	// Block is the number of the block.
	Block uint64
	// Err is what happened.
	Err error
}

// Error implements error.
func (e *BlockError) Error() string { return fmt.Sprintf("block %d: %v", e.Block, e.Err) }

// Unwrap returns the cause.
func (e *BlockError) Unwrap() error { return e.Err }

// A FeedError says which feed an error is about. It names the feed by discovery
// key, so that logs do not carry the capability to read it.
type FeedError struct {
	// Feed is the discovery key.
	Feed tree.DiscoveryKey
	// Err is what happened.
	Err error
}

// Error implements error.
func (e *FeedError) Error() string { return fmt.Sprintf("feed %x: %v", e.Feed[:4], e.Err) }

// Unwrap returns the cause.
func (e *FeedError) Unwrap() error { return e.Err }
