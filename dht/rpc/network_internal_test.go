package rpc

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Commands of the store that tests run on the network.
const (
	commandGet = 100
	commandPut = 101
)

// store keeps what is put at a node. Like everything that stores, it wants a token.
type store struct {
	mu     sync.Mutex
	values map[ID][]byte
	got    []*Request // clones of all requests
}

func (s *store) handle(r *Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Command {
	case commandGet:
		if r.Target != nil {
			_ = r.Reply(s.values[*r.Target], nil)
		}
	case commandPut:
		if r.Target != nil && r.Token != nil {
			if s.values == nil {
				s.values = make(map[ID][]byte)
			}
			s.values[*r.Target] = bytes.Clone(r.Value)
			_ = r.Reply(nil, &ReplyOptions{NoToken: true, NoCloserNodes: true})
		}
	default:
		return false
	}
	s.got = append(s.got, r.Clone())
	return true
}

// storing makes a node part of the network, with a store.
func storing(o *Options) {
	persistent(o)
	o.OnRequest = new(store).handle
}

func put(ctx context.Context, n *Node, target ID, value []byte) error {
	commit := func(ctx context.Context, q *Query, r *Reply) error {
		target := q.Target()
		stored, err := n.Request(ctx, r.From, Message{Command: commandPut, Target: &target, Token: r.Token, Value: value}, nil)
		if err != nil {
			return err
		}
		return stored.Err()
	}
	return n.Query(target, commandGet, nil, &QueryOptions{Commit: commit}).Finish(ctx)
}

func get(ctx context.Context, n *Node, target ID) ([]byte, error) {
	for r, err := range n.Query(target, commandGet, nil, nil).Replies(ctx) {
		if err != nil {
			return nil, err
		}
		if r.Value != nil {
			return r.Value, nil
		}
	}
	return nil, errors.New("not found")
}

func randomID(rnd *rand.Rand) (id ID) {
	for i := range id {
		id[i] = byte(rnd.Uint32())
	}
	return id
}

// TestLargeNetwork grows a network to 1,000 nodes while 3 % of the datagrams get
// lost, puts values into it, lets a third of the nodes die without a word and as
// many others come over ten minutes, and looks for the values. All must be found,
// and walks must end at the nodes that are really the closest.
func TestLargeNetwork(t *testing.T) {
	size, values := 1000, 60
	if testing.Short() {
		size, values = 200, 20
	}
	synctest.Test(t, func(t *testing.T) {
		net, rnd := newInternet(1, 0.03), rand.New(rand.NewPCG(1, 2))
		boot := net.bootstrapper(t)
		var nodes []*Node
		grow := func(count int) {
			for range count {
				nodes = append(nodes, net.node(t, boot, boxNone, storing))
				time.Sleep(50 * time.Millisecond)
			}
		}
		grow(size)
		ready(t, nodes...)
		time.Sleep(time.Minute)

		targets := make([]ID, values)
		for i := range targets {
			targets[i] = randomID(rnd)
			if err := put(t.Context(), nodes[rnd.IntN(len(nodes))], targets[i], targets[i][:8]); err != nil {
				t.Fatal(err)
			}
		}
		datagrams := net.Stats().Sent

		// Every minute some die and some come.
		for range 10 {
			for range size / 30 {
				i := rnd.IntN(len(nodes))
				if err := nodes[i].Close(); err != nil {
					t.Error(err)
				}
				nodes = slices.Delete(nodes, i, i+1)
			}
			grow(size / 30)
			time.Sleep(time.Minute)
		}
		ready(t, nodes...)
		t.Logf("%.1f datagrams a second and node while nothing is asked",
			float64(net.Stats().Sent-datagrams)/float64(size)/(10*60+float64(size)/3/20))

		ids := make([]ID, 0, len(nodes)+1)
		for _, n := range append(nodes, boot) {
			id, ok := n.ID()
			if !ok {
				t.Fatal("a node has no id")
			}
			ids = append(ids, id)
		}
		recall, requests, missing := 0, 0, 0
		for _, target := range targets {
			n := nodes[rnd.IntN(len(nodes))]
			if v, err := get(t.Context(), n, target); err != nil || !bytes.Equal(v, target[:8]) {
				missing++
				t.Errorf("value %v: %x, %v", target, v, err)
			}
			before := n.Stats().Requests
			q := n.FindNode(target, nil)
			if err := q.Finish(t.Context()); err != nil {
				t.Error(err)
			}
			requests += n.Stats().Requests - before
			self, _ := n.ID()
			slices.SortFunc(ids, func(a, b ID) int { return target.distance(a).compare(target.distance(b)) })
			closest := slices.DeleteFunc(slices.Clone(ids[:bucketSize+1]), func(id ID) bool { return id == self })[:bucketSize]
			for _, r := range q.ClosestReplies() {
				if slices.Contains(closest, r.FromID) {
					recall++
				}
			}
		}
		found := float64(recall) / float64(values*bucketSize)
		t.Logf("%d of %d values missing; walks found %.1f %% of the closest nodes with %d requests each",
			missing, values, 100*found, requests/values)
		if found < 0.95 {
			t.Error("walks end too far from their targets")
		}
	})
}

// TestLossyNetwork has values put and found while up to 30 % of the datagrams are
// lost.
func TestLossyNetwork(t *testing.T) {
	for _, loss := range []float64{0, 0.1, 0.2, 0.3} {
		synctest.Test(t, func(t *testing.T) {
			net, rnd := newInternet(7, loss), rand.New(rand.NewPCG(3, 4))
			boot := net.bootstrapper(t)
			var nodes []*Node
			for range 50 {
				nodes = append(nodes, net.node(t, boot, boxNone, storing))
			}
			ready(t, nodes...)
			time.Sleep(5 * time.Minute)
			for range 20 {
				target := randomID(rnd)
				if err := put(t.Context(), nodes[rnd.IntN(50)], target, []byte("value")); err != nil {
					t.Errorf("loss %v: %v", loss, err)
				}
				if v, err := get(t.Context(), nodes[rnd.IntN(50)], target); err != nil || string(v) != "value" {
					t.Errorf("loss %v: %q, %v", loss, v, err)
				}
			}
		})
	}
}

// TestBecomesPersistent shows when nodes behind each kind of box become persistent,
// and what they know of their address.
func TestBecomesPersistent(t *testing.T) {
	for _, tt := range []struct {
		name       string
		box        box
		port       uint16 // outside, relative to the server socket's: 1 is the same, 0 none
		quick      bool   // not firewalled as soon as the node is ready
		persistent bool   // after 20 minutes
	}{
		{"open", boxNone, 1, true, true},
		{"firewall", boxFirewall, 1, false, false},
		{"consistent NAT", boxNAT, 1, false, false},
		{"random NAT", boxRandomNAT, 0, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := newInternet(3, 0)
				boot := net.bootstrapper(t)
				for range 10 {
					ready(t, net.node(t, boot, boxNone, persistent))
				}
				var events []EventKind
				var mu sync.Mutex
				n := net.node(t, boot, tt.box, func(o *Options) {
					o.OnEvent = func(e Event) {
						if e.Kind != EventAddNode && e.Kind != EventRemoveNode && e.Kind != EventNATUpdate {
							mu.Lock()
							events = append(events, e.Kind)
							mu.Unlock()
						}
					}
				})
				ready(t, n)
				if n.Firewalled() == tt.quick || !n.Ephemeral() {
					t.Errorf("when ready, firewalled: %v, ephemeral: %v", n.Firewalled(), n.Ephemeral())
				}
				host, port := n.NAT()
				if host != n.ServerSocket().AddrPort().Addr() || (port != 0) != (tt.port != 0) {
					t.Errorf("seen as %v:%d", host, port)
				}
				if _, ok := n.RemoteAddr(); ok != tt.quick {
					t.Errorf("has a remote address: %v", ok)
				}
				if _, ok := n.ID(); ok {
					t.Error("has an id")
				}

				time.Sleep(19 * time.Minute)
				synctest.Wait()
				if !n.Ephemeral() {
					t.Error("persistent before 20 minutes")
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if n.Ephemeral() == tt.persistent {
					t.Errorf("after 20 minutes, ephemeral: %v", n.Ephemeral())
				}
				mu.Lock()
				defer mu.Unlock()
				want := []EventKind{EventListening, EventReady}
				if tt.persistent {
					want = append(want, EventPersistent)
					id, ok := n.ID()
					addr, known := n.RemoteAddr()
					if !ok || !known || id != IDOf(addr) || addr != n.ServerSocket().AddrPort() {
						t.Errorf("id %v, address %v", id, addr)
					}
					// Others have heard of it.
					if !slices.Contains(boot.Nodes(-1), addr) {
						t.Error("the bootstrap node does not know the new one")
					}
				}
				if !slices.Equal(events, want) {
					t.Errorf("events %v, want %v", events, want)
				}
			})
		})
	}
}

// TestWakeup puts the machine to sleep: the wall clock jumps between two ticks. In
// a bubble nothing but the node's own record of the last tick can be moved.
func TestWakeup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(4, 0)
		boot := net.bootstrapper(t)
		for range 5 {
			ready(t, net.node(t, boot, boxNone, persistent))
		}
		events := make(chan EventKind, 100)
		n := net.node(t, boot, boxNone, func(o *Options) {
			o.OnEvent = func(e Event) {
				if e.Kind == EventWakeup || e.Kind == EventEphemeral {
					events <- e.Kind
				}
			}
		})
		ready(t, n)
		time.Sleep(21 * time.Minute)
		if n.Ephemeral() {
			t.Fatal("not persistent after 21 minutes")
		}
		n.mu.Lock()
		n.core.ticked = n.core.ticked.Add(-time.Hour)
		n.mu.Unlock()
		if k := <-events; k != EventEphemeral {
			t.Errorf("event %v", k)
		}
		if k := <-events; k != EventWakeup {
			t.Errorf("event %v", k)
		}
		pings := n.Stats().Ping.Requests
		queries := n.Stats().Queries
		time.Sleep(11 * time.Second)
		if s := n.Stats(); s.Ping.Requests == pings || s.Queries == queries {
			t.Errorf("%d pings and %d queries before, %d and %d two ticks after a wake-up", pings, queries, s.Ping.Requests, s.Queries)
		}
		// An hour later it is persistent again.
		time.Sleep(time.Hour + time.Minute)
		if n.Ephemeral() {
			t.Error("still ephemeral an hour after the wake-up")
		}
	})
}

// TestDeadNodesLeave stops a node and sees it leave the tables of the others.
func TestDeadNodesLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(5, 0)
		boot := net.bootstrapper(t)
		var nodes []*Node
		for range 8 {
			n := net.node(t, boot, boxNone, persistent)
			ready(t, n)
			nodes = append(nodes, n)
		}
		time.Sleep(time.Minute)
		dead := nodes[0].ServerSocket().AddrPort()
		if !slices.Contains(boot.Nodes(-1), dead) {
			t.Fatal("the node was not known")
		}
		if err := nodes[0].Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		for _, n := range append(nodes[1:], boot) {
			if slices.Contains(n.Nodes(-1), dead) {
				t.Error("a dead node is in a table after five minutes")
			}
		}
	})
}

// TestDownHints has one node's query find another one dead, and the node that knew
// it learn so.
func TestDownHints(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			net := newInternet(6, 0)
			boot := net.bootstrapper(t)
			dying := net.node(t, boot, boxNone, persistent)
			ready(t, dying)
			time.Sleep(time.Second)
			dead := dying.ServerSocket().AddrPort()
			if err := dying.Close(); err != nil {
				t.Fatal(err)
			}
			asking := net.node(t, boot, boxNone, func(o *Options) { o.Mode, o.NoDownHints = Ephemeral, quiet })
			ready(t, asking) // has asked the dead one in vain
			time.Sleep(5 * time.Second)
			hints := asking.Stats().DownHint.Requests
			if quiet != (hints == 0) {
				t.Errorf("NoDownHints is %v, and %d were sent", quiet, hints)
			}
			if !quiet && slices.Contains(boot.Nodes(-1), dead) {
				t.Error("a node is still known that others said is down")
			}
		})
	}
}

// TestCommitRenewsTokens commits longer after the walk than a token is good for.
func TestCommitRenewsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(10, 0)
		boot := net.bootstrapper(t)
		stores := make([]store, 5)
		for i := range stores {
			ready(t, net.node(t, boot, boxNone, func(o *Options) {
				persistent(o)
				o.OnRequest = stores[i].handle
			}))
		}
		n := net.node(t, boot, boxNone, nil)
		ready(t, n)
		var mu sync.Mutex
		calls := make(map[netip.AddrPort]int)
		late := func(ctx context.Context, q *Query, r *Reply) error {
			mu.Lock()
			calls[r.From]++
			first := calls[r.From] == 1
			mu.Unlock()
			if first {
				time.Sleep(20 * time.Second)
			}
			return CommitSame(ctx, q, r)
		}
		if err := n.Query(ID{1}, commandPut, []byte("x"), &QueryOptions{Commit: late}).Finish(t.Context()); !errors.Is(err, ErrTooFewNodes) {
			t.Errorf("a put that no node answers without a token: %v", err)
		}
		if err := n.Query(ID{1}, commandGet, nil, &QueryOptions{Commit: late}).Finish(t.Context()); err != nil {
			t.Error(err)
		}
		for addr, count := range calls {
			if count != 2 && addr != boot.ServerSocket().AddrPort() {
				t.Errorf("%v was committed to %d times", addr, count)
			}
		}
		for i := range stores {
			stores[i].mu.Lock()
			last := stores[i].got[len(stores[i].got)-1]
			if last.Token == nil || last.Command != commandGet {
				t.Errorf("the last request that node %d handled: %+v", i, last)
			}
			stores[i].mu.Unlock()
		}
	})
}

func TestSuspendResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(8, 0)
		boot := net.bootstrapper(t)
		n := net.node(t, boot, boxNone, nil)
		ready(t, n)
		server, client := n.ServerSocket().AddrPort(), n.ClientSocket().AddrPort()

		silent := addrOf(99999)
		failed := make(chan error)
		go func() {
			_, err := n.Ping(t.Context(), silent, nil)
			failed <- err
		}()
		synctest.Wait()
		if err := n.Suspend(); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; !errors.Is(err, ErrSuspended) {
			t.Errorf("a request in flight failed with %v", err)
		}
		if _, err := n.Ping(t.Context(), boot.ServerSocket().AddrPort(), nil); !errors.Is(err, ErrSuspended) {
			t.Errorf("a request of a suspended node failed with %v", err)
		}
		if err := n.FindNode(ID{}, nil).Finish(t.Context()); !errors.Is(err, ErrSuspended) {
			t.Errorf("a query of a suspended node failed with %v", err)
		}
		datagrams := net.Stats().Sent
		time.Sleep(time.Hour)
		if s := n.Stats(); s.ActiveRequests != 0 || s.ActiveQueries != 0 {
			t.Errorf("active while suspended: %+v", s)
		}
		if _, err := boot.Ping(t.Context(), server, &RequestOptions{NoRetry: true}); !errors.Is(err, ErrTimeout) {
			t.Errorf("a suspended node was pinged with %v", err)
		}
		_ = datagrams

		if err := n.Resume(); err != nil {
			t.Fatal(err)
		}
		if n.ServerSocket().AddrPort() != server || n.ClientSocket().AddrPort() != client {
			t.Error("the node has other ports after Resume")
		}
		if _, err := n.Ping(t.Context(), boot.ServerSocket().AddrPort(), nil); err != nil {
			t.Error(err)
		}
		if err := errors.Join(n.Resume(), n.Suspend(), n.Suspend(), n.Close(), n.Close()); err != nil {
			t.Error(err)
		}
		for _, err := range []error{n.Suspend(), n.Resume(), n.Start()} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("a method of a closed node returned %v", err)
			}
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(9, 0)
		n := net.node(t, nil, boxNone, nil)
		ready(t, n)
		failed := make(chan error, 2)
		go func() {
			_, err := n.Request(t.Context(), addrOf(99999), Message{Command: 1}, nil)
			failed <- err
		}()
		go func() {
			failed <- n.FindNode(ID{}, &QueryOptions{Nodes: []netip.AddrPort{addrOf(99998)}}).Finish(t.Context())
		}()
		synctest.Wait()
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; !errors.Is(err, ErrClosed) && err != nil {
			t.Errorf("failed with %v", err)
		}
		<-failed
		if _, err := n.Ping(t.Context(), addrOf(1), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("a ping of a closed node failed with %v", err)
		}

		unstarted, err := New(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unstarted.Ping(t.Context(), addrOf(1), nil); !errors.Is(err, ErrNotStarted) {
			t.Errorf("a ping of a node that is not started failed with %v", err)
		}
		if err := unstarted.Close(); err != nil {
			t.Error(err)
		}
		if err := unstarted.Ready(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Ready of a closed node returned %v", err)
		}
	})
}
