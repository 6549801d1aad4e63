package dht_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/dht"
	"github.com/cairn-feeds/cairn/tools/peers"
)

// reference starts a network of hyperdht and returns its driver and the address to
// start from.
func reference(t *testing.T) (*peers.Peer, string) {
	p := peers.Start(t, peers.HyperDHT6)
	var bootstrap []hostPort
	if err := p.Do(t, "testnet", peers.Args{"size": 4}).Decode("bootstrap", &bootstrap); err != nil {
		t.Fatal(err)
	}
	return p, bootstrap[0].String()
}

// theirs starts a node of hyperdht called node in a network of ours.
func theirs(t *testing.T, p *peers.Peer, node, bootstrap string) {
	t.Helper()
	a := netip.MustParseAddrPort(bootstrap)
	p.Do(t, "node", peers.Args{"node": node, "bootstrap": []hostPort{{a.Addr().String(), a.Port()}}})
}

// eachNetwork runs a test in a network of hyperdht and in one of ours, with a node of
// each, theirs called "n".
func eachNetwork(t *testing.T, test func(t *testing.T, p *peers.Peer, n *dht.Node)) {
	t.Run("network=theirs", func(t *testing.T) {
		p, bootstrap := reference(t)
		p.Do(t, "node", peers.Args{"node": "n"})
		test(t, p, start(t, firewalled(), bootstrap))
	})
	t.Run("network=ours", func(t *testing.T) {
		p := peers.Start(t, peers.HyperDHT6)
		_, bootstrap := network(t, 4)
		theirs(t, p, "n", bootstrap)
		test(t, p, start(t, firewalled(), bootstrap))
	})
}

func TestInteropRecords(t *testing.T) {
	eachNetwork(t, func(t *testing.T, p *peers.Peer, n *dht.Node) {
		ctx := t.Context()

		// Immutable, ours to them and theirs to us.
		value := []byte("a value of ours")
		put, err := n.PutImmutable(ctx, value, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m := p.Do(t, "immutableGet", peers.Args{"node": "n", "hash": peers.Hex(put.Hash[:])}); !bytes.Equal(m.Bytes("value"), value) {
			t.Errorf("they got %v", m)
		}
		m := p.Do(t, "immutablePut", peers.Args{"node": "n", "value": peers.Hex([]byte("one of theirs"))})
		got, err := n.GetImmutable(ctx, [32]byte(m.Bytes("hash")), nil)
		if err != nil || string(got.Value) != "one of theirs" {
			t.Errorf("we got %+v, %v", got, err)
		}
		if _, err := n.GetImmutable(ctx, [32]byte{1}, nil); !errors.Is(err, dht.ErrNotFound) {
			t.Errorf("what nobody has: %v", err)
		}

		// Mutable.
		seed := [32]byte{7}
		key := dht.KeyPairFromSeed(seed)
		mput, err := n.PutMutable(ctx, key, 3, []byte("third"), nil)
		if err != nil {
			t.Fatal(err)
		}
		m = p.Do(t, "mutableGet", peers.Args{"node": "n", "publicKey": key.Public.String()})
		if !m.Bool("found") || m.Int("seq") != 3 || string(m.Bytes("value")) != "third" || !bytes.Equal(m.Bytes("signature"), mput.Signature[:]) {
			t.Errorf("they got %v", m)
		}
		p.Do(t, "mutablePut", peers.Args{"node": "n", "seed": peers.Hex(seed[:]), "seq": 4, "value": peers.Hex([]byte("fourth"))})
		for _, o := range []*dht.MutableGetOptions{nil, {First: true}, {Seq: 4}} {
			r, err := n.GetMutable(ctx, key.Public, o)
			if err != nil || r.Seq != 4 || string(r.Value) != "fourth" {
				t.Errorf("with %+v we got %+v, %v", o, r, err)
			}
		}
		if _, err := n.GetMutable(ctx, key.Public, &dht.MutableGetOptions{Seq: 5}); !errors.Is(err, dht.ErrNotFound) {
			t.Errorf("a later seq: %v", err)
		}

		// Refusals.
		_, err = n.PutMutable(ctx, key, 3, []byte("third"), nil)
		if e, ok := errors.AsType[*dht.SeqError](err); !ok || !errors.Is(err, dht.ErrSeqTooLow) || e.Stored.Seq != 4 {
			t.Errorf("an older seq: %v", err)
		}
		if _, err = n.PutMutable(ctx, key, 4, []byte("another"), nil); !errors.Is(err, dht.ErrSeqReused) {
			t.Errorf("a reused seq: %v", err)
		}
		if _, err = n.PutMutable(ctx, key, 4, []byte("fourth"), nil); err != nil {
			t.Errorf("the same again: %v", err)
		}
	})
}

func lookup(t *testing.T, n *dht.Node, topic [32]byte) map[dht.PublicKey][]netip.AddrPort {
	t.Helper()
	found := make(map[dht.PublicKey][]netip.AddrPort)
	for r, err := range n.Lookup(t.Context(), topic, nil) {
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Peers {
			found[p.PublicKey] = p.Nodes
		}
	}
	return found
}

func announce(t *testing.T, n *dht.Node, topic [32]byte, key dht.KeyPair, o *dht.AnnounceOptions) {
	t.Helper()
	for _, err := range n.Announce(t.Context(), topic, key, o) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestInteropAnnounce(t *testing.T) {
	eachNetwork(t, func(t *testing.T, p *peers.Peer, n *dht.Node) {
		topic := [32]byte{1, 2, 3}
		ours, theirs := dht.NewKeyPair(), dht.KeyPairFromSeed([32]byte{9})
		relay := netip.MustParseAddrPort("10.1.2.3:4567")
		announce(t, n, topic, ours, &dht.AnnounceOptions{Nodes: []netip.AddrPort{relay}})
		p.Do(t, "announce", peers.Args{"node": "n", "topic": peers.Hex(topic[:]), "seed": peers.Hex(theirs.Secret.Seed())})

		found := lookup(t, n, topic)
		if len(found) != 2 || found[theirs.Public] != nil || !slices.Equal(found[ours.Public], []netip.AddrPort{relay}) {
			t.Errorf("we found %v", found)
		}
		var they map[string][]hostPort
		if err := p.Do(t, "lookup", peers.Args{"node": "n", "topic": peers.Hex(topic[:])}).Decode("peers", &they); err != nil {
			t.Fatal(err)
		}
		if r := they[ours.Public.String()]; len(they) != 2 || len(r) != 1 || r[0].String() != relay.String() {
			t.Errorf("they found %v", they)
		}

		if err := n.Unannounce(t.Context(), topic, ours, nil); err != nil {
			t.Fatal(err)
		}
		if found := lookup(t, n, topic); len(found) != 1 || found[ours.Public] != nil {
			t.Errorf("after our unannounce: %v", found)
		}
		p.Do(t, "unannounce", peers.Args{"node": "n", "topic": peers.Hex(topic[:]), "seed": peers.Hex(theirs.Secret.Seed())})
		if found := lookup(t, n, topic); len(found) != 0 {
			t.Errorf("after theirs: %v", found)
		}
	})
}

// accept waits for a server's next connection.
func accept(t *testing.T, s *dht.Server) *dht.Conn {
	t.Helper()
	c, err := s.AcceptConn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func listen(t testing.TB, n *dht.Node, o *dht.ServerOptions) *dht.Server {
	t.Helper()
	s := n.CreateServer(o)
	key := dht.NewKeyPair()
	if err := s.Listen(t.Context(), &key); err != nil {
		t.Fatal(err)
	}
	return s
}

const large = 8 << 20

// exchange sends much both ways at once over a connection with theirs, called conn,
// and sees both ends.
func exchange(t *testing.T, p *peers.Peer, c *dht.Conn, conn string) {
	t.Helper()
	want := peers.Pattern(0, large)
	p.Await(t, "open", peers.Args{"conn": conn, "handshakeHash": hashOf(c)})
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, err := c.Write(want); err != nil {
			t.Error(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	wait.Go(func() {
		if _, err := p.Call(t.Context(), "pump", peers.Args{"conn": conn, "bytes": large}); err != nil {
			t.Error(err)
		}
		if _, err := p.Call(t.Context(), "end", peers.Args{"conn": conn}); err != nil {
			t.Error(err)
		}
	})
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("we got %d bytes, %v", len(got), err)
	}
	wait.Wait()
	sum := sha256.Sum256(want)
	end := p.Await(t, "end", peers.Args{"conn": conn})
	if end.Int("bytes") != large || end.Text("sha256") != hex.EncodeToString(sum[:]) {
		t.Errorf("they got %v", end)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	p.Await(t, "conn-close", peers.Args{"conn": conn})
}

func hashOf(c *dht.Conn) string { h := c.HandshakeHash(); return hex.EncodeToString(h[:]) }

// Connections are made on every path that there is on one machine: through the local
// network, and by a holepunch, each with servers and clients of both kinds.
func TestInteropConnect(t *testing.T) {
	eachNetwork(t, func(t *testing.T, p *peers.Peer, n *dht.Node) {
		for _, lan := range []bool{true, false} {
			t.Run(fmt.Sprintf("server=theirs/lan=%v", lan), func(t *testing.T) {
				server := fmt.Sprintf("s%v", lan)
				key, err := dht.ParsePublicKey(p.Do(t, "listen", peers.Args{"node": "n", "server": server, "sink": true, "autoEnd": false}).Text("publicKey"))
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				c, err := n.Connect(t.Context(), key, &dht.ConnectOptions{NoLocalConnection: !lan})
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("connected in %v", time.Since(begin))
				if c.RemotePublicKey() != key || c.PublicKey() != n.KeyPair().Public {
					t.Errorf("keys are %v and %v", c.PublicKey(), c.RemotePublicKey())
				}
				at := p.Await(t, "connection", peers.Args{"server": server, "remotePublicKey": n.KeyPair().Public.String()})
				exchange(t, p, c, at.Text("conn"))
				p.Do(t, "unlisten", peers.Args{"server": server})
			})
			t.Run(fmt.Sprintf("server=ours/lan=%v", lan), func(t *testing.T) {
				s := listen(t, n, nil)
				seed := [32]byte{5}
				conn := p.Do(t, "connect", peers.Args{
					"node": "n", "publicKey": s.PublicKey().String(), "seed": peers.Hex(seed[:]), "lan": lan, "sink": true, "autoEnd": false,
				}).Text("conn")
				c := accept(t, s)
				if want := dht.KeyPairFromSeed(seed).Public; c.RemotePublicKey() != want || c.PublicKey() != s.PublicKey() {
					t.Errorf("keys are %v and %v", c.PublicKey(), c.RemotePublicKey())
				}
				exchange(t, p, c, conn)
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// Both kinds of servers refuse whom they are told to, and both kinds of clients see the
// same.
func TestInteropFirewall(t *testing.T) {
	p, bootstrap := reference(t)
	p.Do(t, "node", peers.Args{"node": "n"})
	n := start(t, firewalled(), bootstrap)
	foe, friend := dht.KeyPairFromSeed([32]byte{1}), dht.KeyPairFromSeed([32]byte{2})

	key, err := dht.ParsePublicKey(p.Do(t, "listen", peers.Args{"node": "n", "server": "s", "reject": foe.Public.String()}).Text("publicKey"))
	if err != nil {
		t.Fatal(err)
	}
	s := listen(t, n, &dht.ServerOptions{Firewall: func(_ context.Context, r *dht.Request) error {
		if r.RemotePublicKey == foe.Public {
			return errors.New("a foe")
		}
		return nil
	}})
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, err := n.Connect(t.Context(), key, &dht.ConnectOptions{KeyPair: &foe}); !errors.Is(err, dht.ErrPeerUnreachable) {
			t.Errorf("they refuse: %v", err)
		}
	})
	if c, err := n.Connect(t.Context(), key, &dht.ConnectOptions{KeyPair: &friend}); err != nil {
		t.Error(err)
	} else {
		c.Destroy()
	}
	refused := p.Do(t, "connect", peers.Args{"node": "n", "publicKey": s.PublicKey().String(), "seed": peers.Hex(foe.Secret.Seed())}).Text("conn")
	p.Do(t, "connect", peers.Args{"node": "n", "publicKey": s.PublicKey().String(), "seed": peers.Hex(friend.Secret.Seed())})
	if c := accept(t, s); c.RemotePublicKey() != friend.Public {
		t.Errorf("%v was accepted", c.RemotePublicKey())
	}
	if m := p.Await(t, "conn-error", peers.Args{"conn": refused}); m.Text("code") != "PEER_CONNECTION_FAILED" {
		t.Errorf("they got %v", m)
	}
	wait.Wait()
	// Nobody listens there.
	if _, err := n.Connect(t.Context(), friend.Public, nil); !errors.Is(err, dht.ErrPeerNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

// Many connections at once, all of them with much to say.
func TestInteropManyStreams(t *testing.T) {
	p, bootstrap := reference(t)
	p.Do(t, "node", peers.Args{"node": "n"})
	n := start(t, firewalled(), bootstrap)
	key, err := dht.ParsePublicKey(p.Do(t, "listen", peers.Args{"node": "n", "server": "s", "echo": true}).Text("publicKey"))
	if err != nil {
		t.Fatal(err)
	}
	const count = 30
	want := peers.Pattern(0, 200_000)
	var wait sync.WaitGroup
	for i := range count {
		wait.Go(func() {
			own := dht.NewKeyPair()
			c, err := n.Connect(t.Context(), key, &dht.ConnectOptions{KeyPair: &own, NoLocalConnection: i%2 == 0})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Destroy()
			go func() {
				c.Write(want)
				c.CloseWrite()
			}()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
				t.Errorf("stream %d: got %d bytes back, %v", i, len(got), err)
			}
		})
	}
	wait.Wait()

	s := listen(t, n, nil)
	for range count {
		p.Do(t, "connect", peers.Args{"node": "n", "publicKey": s.PublicKey().String(), "echo": true})
	}
	for range count {
		c := accept(t, s)
		wait.Go(func() {
			go func() {
				c.Write(want)
				c.CloseWrite()
			}()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %d bytes back, %v", len(got), err)
			}
		})
	}
	wait.Wait()
}
