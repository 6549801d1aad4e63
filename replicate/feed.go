package replicate

import (
	"context"
	"iter"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/tree"
)

// Feed is what this package needs of a feed; *engine.Feed has it. All methods may
// be called from any goroutine. Those without a context do not wait for peers.
type Feed interface {
	Key() tree.PublicKey
	DiscoveryKey() tree.DiscoveryKey

	// Length is the number of blocks that the feed is known to have.
	Length() uint64
	// Offered is how many blocks from the start may be shown to peers: those of a
	// feed that is signed here, as far as they are on stable storage.
	Offered() uint64
	// RequestSync asks that Offered reaches Length soon.
	RequestSync()
	Writable() bool
	// Guarded says that a peer has to prove how long the feed is elsewhere before
	// it can be appended to.
	Guarded() bool

	Has(index uint64) bool
	// NextMissing returns the first block at or behind index that is not present;
	// it may be behind the end.
	NextMissing(index uint64) (uint64, error)
	// Present yields the runs of present blocks in [start, end).
	Present(start, end uint64) iter.Seq2[bitmap.Run, error]
	// Block appends a block to dst if it is present.
	Block(dst []byte, index uint64) (b []byte, ok bool, err error)
	// Proof makes the proof of a block, or of its hash, for a peer that has what
	// digest says.
	Proof(index, digest uint64, hash bool) (tree.Proof, error)
	// Digest says which nodes on the path of a block are known.
	Digest(index uint64) (uint64, error)
	// SeekKnown looks a byte offset up in what is known.
	SeekKnown(bytes uint64) (tree.SeekResult, error)

	// Deliver verifies and stores what a peer sent, in order, as one change. It
	// returns when that is durable: how many were accepted, and an error about the
	// next one. A *tree.ProofError or *tree.ForkError is the peer's fault. The data
	// is not kept.
	Deliver(ctx context.Context, from any, ds []tree.Delivery) (accepted int, err error)
	// Uploaded counts a block that was sent.
	Uploaded(index uint64, size int)

	// Demand is what the feed waits for.
	Demand() *demand.Demand
	// Watch reports changes: signal delivers a value when there are some, take
	// returns those since its last call, stop ends the watch. That Offered grew is
	// signaled too.
	Watch() (signal <-chan struct{}, take func() (arrived, cleared []bitmap.Run, closed bool), stop func())
	Close() error
}

// Store finds feeds by what peers call them. StoreOf makes one of a *engine.Store.
type Store interface {
	// Lookup opens a feed; the host closes it. An error means that the feed is not
	// served.
	Lookup(ctx context.Context, dk tree.DiscoveryKey) (Feed, error)
}

// StoreOf adapts a store whose Lookup returns its own type of feed.
func StoreOf[F Feed](s interface {
	Lookup(ctx context.Context, dk tree.DiscoveryKey) (F, error)
},
) Store {
	return lookupFunc(func(ctx context.Context, dk tree.DiscoveryKey) (Feed, error) {
		f, err := s.Lookup(ctx, dk)
		if err != nil {
			return nil, err // not f: a nil pointer in an interface is not nil
		}
		return f, nil
	})
}

type lookupFunc func(context.Context, tree.DiscoveryKey) (Feed, error)

// Lookup implements Store.
func (f lookupFunc) Lookup(ctx context.Context, dk tree.DiscoveryKey) (Feed, error) {
	return f(ctx, dk)
}
