package static

import (
	"context"
	"iter"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// A Core is what a host serves: the static feeds of a store. *static.Core of package
// engine/static is one, with F being *static.Feed.
type Core[F Feed] interface {
	// Lookup opens a feed of which something is here or that somebody has open; ok is false
	// otherwise. The host closes it.
	Lookup(id tree.Hash) (feed F, ok bool, err error)
	// Interests yields the ids of the feeds that are of interest: they are joined on every
	// connection.
	Interests() iter.Seq[tree.Hash]
	// Watch calls notify with the id of each feed that becomes or ceases to be of interest,
	// after it did so and without locks held, until stop is called.
	Watch(notify func(id tree.Hash)) (stop func())
}

// A Feed is one static feed. Its methods may be called from any goroutine.
type Feed interface {
	// Blocks returns the length, 0 while it is not known.
	Blocks() uint64
	// Present returns the blocks that are here, as a set of the caller's.
	Present() *bitmap.Set
	// Wants appends the blocks that somebody waits for, most urgent first.
	Wants(dst []uint64) []uint64
	// Downloading reports whether all of the feed is to be fetched.
	Downloading() bool
	// Watch calls notify after each change of what these four return, without locks held,
	// until stop is called.
	Watch(notify func()) (stop func())
	// AppendBlock appends a block that is here to dst.
	AppendBlock(dst []byte, block uint64) ([]byte, error)
	// AppendProof appends the whole proof of a block that is here to dst, in the order that
	// it is sent in. Sizes mean nothing.
	AppendProof(dst []tree.Node, block uint64) ([]tree.Node, error)
	// Deliver verifies and stores blocks, and returns how many it accepted. An error that
	// the sender is to blame for is a *tree.ProofError. Nothing is kept of the argument.
	Deliver(ctx context.Context, blocks []tree.Delivery) (accepted int, err error)
	// Uploaded is called with blocks that were sent.
	Uploaded(blocks *bitmap.Set)
	// Close gives the feed back.
	Close() error
}
