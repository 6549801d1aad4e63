package rpc

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/simnet"
)

// hostile is a machine in a simulated network that says what it wants.
type hostile struct {
	*simnet.Conn
	net  *internet
	seen []simnet.Packet // what arrived
}

func (n *internet) hostile(t testing.TB) *hostile {
	t.Helper()
	n.hosts++
	conn, err := n.Listen(netip.AddrPortFrom(addrOf(n.hosts).Addr(), 5000))
	if err != nil {
		t.Fatal(err)
	}
	return &hostile{Conn: conn, net: n}
}

// drain reads what has arrived.
func (h *hostile) drain(t testing.TB) {
	t.Helper()
	if err := h.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 65536); ; {
		n, from, err := h.ReadFrom(b)
		if err != nil {
			return
		}
		h.seen = append(h.seen, simnet.Packet{Src: plain(netip.MustParseAddrPort(from.String())), Data: bytes.Clone(b[:n])})
	}
}

func (h *hostile) bytes() (n int) {
	for _, p := range h.seen {
		n += len(p.Data)
	}
	return n
}

// forge sends a datagram from anywhere.
func (n *internet) forge(from, to netip.AddrPort, b []byte) {
	n.Send(simnet.Packet{Src: from, Dst: to, TTL: simnet.DefaultTTL, Data: b})
}

func idBytes(addr netip.AddrPort) []byte {
	id := IDOf(addr)
	return id[:]
}

// TestForgedReplies guesses the transaction id of a request and answers before the
// node that was asked.
func TestForgedReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(1, 0)
		boot := net.bootstrapper(t)
		n := net.node(t, boot, boxNone, nil)
		ready(t, n)
		asked, forger := net.hostile(t), net.hostile(t)
		reply := func(tid uint16, to netip.AddrPort, value string) []byte {
			return (&replyPacket{tid: tid, to: to, id: idBytes(asked.AddrPort()), value: []byte(value)}).append(nil)
		}

		for _, anySource := range []bool{false, true} {
			type result struct {
				reply *Reply
				err   error
			}
			done := make(chan result, 1)
			go func() {
				r, err := n.Request(t.Context(), asked.AddrPort(), Message{Command: 1}, &RequestOptions{AnySource: anySource})
				done <- result{r, err}
			}()
			synctest.Wait()
			to := n.Socket().AddrPort()
			for tid := range 1 << 16 {
				net.forge(forger.AddrPort(), to, reply(uint16(tid), addrOf(77), "forged"))
			}
			time.Sleep(200 * time.Millisecond)
			asked.seen = nil
			asked.drain(t)
			var req requestPacket
			if err := req.decode(asked.seen[len(asked.seen)-1].Data); err != nil {
				t.Fatal(err)
			}
			net.forge(asked.AddrPort(), to, reply(req.tid, to, "genuine"))
			got := <-done
			if got.err != nil {
				t.Fatal(got.err)
			}
			if want := map[bool]string{false: "genuine", true: "forged"}[anySource]; string(got.reply.Value) != want {
				t.Errorf("AnySource %v: the reply is %q", anySource, got.reply.Value)
			}
			if anySource && !got.reply.FromID.IsZero() {
				t.Error("a forger has the id of another node")
			}
		}
		if slices.Contains(n.Nodes(-1), forger.AddrPort()) {
			t.Error("the forger is in the routing table")
		}
		if host, _ := n.NAT(); host != n.Socket().AddrPort().Addr() {
			t.Errorf("the node believes to be at %v", host)
		}
	})
}

// TestReflection sends a node requests in the name of a victim, with the victim's
// id. The victim gets no more than one small answer for each, and little else; the
// node believes nothing.
func TestReflection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(2, 0)
		boot := net.bootstrapper(t)
		for range 30 {
			ready(t, net.node(t, boot, boxNone, storing))
		}
		n := net.node(t, boot, boxNone, storing)
		ready(t, n)
		time.Sleep(time.Minute)
		synctest.Wait()
		known, host, to := n.Nodes(-1), n.core.nat.host, n.ServerSocket().AddrPort()
		if len(known) < bucketSize {
			t.Fatalf("the node knows only %d others", len(known))
		}

		target := ID{9}
		for _, tt := range []struct {
			name string
			p    requestPacket
			most float64 // bytes that the victim may get for a byte
		}{
			{"ping", requestPacket{internal: true, command: commandPing}, 4},
			{"ping-nat", requestPacket{internal: true, command: commandPingNAT, value: appendPort(nil, 5000)}, 4},
			{"find-node", requestPacket{internal: true, command: commandFindNode, target: target[:]}, 4},
			{"down-hint", requestPacket{internal: true, command: commandDownHint, value: appendCloser(nil, addrOf(1))}, 4},
			{"delayed-ping", requestPacket{internal: true, command: commandDelayedPing, value: appendDelay(nil, 50)}, 4},
			{"unknown", requestPacket{command: 3000, target: target[:]}, 4},
			{"get", requestPacket{command: commandGet, target: target[:]}, 5},
			{"put without token", requestPacket{command: commandPut, target: target[:], value: []byte("x")}, 0},
			{"wrong token", requestPacket{command: commandPut, token: make([]byte, 32), target: target[:], value: []byte("x")}, 3},
		} {
			for _, withID := range []bool{false, true} {
				victim := net.hostile(t)
				p := tt.p
				p.to = addrOf(4321) // a lie about the node's address
				if withID {
					p.id = idBytes(victim.AddrPort())
				}
				const count = 200
				sent := 0
				for tid := range uint16(count) {
					p.tid = tid
					b := p.append(nil)
					sent += len(b)
					net.forge(victim.AddrPort(), to, b)
				}
				time.Sleep(10 * time.Second)
				victim.drain(t)
				replies, others := 0, 0
				for _, p := range victim.seen {
					if p.Src != to {
						t.Errorf("%s: %v sends to the victim", tt.name, p.Src)
					}
					if p.Data[0] == replyHeader {
						replies++
					} else {
						others++
					}
				}
				if replies > count || others > 1+defaultRetries || !withID && others > 0 {
					t.Errorf("%s: %d replies and %d requests for %d requests", tt.name, replies, others, count)
				}
				if factor := float64(victim.bytes()) / float64(sent); factor > tt.most && !(tt.most == 0 && replies == 0) {
					t.Errorf("%s: the victim got %.1f bytes for each", tt.name, factor)
				}
				if slices.Contains(n.Nodes(-1), victim.AddrPort()) {
					t.Errorf("%s: the victim is in the routing table", tt.name)
				}
				if err := victim.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		if now, _ := n.NAT(); now != host {
			t.Errorf("the node believes to be at %v, not %v", now, host)
		}
		if len(n.Nodes(-1)) < len(known) {
			t.Errorf("%d of %d nodes are left", len(n.Nodes(-1)), len(known))
		}
	})
}

// TestPoisonedWalk has a third of the nodes answer every question with made-up
// nodes right at the target, with addresses on the asker's own machine, and with
// claims to be somebody else. What was stored is found all the same, walks end, and no
// made-up node gets into the table.
func TestPoisonedWalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, rnd := newInternet(3, 0), rand.New(rand.NewPCG(5, 6))
		boot := net.bootstrapper(t)
		var nodes []*Node
		for range 60 {
			nodes = append(nodes, net.node(t, boot, boxNone, storing))
		}
		var liars []*Node
		for range 30 {
			liar := net.node(t, boot, boxNone, func(o *Options) {
				persistent(o)
				o.OnRequest = func(r *Request) bool {
					if r.Target == nil {
						return true
					}
					p := replyPacket{tid: r.tid, to: r.From, id: idBytes(addrOf(1)), token: make([]byte, 32)}
					// As if it had searched all addresses for the closest to the target.
					best := make([]netip.AddrPort, 2000)
					for i := range best {
						best[i] = addrOf(1<<20 + rand.IntN(1<<22))
					}
					slices.SortFunc(best, func(a, b netip.AddrPort) int {
						return r.Target.distance(IDOf(a)).compare(r.Target.distance(IDOf(b)))
					})
					best = append([]netip.AddrPort{
						netip.MustParseAddrPort("127.0.0.1:22"), netip.MustParseAddrPort("0.0.0.0:1"),
						netip.MustParseAddrPort("224.0.0.1:5353"), netip.MustParseAddrPort("255.255.255.255:67"), netip.MustParseAddrPort("10.0.0.1:0"),
					}, best...)
					for _, a := range best[:200] {
						p.closer = appendCloser(p.closer, a)
					}
					_ = r.Socket.WriteTo(p.append(nil), r.From)
					return true
				}
			})
			liars = append(liars, liar)
		}
		ready(t, nodes...)
		ready(t, liars...)
		time.Sleep(5 * time.Minute)

		net.SetLink(simnet.Link{Delay: 20 * time.Millisecond, Filter: func(p simnet.Packet) bool {
			if a := p.Dst.Addr(); a.IsLoopback() || a.IsMulticast() || a.IsUnspecified() || a == broadcast || p.Dst.Port() == 0 {
				t.Errorf("a datagram went to %v", p.Dst)
			}
			return true
		}})
		asking := net.node(t, boot, boxNone, nil)
		ready(t, asking)
		for range 20 {
			target := randomID(rnd)
			if err := put(t.Context(), nodes[rnd.IntN(60)], target, []byte("value")); err != nil {
				t.Fatal(err)
			}
			if v, err := get(t.Context(), asking, target); err != nil || string(v) != "value" {
				t.Errorf("%q, %v", v, err)
			}
			start, before := time.Now(), asking.Stats()
			q := asking.Query(target, commandGet, nil, nil)
			if err := q.Finish(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > time.Minute {
				t.Errorf("a walk among liars took %v", took)
			}
			after := asking.Stats()
			if asked := after.Requests - after.DownHint.Requests - before.Requests + before.DownHint.Requests; asked > 300 {
				t.Errorf("a walk among liars asked %d nodes", asked)
			}
			for _, r := range q.ClosestReplies() {
				if r.FromID != IDOf(r.From) {
					t.Error("a reply without its own id is among the closest")
				}
			}
		}
		for _, n := range append(nodes, asking) {
			for _, a := range n.Nodes(-1) {
				if i := a.Addr().As4(); i[1] >= 0x10 {
					t.Errorf("a made-up node is in a table: %v", a)
				}
			}
		}
	})
}

// TestCrowdedRow offers a node a thousand live neighbours for the same row. Those
// who were there first stay as long as they answer.
func TestCrowdedRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(4, 0)
		n := net.bootstrapper(t)
		self, _ := n.ID()
		to := n.ServerSocket().AddrPort()

		// Nodes that answer pings, in the row of the first bit, which is the largest.
		var dead sync.Map // addresses that no longer do
		crowd := func(count int) (added []netip.AddrPort) {
			for len(added) < count {
				net.hosts++
				addr := addrOf(net.hosts)
				if IDOf(addr).commonPrefix(self) != 0 {
					continue
				}
				conn, err := net.Listen(addr)
				if err != nil {
					t.Fatal(err)
				}
				s := NewSocket(conn, func(s Socket, b []byte, from netip.AddrPort) {
					var p requestPacket
					if _, silent := dead.Load(addr); p.decode(b) == nil && !silent {
						_ = s.WriteTo((&replyPacket{tid: p.tid, to: from, id: idBytes(addr)}).append(nil), from)
					}
				})
				t.Cleanup(func() { s.Close() })
				added = append(added, addr)
				_ = s.WriteTo((&requestPacket{internal: true, to: to, id: idBytes(addr)}).append(nil), to)
				time.Sleep(100 * time.Millisecond)
			}
			return added
		}
		first := crowd(bucketSize)
		time.Sleep(time.Second)
		crowd(300)
		time.Sleep(time.Minute)
		known := n.Nodes(-1)
		if len(known) != bucketSize {
			t.Fatalf("a row has %d nodes", len(known))
		}
		for _, a := range first {
			if !slices.Contains(known, a) {
				t.Errorf("%v was driven out", a)
			}
		}
		// When they die, others come in.
		for _, a := range first[:10] {
			dead.Store(a, true)
		}
		crowd(100)
		time.Sleep(10 * time.Minute)
		crowd(100)
		for _, a := range first[:10] {
			if slices.Contains(n.Nodes(-1), a) {
				t.Errorf("%v is dead and still known", a)
			}
		}
		if got := len(n.Nodes(-1)); got != bucketSize {
			t.Errorf("a row has %d nodes after ten died", got)
		}
	})
}

// TestFlood sends a node a lot of everything and looks at what it keeps.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, rnd := newInternet(5, 0), rand.New(rand.NewPCG(7, 8))
		boot := net.bootstrapper(t)
		n := net.node(t, boot, boxNone, storing)
		ready(t, n)
		to := n.ServerSocket().AddrPort()
		for i := range 20_000 {
			from := addrOf(1<<16 + i)
			p := requestPacket{tid: uint16(i), to: to, id: idBytes(from), internal: true}
			switch i % 4 {
			case 0:
				p.command, p.value = commandDelayedPing, appendDelay(nil, 9_000)
			case 1:
				p.command, p.value = commandDownHint, appendCloser(nil, boot.ServerSocket().AddrPort())
			case 2:
				p.command, p.target = commandFindNode, p.id
			case 3:
				garbage := make([]byte, rnd.IntN(60))
				for j := range garbage {
					garbage[j] = byte(rnd.Uint32())
				}
				net.forge(from, to, append([]byte{byte(rnd.IntN(2)<<4 | 3)}, garbage...))
				continue
			}
			net.forge(from, to, p.append(nil))
			if i%1000 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		time.Sleep(200 * time.Millisecond)
		n.mu.Lock()
		c := n.core
		if len(c.delayed) > maxDelayed || len(c.vetting) > maxVets || c.checks > maxChecks || len(c.calls.byTID) > 200 {
			t.Errorf("%d delayed answers, %d new nodes looked at, %d pings, %d requests", len(c.delayed), len(c.vetting), c.checks, len(c.calls.byTID))
		}
		n.mu.Unlock()
		time.Sleep(20 * time.Second)
		n.mu.Lock()
		if len(c.delayed) != 0 || len(c.vetting) != 0 || c.checks != 0 {
			t.Errorf("20 seconds later, %d delayed answers, %d new nodes looked at, %d pings", len(c.delayed), len(c.vetting), c.checks)
		}
		n.mu.Unlock()
		if _, err := boot.Ping(t.Context(), to, nil); err != nil {
			t.Error(err)
		}
		if !slices.Contains(n.Nodes(-1), boot.ServerSocket().AddrPort()) {
			t.Error("the node lost its only neighbour")
		}
	})
}

// TestSize keeps to the largest datagram on both sides.
func TestSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(6, 0)
		boot := net.bootstrapper(t)
		errs := make(chan error, 10)
		n := net.node(t, boot, boxNone, func(o *Options) {
			persistent(o)
			o.OnRequest = func(r *Request) bool {
				errs <- r.Reply(make([]byte, MaxDatagram), &ReplyOptions{NoToken: true, NoCloserNodes: true})
				errs <- r.Reply(make([]byte, MaxDatagram-10-32-3), &ReplyOptions{NoToken: true, NoCloserNodes: true})
				return true
			}
		})
		ready(t, n)
		to := n.ServerSocket().AddrPort()
		if _, err := boot.Request(t.Context(), to, Message{Value: make([]byte, MaxDatagram)}, nil); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a request that is too large: %v", err)
		}
		if _, err := boot.Ping(t.Context(), to, &RequestOptions{Size: 1 << 30}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a ping that is too large: %v", err)
		}
		r, err := boot.Request(t.Context(), to, Message{Value: make([]byte, MaxDatagram-10-32-1-3)}, nil)
		if err != nil || len(r.Value) != MaxDatagram-10-32-3 {
			t.Fatalf("the largest request: %v", err)
		}
		if err := <-errs; !errors.Is(err, ErrTooLarge) {
			t.Errorf("a reply that is too large: %v", err)
		}
		if err := <-errs; err != nil {
			t.Errorf("the largest reply: %v", err)
		}

		h := net.hostile(t)
		for _, size := range []int{MaxDatagram, MaxDatagram + 1, 65000} {
			p := requestPacket{to: to, internal: true, value: []byte{}}
			b := p.append(nil)
			net.forge(h.AddrPort(), to, append(b, make([]byte, size-len(b))...))
			time.Sleep(time.Second)
			h.seen = nil
			h.drain(t)
			if (len(h.seen) == 1) != (size <= MaxDatagram) {
				t.Errorf("%d answers to a datagram of %d bytes", len(h.seen), size)
			}
		}
	})
}

// TestArguments passes what cannot be sent.
func TestArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(7, 0)
		n := net.bootstrapper(t)
		for _, a := range []string{"0.0.0.0:1", "1.2.3.4:0", "[::1]:1", "224.0.0.1:1", "255.255.255.255:1"} {
			addr := netip.MustParseAddrPort(a)
			if _, err := n.Ping(t.Context(), addr, nil); !errors.Is(err, ErrAddress) {
				t.Errorf("ping to %v: %v", addr, err)
			}
			if err := n.AddNode(addr); !errors.Is(err, ErrAddress) {
				t.Errorf("adding %v: %v", addr, err)
			}
			if err := n.Query(ID{}, 1, nil, &QueryOptions{Nodes: []netip.AddrPort{addr}, OnlyNodes: true}).Finish(t.Context()); err != nil {
				t.Errorf("query from %v: %v", addr, err)
			}
		}
		peer := addrOf(1)
		for _, m := range []Message{{Command: 1 << 53}, {Token: []byte{1}}} {
			if _, err := n.Request(t.Context(), peer, m, nil); err == nil {
				t.Errorf("%+v was sent", m)
			}
		}
		if _, err := n.DelayedPing(t.Context(), peer, time.Minute, nil); err == nil {
			t.Error("a minute's delay was asked for")
		}
		if err := n.Query(ID{}, 1<<53, nil, nil).Finish(t.Context()); err == nil {
			t.Error("a query with a command that is too large ran")
		}
		q := n.Query(ID{}, 1, nil, &QueryOptions{Commit: CommitSame})
		if err := q.Finish(t.Context()); !errors.Is(err, ErrTooFewNodes) {
			t.Errorf("a commit to nobody: %v", err)
		}
		if err := q.Finish(t.Context()); err == nil {
			t.Error("a query ran twice")
		}
		if _, err := New(&Options{Host: netip.MustParseAddr("::1")}); !errors.Is(err, ErrAddress) {
			t.Errorf("an IPv6 host: %v", err)
		}
		if _, err := NewBootstrapper(netip.MustParseAddrPort("0.0.0.0:1"), nil); !errors.Is(err, ErrAddress) {
			t.Errorf("a bootstrapper everywhere: %v", err)
		}
	})
}
