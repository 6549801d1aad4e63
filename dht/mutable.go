package dht

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/cairn-feeds/cairn/codec/compact"
	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

// MutableRecord is a mutable value that was found. Its signature is good.
type MutableRecord struct {
	Responder
	PublicKey PublicKey
	Seq       uint64
	Value     []byte
	Signature [64]byte
}

// parseMutable returns the record in a reply, if there is one with a good signature.
func parseMutable(key PublicKey, r *rpc.Reply) (*MutableRecord, bool) {
	if r.Value == nil {
		return nil, false
	}
	m, err := messages.ParseMutableValue(r.Value)
	if err != nil || !m.Verify((*[32]byte)(&key)) {
		return nil, false
	}
	return &MutableRecord{responder(r), key, m.Seq, bytes.Clone(m.Value), m.Signature}, true
}

// MutablePut is what became of a mutable value.
type MutablePut struct {
	PublicKey PublicKey // what to get it with
	Seq       uint64
	Signature [64]byte
	// ClosestNodes are the nodes closest to the key's target; most have stored the
	// value.
	ClosestNodes []netip.AddrPort
}

// PutMutable stores a value, which must not be changed until then, under the public
// key of its owner, in place of one with a lower seq. Nodes forget it after 48 hours.
//
// The error may be ErrValueTooLarge. It is a *SeqError if a value with a higher seq,
// or another one with the same, is stored; that is known when a node shows it, or when
// all nodes say so.
func (n *Node) PutMutable(ctx context.Context, key KeyPair, seq uint64, value []byte, o *rpc.QueryOptions) (*MutablePut, error) {
	if err := key.check(); err != nil {
		return nil, err
	}
	switch {
	case len(value) > MaxMutable:
		return nil, fmt.Errorf("%w: %d of at most %d bytes", ErrValueTooLarge, len(value), MaxMutable)
	case seq > compact.MaxUint:
		return nil, fmt.Errorf("dht: seq %d is more than %d", seq, uint64(compact.MaxUint))
	}
	m := messages.MutablePut{PublicKey: key.Public, MutableValue: messages.MutableValue{Seq: seq, Value: value}}
	m.Sign(key.Secret)
	encoded := m.Append(nil)

	target := key.Public.Target()
	var refused error // known when the walk is over
	q := queryOptions(o)
	q.Commit = func(ctx context.Context, _ *rpc.Query, r *rpc.Reply) error {
		if refused != nil {
			return refused
		}
		err := n.store(ctx, r, messages.PutMutable, target, encoded)
		if code, ok := errors.AsType[*rpc.CodeError](err); ok && seqError(code.Code) != nil {
			return &SeqError{Key: key.Public, Seq: seq, Err: seqError(code.Code)}
		}
		return err
	}
	walk := n.rpc.Query(target, messages.GetMutable, messages.AppendSeq(nil, 0), &q)
	for r, err := range walk.Replies(ctx) {
		switch {
		case refused != nil && err != nil:
			return nil, refused
		case err != nil:
			if e, ok := errors.AsType[*SeqError](err); ok {
				return nil, e
			}
			return nil, err
		case refused == nil:
			refused = outdated(&m, r)
		}
	}
	if refused != nil {
		return nil, refused
	}
	return &MutablePut{key.Public, seq, m.Signature, walk.ClosestNodes()}, nil
}

// outdated returns a *SeqError if a reply proves that m must not be stored.
func outdated(m *messages.MutablePut, r *rpc.Reply) error {
	// Most replies have nothing new, so that the signature need not be checked.
	if stored, err := messages.ParseSeq(r.Value); r.Value == nil || err != nil || stored < m.Seq {
		return nil
	}
	stored, ok := parseMutable(m.PublicKey, r)
	switch {
	case !ok:
		return nil
	case stored.Seq > m.Seq:
		return &SeqError{Key: m.PublicKey, Seq: m.Seq, Stored: stored, Err: ErrSeqTooLow}
	case !bytes.Equal(stored.Value, m.Value):
		return &SeqError{Key: m.PublicKey, Seq: m.Seq, Stored: stored, Err: ErrSeqReused}
	default:
		return nil
	}
}

// MutableGetOptions say which value is wanted. The zero value, like nil, is the one
// with the highest seq.
type MutableGetOptions struct {
	// Query are options of the query. Its Commit is not used.
	Query rpc.QueryOptions
	// Seq is the lowest seq of interest.
	Seq uint64
	// First takes the first value that is found, without waiting for all nodes in
	// order to find the one with the highest seq.
	First bool
	// Refresh, if set, is asked when the query is over whether the value that was
	// found should be stored again by the nodes closest to its target.
	Refresh func(*MutableRecord) bool
}

// GetMutable finds the value of a key's owner. The error is ErrNotFound if nobody has
// it.
func (n *Node) GetMutable(ctx context.Context, key PublicKey, o *MutableGetOptions) (*MutableRecord, error) {
	var opts MutableGetOptions
	if o != nil {
		opts = *o
	}
	if opts.Seq > compact.MaxUint {
		return nil, ErrNotFound
	}
	var found *MutableRecord
	q := queryOptions(&opts.Query)
	if opts.Refresh != nil {
		q.Commit = n.refreshMutable(key, &found, opts.Refresh)
	}
	for r, err := range n.rpc.Query(key.Target(), messages.GetMutable, messages.AppendSeq(nil, opts.Seq), &q).Replies(ctx) {
		if err != nil {
			if found != nil && opts.Refresh != nil && ctx.Err() == nil {
				break // it was found, but could not be stored again
			}
			return nil, err
		}
		if seq, err := messages.ParseSeq(r.Value); r.Value == nil || err != nil || seq < opts.Seq || found != nil && seq <= found.Seq {
			continue
		}
		if m, ok := parseMutable(key, r); ok {
			if found = m; opts.First {
				break
			}
		}
	}
	if found == nil {
		return nil, ErrNotFound
	}
	return found, nil
}

// refreshMutable returns the Commit that stores what was found again, if wanted.
func (n *Node) refreshMutable(key PublicKey, found **MutableRecord, wanted func(*MutableRecord) bool) rpc.Commit {
	put := sync.OnceValue(func() []byte {
		m := *found
		if m == nil || !wanted(m) {
			return nil
		}
		p := messages.MutablePut{PublicKey: key, MutableValue: messages.MutableValue{Seq: m.Seq, Value: m.Value, Signature: m.Signature}}
		return p.Append(nil)
	})
	return func(ctx context.Context, _ *rpc.Query, r *rpc.Reply) error {
		value := put()
		if value == nil {
			return nil
		}
		return n.store(ctx, r, messages.PutMutable, key.Target(), value)
	}
}
