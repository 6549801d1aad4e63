package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/cairn-feeds/cairn/tree"
)

// maxEvidence bounds the forks that are kept of one feed: one proves it, a few
// more may tell how.
const maxEvidence = 16

// Fork is the proof that the owner of a feed signed two different histories.
type Fork struct {
	// Seen is when it was found, to the millisecond.
	Seen time.Time
	// Fork holds the signed roots, and what of ours contradicts them.
	Fork tree.ForkError
}

// evidence is the row of a fork.
type evidence struct {
	Seen      int64        `msgpack:"t"` // Unix milliseconds
	Block     uint64       `msgpack:"b"`
	Length    uint64       `msgpack:"l"`
	Theirs    []packedNode `msgpack:"x"`
	Ours      []packedNode `msgpack:"o"`
	Nodes     []packedNode `msgpack:"p"`
	Signature []byte       `msgpack:"s"`
}

type packedNode struct {
	Index uint64 `msgpack:"i"`
	Size  uint64 `msgpack:"s"`
	Hash  []byte `msgpack:"h"`
}

func packNodes(nodes []tree.Node) []packedNode {
	out := make([]packedNode, len(nodes))
	for i := range nodes {
		out[i] = packedNode{uint64(nodes[i].Index), nodes[i].Size, nodes[i].Hash[:]}
	}
	return out
}

func unpackNodes(in []packedNode) ([]tree.Node, error) {
	out := make([]tree.Node, len(in))
	for i, n := range in {
		out[i] = tree.Node{Index: tree.Index(n.Index), Size: n.Size}
		if copy(out[i].Hash[:], n.Hash) != tree.HashSize {
			return nil, fmt.Errorf("hash of %d bytes: %w", len(n.Hash), ErrCorrupt)
		}
	}
	return out, nil
}

// soundNodes reports whether our own nodes are what our own signature says: damage
// here can look like a fork made elsewhere. The length has to be signed, and each
// node has to hash up to one of its roots, as far as the way there is known.
func (l *live) soundNodes(nodes []tree.Node, crypto *tree.Crypto) error {
	h := l.head.Load()
	_, sig, err := l.be.signature(h.length - 1)
	if err == nil {
		err = crypto.VerifyRoots(h.roots, h.length, sig, l.key)
	}
	if err != nil && !errors.Is(err, tree.ErrNoSignature) {
		return fmt.Errorf("%w: the length of %d blocks is not signed: %w", ErrCorrupt, h.length, err)
	}
	for _, n := range nodes {
		if err := l.soundNode(h, n); err != nil {
			return err
		}
	}
	return nil
}

// soundNode climbs from a node to a root of h.
func (l *live) soundNode(h *head, n tree.Node) error {
	for {
		if i := slices.IndexFunc(h.roots, func(r tree.Node) bool { return r.Index == n.Index }); i >= 0 {
			if h.roots[i] != n {
				return fmt.Errorf("%w: node %d does not lead to its root", ErrCorrupt, n.Index)
			}
			return nil
		}
		sibling, err := l.be.Node(n.Index.Sibling())
		if errors.Is(err, tree.ErrUnknownNode) {
			return nil // a root of an earlier length, in a sparse feed
		}
		if err != nil {
			return err
		}
		n = tree.ParentNode(n, sibling)
	}
}

// keepEvidence writes the row of a fork. It runs while the feed's writes are led
// by the caller.
func (s *Store) keepEvidence(l *live, fork *tree.ForkError) error {
	be, ok := l.be.(*rows)
	if !ok {
		return nil
	}
	kept, err := s.forks(be.number)
	if err != nil || len(kept) >= maxEvidence {
		return err
	}
	v, err := msgpack.Marshal(&evidence{
		Seen: time.Now().UnixMilli(), Block: fork.Block, Length: fork.Length,
		Theirs: packNodes(fork.Theirs), Ours: packNodes(fork.Ours), Nodes: packNodes(fork.Nodes),
		Signature: fork.Signature[:],
	})
	if err != nil {
		return err
	}
	key := binary.BigEndian.AppendUint64(numberKey(tableEvidence, be.number), uint64(len(kept)))
	if err := s.write(func(b *pebble.Batch) error { return b.Set(key, v, nil) }); err != nil {
		return err
	}
	h := l.head.Load()
	next := *h
	next.flags |= flagForked
	return l.commit(h, &change{head: &next})
}

// Forks returns the proofs that the owner of a feed signed two different
// histories, oldest first. None of what they prove is mixed into the feed.
func (s *Store) Forks(ctx context.Context, dk tree.DiscoveryKey) ([]Fork, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if err := s.use(); err != nil {
		return nil, err
	}
	defer s.unuse()
	r, err := s.readRecord(dk)
	if err != nil {
		return nil, &FeedError{Feed: dk, Err: err}
	}
	return s.forks(r.Number)
}

func (s *Store) forks(n feedNumber) ([]Fork, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: numberKey(tableEvidence, n), UpperBound: numberKey(tableEvidence, n+1)})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var out []Fork
	for it.First(); it.Valid(); it.Next() {
		var e evidence
		v, err := it.ValueAndErr()
		if err == nil {
			err = msgpack.Unmarshal(v, &e)
		}
		if err != nil {
			return out, fmt.Errorf("evidence: %w: %w", ErrCorrupt, err)
		}
		f := Fork{Seen: time.UnixMilli(e.Seen), Fork: tree.ForkError{Block: e.Block, Length: e.Length}}
		var errs [3]error
		f.Fork.Theirs, errs[0] = unpackNodes(e.Theirs)
		f.Fork.Ours, errs[1] = unpackNodes(e.Ours)
		f.Fork.Nodes, errs[2] = unpackNodes(e.Nodes)
		if err := errors.Join(errs[:]...); err != nil {
			return out, err
		}
		f.Fork.HasSignature = copy(f.Fork.Signature[:], e.Signature) == len(f.Fork.Signature)
		out = append(out, f)
	}
	return out, rowError(nil, it.Error())
}
