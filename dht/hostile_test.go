package dht_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/cairn-feeds/cairn/dht"
	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/internal/simnet"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

// Requests that break the rules are not answered, and change nothing.
func TestHostileRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInternet(t, 1, 2, simnet.Link{})
		n := i.node(t, i.host("open"))
		ctx := t.Context()
		victim := n.RPC().Nodes(-1)[0]
		key, other := dht.NewKeyPair(), dht.NewKeyPair()
		target, topic := key.Public.Target(), rpc.ID{9}

		ask := func(m rpc.Message, token bool) (*rpc.Reply, error) {
			if token {
				r, err := n.RPC().Request(ctx, victim, rpc.Message{Command: messages.Lookup, Target: m.Target}, nil)
				if err != nil {
					t.Fatal(err)
				}
				m.Token = r.Token
			}
			return n.RPC().Request(ctx, victim, m, &rpc.RequestOptions{NoRetry: true})
		}
		value := messages.MutablePut{PublicKey: key.Public, MutableValue: messages.MutableValue{Seq: 1, Value: []byte("x")}}
		value.Sign(other.Secret)
		forged := value.Append(nil)
		value.Sign(key.Secret)
		good := value.Append(nil)
		id := rpc.IDOf(victim)
		announced := func(sign func(m *messages.Announce)) []byte {
			m := messages.Announce{Peer: &messages.Peer{PublicKey: key.Public}}
			sign(&m)
			return m.Append(nil)
		}
		stale := make([]byte, 32)
		for name, tt := range map[string]struct {
			m     rpc.Message
			token bool
		}{
			"put without token":           {rpc.Message{Command: messages.PutImmutable, Target: hashOfValue("x"), Value: []byte("x")}, false},
			"put of another hash":         {rpc.Message{Command: messages.PutImmutable, Target: hashOfValue("y"), Value: []byte("x")}, true},
			"put without value":           {rpc.Message{Command: messages.PutImmutable, Target: hashOfValue("")}, true},
			"mutable put, forged":         {rpc.Message{Command: messages.PutMutable, Target: &target, Value: forged}, true},
			"mutable put elsewhere":       {rpc.Message{Command: messages.PutMutable, Target: &topic, Value: good}, true},
			"mutable put without token":   {rpc.Message{Command: messages.PutMutable, Target: &target, Value: good}, false},
			"mutable put, cut":            {rpc.Message{Command: messages.PutMutable, Target: &target, Value: good[:len(good)-1]}, true},
			"mutable get without seq":     {rpc.Message{Command: messages.GetMutable, Target: &target}, false},
			"announce unsigned":           {rpc.Message{Command: messages.AnnouncePeer, Target: &topic, Value: announced(func(*messages.Announce) {})}, true},
			"announce for another node":   {rpc.Message{Command: messages.AnnouncePeer, Target: &topic, Value: announced(func(m *messages.Announce) { m.Sign(key.Secret, messages.NSAnnounce, topic, id, stale) })}, true},
			"announce, rubbish":           {rpc.Message{Command: messages.AnnouncePeer, Target: &topic, Value: []byte{0xff, 0xff}}, true},
			"unannounce without a record": {rpc.Message{Command: messages.UnannouncePeer, Target: &topic, Value: []byte{0}}, true},
			"lookup without target":       {rpc.Message{Command: messages.Lookup}, false},
			"find peer without target":    {rpc.Message{Command: messages.FindPeer}, false},
			"handshake, rubbish":          {rpc.Message{Command: messages.PeerHandshake, Target: &target, Value: []byte{1}}, false},
			"handshake without value":     {rpc.Message{Command: messages.PeerHandshake, Target: &target}, false},
			"holepunch, rubbish":          {rpc.Message{Command: messages.PeerHolepunch, Target: &target, Value: []byte{9, 9, 9}}, false},
		} {
			if r, err := ask(tt.m, tt.token); !errors.Is(err, rpc.ErrTimeout) {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		}
		if r, err := ask(rpc.Message{Command: messages.PutMutable, Target: &target, Token: stale, Value: good}, false); err != nil || r.Code != rpc.InvalidToken {
			t.Errorf("a wrong token: %+v, %v", r, err)
		}
		if _, err := n.GetMutable(ctx, key.Public, nil); !errors.Is(err, dht.ErrNotFound) {
			t.Errorf("something was stored: %v", err)
		}
		if found := lookup(t, n, topic); len(found) != 0 {
			t.Errorf("something was announced: %v", found)
		}
		if r, err := ask(rpc.Message{Command: messages.PutMutable, Target: &target, Value: good}, true); err != nil || r.Code != rpc.OK {
			t.Errorf("the same as it should be: %+v, %v", r, err)
		}
	})
}

func hashOfValue(v string) *rpc.ID {
	h := rpc.ID(dht.Hash([]byte(v)))
	return &h
}
