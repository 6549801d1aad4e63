package dht

import (
	"context"
	"iter"
	"net/netip"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

// Responder is the node that an answer comes from.
type Responder struct {
	From netip.AddrPort
	ID   rpc.ID         // zero unless the node has one
	To   netip.AddrPort // our address, as it is seen from there
}

func responder(r *rpc.Reply) Responder { return Responder{From: r.From, ID: r.FromID, To: r.To} }

// Peer is a peer that was announced.
type Peer struct {
	PublicKey PublicKey
	// Nodes are where a connection to the peer may be asked for; see
	// ConnectOptions.Nodes.
	Nodes []netip.AddrPort
}

// PeerReply is a node's answer to a query for the server with a key.
type PeerReply struct {
	Responder
	Peer Peer
}

// FindPeer yields the answers of nodes that know the server with a key. A non-nil
// error is the last pair. Of the options, which may be nil, Commit is called for
// every node close to the key's target, whether or not it knows the server.
func (n *Node) FindPeer(ctx context.Context, key PublicKey, o *rpc.QueryOptions) iter.Seq2[*PeerReply, error] {
	q := n.rpc.Query(key.Target(), messages.FindPeer, nil, o)
	return rpc.Map(q.Replies(ctx), func(r *rpc.Reply) (*PeerReply, bool) {
		if r.Value == nil {
			return nil, false
		}
		p, err := messages.ParsePeer(r.Value)
		if err != nil || p.PublicKey != key {
			return nil, false
		}
		return &PeerReply{responder(r), Peer{p.PublicKey, p.RelayAddresses}}, true
	})
}

// LookupReply is a node's answer to a lookup.
type LookupReply struct {
	Responder
	// Peers are up to 20 peers that were announced to the node. That they hold their
	// keys turns out when they are connected to.
	Peers []Peer
	// Bump is when somebody last announced that there is news, in milliseconds since
	// 1970. Zero means never.
	Bump uint64
}

func parseLookup(r *rpc.Reply) (*LookupReply, bool) {
	if r.Value == nil {
		return nil, false
	}
	m, err := messages.ParseLookupReply(r.Value)
	if err != nil {
		return nil, false
	}
	l := &LookupReply{Responder: responder(r), Peers: make([]Peer, len(m.Peers)), Bump: m.Bump}
	for i, p := range m.Peers {
		l.Peers[i] = Peer{p.PublicKey, p.RelayAddresses}
	}
	return l, true
}

// Lookup yields the answers of nodes that know peers of a topic. A non-nil error is
// the last pair. The same peer mostly comes from several nodes.
func (n *Node) Lookup(ctx context.Context, topic [32]byte, o *rpc.QueryOptions) iter.Seq2[*LookupReply, error] {
	return rpc.Map(n.rpc.Query(topic, messages.Lookup, nil, o).Replies(ctx), parseLookup)
}
