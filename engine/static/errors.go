package static

import (
	"errors"
	"fmt"

	"github.com/cairn-feeds/cairn/engine"
)

// Limits of what this package stores.
const (
	// MaxBlockSize is the most bytes that a block may have: a frame of hypercore 1 has
	// 5 MiB, of which 4 KiB are left for the proof.
	MaxBlockSize = 5<<20 - 4<<10
	// MaxBlocks is the most blocks that a feed may have: the bitfield in which a peer of
	// hypercore 1 notes what others have does not grow beyond 4 MiB.
	MaxBlocks = 4 << 20 * 8

	maxRoots = 26 // of a length up to MaxBlocks
)

// Conditions that callers branch on, matched with errors.Is. Those of the store are in
// package engine: ErrClosed, ErrReadOnly, ErrNoFeed, ErrRange, ErrBlockTooLarge, ErrEmpty,
// ErrNoSpace, ErrStoreFailed, ErrCorrupt.
var (
	// ErrFinalized is returned by appends to a feed that has its id.
	ErrFinalized = errors.New("static: cannot append to a finalized feed")
	// ErrNotFinalized is returned by what only a feed with an id can do.
	ErrNotFinalized = errors.New("static: the feed is not finalized")
	// ErrTooLong is returned by appends that would make a feed longer than MaxBlocks.
	ErrTooLong = fmt.Errorf("static: more than %d blocks", MaxBlocks)
	// ErrInUse is returned by Remove for a feed that is open.
	ErrInUse = errors.New("static: the feed is in use")
	// ErrProof is matched by the errors about blocks and proofs from others that do not
	// lead to the id. They are a *tree.ProofError.
	ErrProof = errors.New("static: validation failed")
)

// A FeedError says which feed an error is about.
type FeedError struct {
	// ID is zero when the feed has none yet.
	ID ID
	// Err is what happened.
	Err error
}

// Error implements error.
func (e *FeedError) Error() string {
	if e.ID == (ID{}) {
		return fmt.Sprintf("new static feed: %v", e.Err)
	}
	return fmt.Sprintf("static feed %x: %v", e.ID[:4], e.Err)
}

// Unwrap returns the cause.
func (e *FeedError) Unwrap() error { return e.Err }

func blockError(n uint64, err error) error { return &engine.BlockError{Block: n, Err: err} }
