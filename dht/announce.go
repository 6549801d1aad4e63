package dht

import (
	"context"
	"iter"
	"net/netip"
	"slices"
	"sync"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

// AnnounceOptions are optional parts of an announcement. The zero value, like nil,
// is a plain one.
type AnnounceOptions struct {
	// Query are options of the lookup. Its Commit is not used.
	Query rpc.QueryOptions
	// Nodes are up to three nodes that pass messages on to the announced peer, such as
	// those of Server.Nodes: others then connect faster.
	Nodes []netip.AddrPort
	// Bump tells others that there is news, see LookupReply. It is the time in
	// milliseconds since 1970. Zero leaves it as it is.
	Bump uint64
	// Clear takes back older announcements of the key while looking up the topic.
	Clear bool
	// Refresh lets who has made it renew the announcement without a signature: it is
	// the hash of what is to be shown then, see messages of kind announce in hyperdht.
	Refresh *[32]byte
}

// Announce announces a key pair under a topic, which it looks up at the same time,
// and yields what Lookup does. When the lookup is over, the up to 20 nodes closest to
// the topic store a record. The iteration must not end early, or nothing is stored. A
// non-nil error is the last pair; not one node has stored the record then.
//
// Nodes forget the record after 20 minutes, so it is to be announced again before.
func (n *Node) Announce(ctx context.Context, topic [32]byte, key KeyPair, o *AnnounceOptions) iter.Seq2[*LookupReply, error] {
	var opts AnnounceOptions
	if o != nil {
		opts = *o
	}
	q := opts.Query
	var clearing sync.WaitGroup
	q.Commit = func(ctx context.Context, _ *rpc.Query, r *rpc.Reply) error {
		clearing.Wait()
		return n.announceTo(ctx, topic, key, &opts, r)
	}
	return func(yield func(*LookupReply, error) bool) {
		if err := key.check(); err != nil {
			yield(nil, err)
			return
		}
		for r, err := range n.rpc.Query(topic, messages.Lookup, nil, &q).Replies(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			l, ok := parseLookup(r)
			if !ok {
				continue
			}
			if opts.Clear && lists(l, key.Public) {
				clearing.Go(func() { _ = n.unannounceFrom(ctx, topic, key, r) }) // it expires anyway
			}
			if !yield(l, nil) {
				break
			}
		}
		clearing.Wait()
	}
}

// announceTo asks a node, which gave a token, to store a record.
func (n *Node) announceTo(ctx context.Context, topic rpc.ID, key KeyPair, o *AnnounceOptions, r *rpc.Reply) error {
	if r.Token == nil {
		return &rpc.RequestError{To: r.From, Err: rpc.ErrNoToken}
	}
	m := messages.Announce{
		Peer:    &messages.Peer{PublicKey: key.Public, RelayAddresses: o.Nodes},
		Refresh: o.Refresh,
		Bump:    o.Bump,
	}
	m.Sign(key.Secret, messages.NSAnnounce, topic, r.FromID, r.Token)
	return n.store(ctx, r, messages.AnnouncePeer, topic, m.Append(nil))
}

// store asks a node, which gave a token, to store something, or to drop it.
func (n *Node) store(ctx context.Context, r *rpc.Reply, command uint64, target rpc.ID, value []byte) error {
	if r.Token == nil {
		return &rpc.RequestError{To: r.From, Err: rpc.ErrNoToken}
	}
	done, err := n.rpc.Request(ctx, r.From, rpc.Message{Command: command, Target: &target, Token: r.Token, Value: value}, nil)
	if err != nil {
		return err
	}
	return done.Err()
}

// Unannounce takes back announcements of a key pair under a topic from the nodes
// that know them.
func (n *Node) Unannounce(ctx context.Context, topic [32]byte, key KeyPair, o *rpc.QueryOptions) error {
	if err := key.check(); err != nil {
		return err
	}
	n.storage.forget(topic, key.Public)
	var requests sync.WaitGroup
	defer requests.Wait()
	for r, err := range n.rpc.Query(topic, messages.Lookup, nil, o).Replies(ctx) {
		if err != nil {
			return err
		}
		if l, ok := parseLookup(r); ok && lists(l, key.Public) {
			requests.Go(func() { _ = n.unannounceFrom(ctx, topic, key, r) }) // it expires anyway
		}
	}
	return nil
}

// lists reports whether a reply has the key, or is full so that it may have left it
// out.
func lists(l *LookupReply, key PublicKey) bool {
	return len(l.Peers) >= lookupRecords ||
		slices.ContainsFunc(l.Peers, func(p Peer) bool { return p.PublicKey == key })
}

func (n *Node) unannounceFrom(ctx context.Context, topic rpc.ID, key KeyPair, r *rpc.Reply) error {
	if r.Token == nil || r.FromID.IsZero() {
		return &rpc.RequestError{To: r.From, Err: rpc.ErrNoToken}
	}
	m := messages.Announce{Peer: &messages.Peer{PublicKey: key.Public}}
	m.Sign(key.Secret, messages.NSUnannounce, topic, r.FromID, r.Token)
	return n.store(ctx, r, messages.UnannouncePeer, topic, m.Append(nil))
}
