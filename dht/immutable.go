package dht

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"

	"github.com/cairn-feeds/cairn/dht/internal/hash"
	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

const (
	// MaxImmutable is the length of the longest immutable value, in bytes: what is
	// left of a datagram that has all that a reply may have. Values of more than about
	// 1,000 bytes travel in fragments.
	MaxImmutable = rpc.MaxDatagram - replyOverhead
	// MaxMutable is the length of the longest mutable value, in bytes.
	MaxMutable = MaxImmutable - mutableOverhead

	replyOverhead   = 1 + 1 + 2 + 6 + 32 + 32 + (1 + 20*6) + 3 // header to token, closer nodes, length
	mutableOverhead = 9 + 3 + 64                               // seq, length, signature
)

// ImmutablePut is what became of an immutable value.
type ImmutablePut struct {
	Hash [32]byte // what to get it with
	// ClosestNodes are the nodes closest to the hash, which have stored it. They are a
	// start for a query that is to find it.
	ClosestNodes []netip.AddrPort
}

// PutImmutable stores a value, which must not be changed until then, under its hash.
// Nodes forget it after 48 hours. The error may be ErrValueTooLarge.
func (n *Node) PutImmutable(ctx context.Context, value []byte, o *rpc.QueryOptions) (*ImmutablePut, error) {
	if len(value) > MaxImmutable {
		return nil, fmt.Errorf("%w: %d of at most %d bytes", ErrValueTooLarge, len(value), MaxImmutable)
	}
	if value == nil {
		value = []byte{} // which is not the same as none
	}
	target := hash.Sum(value)
	q := queryOptions(o)
	q.Commit = func(ctx context.Context, _ *rpc.Query, r *rpc.Reply) error {
		return n.store(ctx, r, messages.PutImmutable, target, value)
	}
	walk := n.rpc.Query(target, messages.GetImmutable, nil, &q)
	if err := walk.Finish(ctx); err != nil {
		return nil, err
	}
	return &ImmutablePut{Hash: target, ClosestNodes: walk.ClosestNodes()}, nil
}

// ImmutableRecord is an immutable value that was found.
type ImmutableRecord struct {
	Responder
	Value []byte
}

// GetImmutable finds the value with a hash. The error is ErrNotFound if nobody has
// it.
func (n *Node) GetImmutable(ctx context.Context, target [32]byte, o *rpc.QueryOptions) (*ImmutableRecord, error) {
	q := queryOptions(o)
	for r, err := range n.rpc.Query(target, messages.GetImmutable, nil, &q).Replies(ctx) {
		if err != nil {
			return nil, err
		}
		if r.Value != nil && hash.Sum(r.Value) == target {
			return &ImmutableRecord{responder(r), bytes.Clone(r.Value)}, nil
		}
	}
	return nil, ErrNotFound
}

func queryOptions(o *rpc.QueryOptions) (q rpc.QueryOptions) {
	if o != nil {
		q = *o
	}
	q.Commit = nil
	return q
}
