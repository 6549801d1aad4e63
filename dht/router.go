package dht

import (
	"net/netip"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

// router brings handshakes and holepunch messages on their way. It knows the servers
// of this node, and the way to those that announced themselves here:
//
//	client        relay         (second relay)     server
//	  | fromClient  |                  |              |
//	  |------------>| fromRelay        |              |
//	  |             |-------------------------------->|
//	  |             |        or        |              |
//	  |             |----------------->| fromSecond   |
//	  |             |                  |------------->|
//	  |             |                  |   fromServer |
//	  |       reply |<--------------------------------|
//	  |<------------|                  |              |
//
// All but the last are the same request, with the same transaction id. A relay
// answers a message no more than once and sends no more than it got, so it is of no
// use to those who forge addresses.
type router struct {
	mu       sync.Mutex
	local    map[rpc.ID]*Server
	forwards *cache[rpc.ID, forward]
}

// forward is the way to a server: where its announcement came from.
type forward struct {
	relay  netip.AddrPort
	record []byte
}

func newRouter(o *Options) *router {
	age := o.MaxRecordAge
	if age == 0 {
		age = defaultTopicAge
	}
	return &router{local: make(map[rpc.ID]*Server), forwards: newCache[rpc.ID, forward](o.MaxRecords, age)}
}

// forward remembers the way to a server elsewhere.
func (r *router) forward(now time.Time, target rpc.ID, relay netip.AddrPort, record []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forwards.set(now, target, forward{relay, record})
}

func (r *router) drop(target rpc.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forwards.delete(target)
}

// add makes a server known. It reports false if there is one with that target.
func (r *router) add(target rpc.ID, s *Server) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.local[target] != nil {
		return false
	}
	r.local[target] = s
	return true
}

func (r *router) remove(target rpc.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.local, target)
}

// servers returns the servers of this node.
func (r *router) servers() []*Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Server, 0, len(r.local))
	for _, s := range r.local {
		all = append(all, s)
	}
	return all
}

// find returns the server of this node with a target, or else the way to it.
func (r *router) find(now time.Time, target rpc.ID) (*Server, netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.local[target]; s != nil {
		return s, netip.AddrPort{}
	}
	f, _ := r.forwards.get(now, target)
	return nil, f.relay
}

// record returns the encoded record of a server here or elsewhere, or nil.
func (r *router) record(now time.Time, target rpc.ID) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.local[target]; s != nil {
		return s.record()
	}
	f, _ := r.forwards.get(now, target)
	return f.record
}

// handle takes a request if its command is one of the router.
func (r *router) handle(req *rpc.Request) bool {
	switch req.Command {
	case messages.PeerHandshake:
		r.handshake(req)
	case messages.PeerHolepunch:
		r.holepunch(req)
	default:
		return false
	}
	return true
}

func (r *router) handshake(req *rpc.Request) {
	m, err := messages.ParseHandshake(req.Value)
	if err != nil || req.Target == nil || len(m.Noise) == 0 {
		return
	}
	server, relay := r.find(time.Now(), *req.Target)
	if server != nil {
		switch {
		case m.Mode == messages.FromClient,
			m.Mode == messages.FromRelay && m.PeerAddress.IsValid(),
			m.Mode == messages.FromSecondRelay && m.PeerAddress.IsValid() && m.RelayAddress.IsValid():
			server.handshake(req, &m)
		}
		return
	}
	switch m.Mode {
	case messages.FromClient:
		if m.RelayAddress.IsValid() {
			relay = m.RelayAddress
		}
		if !relay.IsValid() {
			_ = req.Reply(nil, &rpc.ReplyOptions{NoToken: true})
			return
		}
		relayHandshake(req, relay, messages.Handshake{Mode: messages.FromRelay, Noise: m.Noise, PeerAddress: req.From})
	case messages.FromRelay:
		if relay.IsValid() && m.PeerAddress.IsValid() {
			relayHandshake(req, relay, messages.Handshake{
				Mode: messages.FromSecondRelay, Noise: m.Noise, PeerAddress: m.PeerAddress, RelayAddress: req.From,
			})
		}
	case messages.FromServer:
		if m.PeerAddress.IsValid() {
			answer := messages.Handshake{Mode: messages.Reply, Noise: m.Noise, PeerAddress: req.From}
			_ = req.Reply(answer.Append(nil), &rpc.ReplyOptions{To: m.PeerAddress, NoToken: true, NoCloserNodes: true})
		}
	default: // the others are not for here
	}
}

func relayHandshake(req *rpc.Request, to netip.AddrPort, m messages.Handshake) {
	_ = req.Relay(m.Append(nil), to, nil)
}

func (r *router) holepunch(req *rpc.Request) {
	m, err := messages.ParseHolepunch(req.Value)
	if err != nil || req.Target == nil {
		return
	}
	switch m.Mode {
	case messages.FromClient:
		to := m.PeerAddress
		if !to.IsValid() {
			_, to = r.find(time.Now(), *req.Target)
		}
		if to.IsValid() {
			m := messages.Holepunch{Mode: messages.FromRelay, ID: m.ID, Payload: m.Payload, PeerAddress: req.From}
			_ = req.Relay(m.Append(nil), to, nil)
		}
	case messages.FromRelay:
		if server, _ := r.find(time.Now(), *req.Target); server != nil && m.PeerAddress.IsValid() {
			server.holepunch(req, &m)
		}
	case messages.FromServer:
		if m.PeerAddress.IsValid() {
			answer := messages.Holepunch{Mode: messages.Reply, ID: m.ID, Payload: m.Payload, PeerAddress: req.From}
			_ = req.Reply(answer.Append(nil), &rpc.ReplyOptions{To: m.PeerAddress, NoToken: true, NoCloserNodes: true})
		}
	default: // the others are not for here
	}
}
