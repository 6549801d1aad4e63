package dht_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/dht"
	"github.com/cairn-feeds/cairn/dht/internal/simnet"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

// Options of the network below, and its methods, are those of a DHT node.
func TestTableOptions(t *testing.T) {
	nodes, bootstrap := network(t, 4)
	ctx := t.Context()
	hidden := nodes[3].Addr()
	o := firewalled()
	o.RPC.FilterNode = func(a netip.AddrPort) bool { return a != hidden }
	o.RPC.Nodes = []netip.AddrPort{nodes[1].Addr()}
	o.RPC.Concurrency = 3
	n := start(t, o) // without a bootstrap node: it must get along with the one that it was given
	n.RPC().Refresh()
	walk := n.RPC().FindNode(rpc.ID{1}, nil)
	if err := walk.Finish(ctx); err != nil || len(walk.ClosestNodes()) != 3 {
		t.Errorf("found %v, %v", walk.ClosestNodes(), err)
	}
	if all := n.RPC().Nodes(-1); slices.Contains(all, hidden) || len(all) != 3 {
		t.Errorf("the table has %v", all)
	}
	if err := n.RPC().AddNode(netip.MustParseAddrPort("127.0.0.1:1")); err != nil || len(n.RPC().Nodes(-1)) != 4 {
		t.Errorf("the table has %v, %v", n.RPC().Nodes(-1), err)
	}
	// A query of an application's own, which a node refuses.
	refuse := persistent()
	refuse.RPC.OnRequest = func(r *rpc.Request) bool { return r.Fail(99, nil) == nil }
	r := start(t, refuse, bootstrap)
	reply, err := n.RPC().Request(ctx, r.Addr(), rpc.Message{Command: 50}, nil)
	if err != nil || reply.Code != 99 {
		t.Errorf("got %+v, %v", reply, err)
	}
	q := n.RPC().Query(rpc.ID{2}, 50, nil, &rpc.QueryOptions{Nodes: []netip.AddrPort{r.Addr()}, OnlyNodes: true})
	if err := q.Finish(ctx); err != nil || q.Errors() != 1 {
		t.Errorf("%d errors, %v", q.Errors(), err)
	}
}

// Replies say who sent them, and queries take options.
func TestLookupReply(t *testing.T) {
	nodes, bootstrap := network(t, 3)
	ctx := t.Context()
	n := start(t, firewalled(), bootstrap)
	only := &rpc.QueryOptions{Nodes: []netip.AddrPort{nodes[1].Addr()}, OnlyNodes: true}
	key, topic := dht.NewKeyPair(), [32]byte{1}
	for _, err := range n.Announce(ctx, topic, key, &dht.AnnounceOptions{Query: *only}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	replies := 0
	for r, err := range n.Lookup(ctx, topic, only) {
		if err != nil {
			t.Fatal(err)
		}
		replies++
		if r.From != nodes[1].Addr() || r.ID != rpc.IDOf(r.From) || r.To.Addr() != localhost {
			t.Errorf("reply %+v", r)
		}
	}
	if found := lookup(t, n, topic); replies != 1 || len(found) != 1 {
		t.Errorf("%d replies, peers %v", replies, found)
	}
	others := &rpc.QueryOptions{Nodes: []netip.AddrPort{nodes[2].Addr()}, OnlyNodes: true}
	if err := n.Unannounce(ctx, topic, key, others); err != nil || len(lookup(t, n, topic)) != 1 {
		t.Errorf("unannounced from a node that does not have it: %v", err)
	}
	if err := n.Unannounce(ctx, topic, key, only); err != nil || len(lookup(t, n, topic)) != 0 {
		t.Errorf("unannounced: %v", err)
	}

	put, err := n.PutImmutable(ctx, []byte("x"), only)
	if err != nil || !slices.Equal(put.ClosestNodes, only.Nodes) {
		t.Errorf("put %+v, %v", put, err)
	}
	if _, err := n.GetImmutable(ctx, put.Hash, others); !errors.Is(err, dht.ErrNotFound) {
		t.Errorf("got it from a node that does not have it: %v", err)
	}
	mput, err := n.PutMutable(ctx, key, 7, []byte("x"), only)
	if err != nil || !slices.Equal(mput.ClosestNodes, only.Nodes) || mput.PublicKey != key.Public || mput.Seq != 7 {
		t.Errorf("put %+v, %v", mput, err)
	}
	if _, err := n.GetMutable(ctx, key.Public, &dht.MutableGetOptions{Query: *others}); !errors.Is(err, dht.ErrNotFound) {
		t.Errorf("got it from a node that does not have it: %v", err)
	}
	if r, err := n.GetMutable(ctx, key.Public, &dht.MutableGetOptions{Query: *only}); err != nil || r.From != nodes[1].Addr() || r.Signature != mput.Signature {
		t.Errorf("got %+v, %v", r, err)
	}
}

// Connections that are silent send something now and then, so that they stay.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInternet(t, 1, 3, simnet.Link{Delay: time.Millisecond})
		sn, err := dht.New(i.host("open").options(dht.Options{ConnectionKeepAlive: -1}, i.bootstrap))
		if err != nil {
			t.Fatal(err)
		}
		s := listen(t, run(t, sn), nil)
		c, sc := connect(t, i.node(t, i.host("open")), s, nil)
		synctest.Wait()
		before, silent := c.RawBytesWritten(), sc.RawBytesWritten()
		time.Sleep(time.Minute)
		if c.RawBytesWritten() == before || sc.RawBytesWritten() != silent {
			t.Errorf("in a minute %d and %d bytes were written", c.RawBytesWritten()-before, sc.RawBytesWritten()-silent)
		}
	})
}

// Records are forgotten after their age, and when there are too many.
func TestMaxRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(1)
		h := host{net, netip.MustParseAddr("5.0.0.1")}
		first, err := dht.NewBootstrapper(netip.AddrPortFrom(h.addr, 49737), h.options(dht.Options{MaxRecords: 20, MaxRecordAge: time.Hour}))
		if err != nil {
			t.Fatal(err)
		}
		run(t, first)
		user := host{net, netip.MustParseAddr("5.0.0.2")}
		n, err := dht.New(user.options(firewalled(), "5.0.0.1:49737"))
		if err != nil {
			t.Fatal(err)
		}
		run(t, n)
		ctx := t.Context()
		put := func(v byte) [32]byte {
			p, err := n.PutImmutable(ctx, []byte{v}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return p.Hash
		}
		has := func(hash [32]byte) bool {
			_, err := n.GetImmutable(ctx, hash, nil)
			return err == nil
		}
		hash := put(0)
		for v := range byte(30) {
			put(v + 1)
		}
		if has(hash) {
			t.Error("the oldest of 31 values is there, where 20 may be")
		}
		topic, key := [32]byte{1}, dht.NewKeyPair()
		announce(t, n, topic, key, nil)
		hash = put(0)
		time.Sleep(39 * time.Minute)
		if !has(hash) || len(lookup(t, n, topic)) != 1 {
			t.Error("records are gone before two thirds of their age")
		}
		time.Sleep(81 * time.Minute)
		if has(hash) || len(lookup(t, n, topic)) != 0 {
			t.Error("records are there after twice their age")
		}
	})
}

// The events of the network below are there, a change of the machine's addresses too,
// upon which servers are announced anew.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInternet(t, 1, 6, simnet.Link{Delay: time.Millisecond})
		var mu sync.Mutex
		seen := make(map[rpc.EventKind]int)
		h := i.host("open")
		moved := false
		o := dht.Options{ListenPacket: h.listen}
		o.RPC.Bootstrap = []string{i.bootstrap}
		o.RPC.Interfaces = func() ([]rpc.Interface, error) {
			mu.Lock()
			defer mu.Unlock()
			if moved {
				return []rpc.Interface{{Name: "eth1", Addr: h.addr}}, nil
			}
			return h.interfaces()
		}
		o.RPC.OnEvent = func(e rpc.Event) {
			mu.Lock()
			defer mu.Unlock()
			seen[e.Kind]++
		}
		n, err := dht.New(&o)
		if err != nil {
			t.Fatal(err)
		}
		run(t, n)
		s := listen(t, n, nil)
		await := func(kinds ...rpc.EventKind) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			for _, k := range kinds {
				if seen[k] == 0 {
					t.Errorf("no event %v", k)
				}
			}
		}
		await(rpc.EventReady, rpc.EventListening, rpc.EventNATUpdate, rpc.EventAddNode)
		time.Sleep(25 * time.Minute)
		await(rpc.EventPersistent)

		requests := func() int { return n.RPC().Stats().Requests }
		before := requests()
		mu.Lock()
		moved = true
		mu.Unlock()
		time.Sleep(6 * time.Second)
		await(rpc.EventNetworkChange)
		if after := requests(); after < before+8 {
			t.Errorf("%d requests after the network changed: the server was not announced anew", after-before)
		}
		if len(s.Nodes()) == 0 {
			t.Error("the server is not announced")
		}
		if err := n.Suspend(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := n.Resume(); err != nil {
			t.Fatal(err)
		}
		await(rpc.EventEphemeral, rpc.EventSuspend, rpc.EventResume, rpc.EventWakeup)
		// Nodes that do not answer leave the table.
		all := n.RPC().Nodes(-1)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		i.net.Partition([]netip.Addr{h.addr}, []netip.Addr{all[0].Addr()})
		if _, err := n.Ping(ctx, all[0]); !errors.Is(err, rpc.ErrTimeout) {
			t.Errorf("ping across a partition: %v", err)
		}
		time.Sleep(10 * time.Minute)
		await(rpc.EventRemoveNode)
		if err := n.Destroy(); err != nil {
			t.Fatal(err)
		}
		await(rpc.EventClose)
	})
}
