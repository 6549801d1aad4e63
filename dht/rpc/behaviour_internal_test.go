package rpc

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/simnet"
)

// recorded collects the events of a node.
type recorded struct {
	mu     sync.Mutex
	events []Event
}

func (r *recorded) on(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorded) count(k EventKind) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

func TestBootstrapAddresses(t *testing.T) {
	for _, tt := range []struct {
		name     string
		entry    string // with BOOT for the address of a bootstrap node
		names    string // what boot.example stands for
		found    bool
		lookedUp bool
	}{
		{"address", "BOOT:49737", "", true, false},
		{"name", "boot.example:49737", "BOOT", true, true},
		{"good suggestion", "BOOT@boot.example:49737", "10.99.0.1", true, false},
		{"bad suggestion", "10.99.0.1@boot.example:49737", "BOOT", true, true},
		{"bad suggestion beside an address", "10.99.0.1@BOOT:49737", "", true, false},
		{"unknown name", "boot.example:49737", "", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := newInternet(1, 0)
				boot := net.bootstrapper(t)
				at := boot.ServerSocket().AddrPort()
				subst := func(s string) string { return strings.ReplaceAll(s, "BOOT", at.Addr().String()) }
				var lookups atomic.Int32
				n := net.node(t, nil, boxNone, func(o *Options) {
					o.Bootstrap = []string{subst(tt.entry)}
					o.Resolve = func(ctx context.Context, host string) (netip.Addr, error) {
						lookups.Add(1)
						if host != "boot.example" || tt.names == "" {
							return netip.Addr{}, errors.New("no such host")
						}
						return netip.ParseAddr(subst(tt.names))
					}
				})
				ready(t, n)
				if got := slices.Contains(n.Nodes(-1), at); got != tt.found {
					t.Errorf("found the bootstrap node: %v", got)
				}
				if got := lookups.Load() > 0; got != tt.lookedUp {
					t.Errorf("%d names were looked up", lookups.Load())
				}
				if tt.found {
					before := lookups.Load()
					if err := n.FindNode(ID{1}, nil).Finish(t.Context()); err != nil || lookups.Load() != before {
						t.Errorf("a query looked up names again, %v", err)
					}
				}
			})
		})
	}
}

func TestPorts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(2, 0)
		ip, o := net.host(boxNone)
		with := func(change func(*Options)) (*Node, error) {
			opts := *o
			change(&opts)
			n, err := New(&opts)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { n.Close() })
			return n, n.Start()
		}
		port := func(n *Node) uint16 { return n.ServerSocket().AddrPort().Port() }
		for i := range uint16(5) {
			n, err := with(func(o *Options) { o.Port = 1000 })
			if err != nil || port(n) != 1000+i {
				t.Fatalf("node %d has port %d, %v", i, port(n), err)
			}
		}
		if n, err := with(func(o *Options) { o.Port = 1000 }); err != nil || port(n) < 1005 {
			t.Errorf("with all five taken, a node has port %d, %v", port(n), err)
		}
		if _, err := with(func(o *Options) { o.Port, o.FixedPort = 1000, true }); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a fixed port that is taken: %v", err)
		}
		if n, err := with(func(o *Options) { o.Port, o.PortEnd = 1000, 1010 }); err != nil || port(n) != 1005 {
			t.Errorf("in a range, a node has port %d, %v", port(n), err)
		}
		if n, err := with(func(o *Options) { o.Port = 65535 }); err != nil || port(n) != 65535 {
			t.Errorf("the last port: %d, %v", port(n), err)
		}
		if _, err := New(&Options{Port: 10, PortEnd: 10}); err == nil {
			t.Error("an empty range is accepted")
		}
		boot, err := NewBootstrapper(netip.AddrPortFrom(ip, 1001), o)
		if err != nil {
			t.Fatal(err)
		}
		defer boot.Close()
		if err := boot.Start(); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a bootstrapper whose port is taken: %v", err)
		}
	})
}

// TestIncomingRequests shows all that a handler can do with a request.
func TestIncomingRequests(t *testing.T) {
	const (
		plainReply = iota
		bareReply
		refusal
		refusalWithToken
		later
		elsewhere
		relayed
		tooLargeCode
	)
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(3, 0)
		boot := net.bootstrapper(t)
		relays := make(chan *Request, 1)
		third := net.node(t, boot, boxNone, func(o *Options) {
			persistent(o)
			o.OnRequest = func(r *Request) bool { relays <- r.Clone(); return true }
		})
		ready(t, third)
		other := net.hostile(t)
		done := make(chan error, 1)
		n := net.node(t, boot, boxNone, func(o *Options) {
			persistent(o)
			o.OnRequest = func(r *Request) bool {
				switch r.Command {
				case plainReply:
					return r.Reply(nil, nil) == nil
				case bareReply:
					return r.Reply([]byte{}, &ReplyOptions{NoToken: true, NoCloserNodes: true}) == nil
				case refusal:
					return r.Fail(77, nil) == nil
				case refusalWithToken:
					return r.Fail(78, &ReplyOptions{WithToken: true, NoCloserNodes: true}) == nil
				case later:
					c := r.Clone()
					time.AfterFunc(100*time.Millisecond, func() { done <- c.Reply(append(c.Value, c.Target[:2]...), nil) })
					return true
				case elsewhere:
					return r.Reply([]byte("for you"), &ReplyOptions{To: other.AddrPort()}) == nil
				case relayed:
					return r.Relay([]byte("relayed"), third.ServerSocket().AddrPort(), nil) == nil
				case tooLargeCode:
					return r.Fail(1<<53, nil) == nil
				}
				return false
			}
		})
		ready(t, n)
		time.Sleep(time.Second)
		client := net.node(t, boot, boxNone, nil)
		ready(t, client)
		to, target := n.ServerSocket().AddrPort(), ID{1, 2}
		ask := func(command uint64, o *RequestOptions) *Reply {
			t.Helper()
			r, err := client.Request(t.Context(), to, Message{Command: command, Target: &target, Value: []byte("v")}, o)
			if err != nil {
				t.Fatal(err)
			}
			if r.From != to || r.FromID != IDOf(to) || r.To != client.Socket().AddrPort() || r.RTT <= 0 {
				t.Errorf("command %d: reply %+v", command, r)
			}
			return r
		}

		r := ask(plainReply, nil)
		if r.Code != OK || len(r.Token) != tokenSize || len(r.CloserNodes) != 2 || r.Value != nil || r.Err() != nil {
			t.Errorf("plain reply %+v", r)
		}
		r = ask(bareReply, nil)
		if r.Token != nil || r.CloserNodes != nil || r.Value == nil || len(r.Value) != 0 {
			t.Errorf("bare reply %+v", r)
		}
		r = ask(refusal, nil)
		if r.Code != 77 || r.Token != nil || len(r.CloserNodes) != 2 || r.Err() == nil {
			t.Errorf("refusal %+v", r)
		}
		r = ask(refusalWithToken, nil)
		if r.Code != 78 || len(r.Token) != tokenSize || r.CloserNodes != nil {
			t.Errorf("refusal with token %+v", r)
		}
		r = ask(later, nil)
		if err := <-done; err != nil || !bytes.Equal(r.Value, []byte{'v', 1, 2}) {
			t.Errorf("late reply %+v, %v", r, err)
		}
		r = ask(tooLargeCode, nil)
		if r.Code != UnknownCommand {
			t.Errorf("a code that cannot be sent: %+v", r)
		}
		r = ask(999, nil)
		if r.Code != UnknownCommand || len(r.CloserNodes) != 2 || r.Token != nil {
			t.Errorf("unknown command %+v", r)
		}

		m := Message{Command: elsewhere, Target: &target}
		if _, err := client.Request(t.Context(), to, m, &RequestOptions{NoRetry: true}); !errors.Is(err, ErrTimeout) {
			t.Errorf("a request that is answered to somebody else: %v", err)
		}
		other.drain(t)
		var got replyPacket
		if len(other.seen) != 1 || got.decode(other.seen[0].Data) != nil || string(got.value) != "for you" || got.to != other.AddrPort() {
			t.Errorf("somebody else got %v", other.seen)
		}

		m.Command, m.Token = relayed, ask(plainReply, nil).Token
		if _, err := client.Request(t.Context(), to, m, &RequestOptions{NoRetry: true}); !errors.Is(err, ErrTimeout) {
			t.Errorf("a relayed request: %v", err)
		}
		relay := <-relays
		if relay.From != to || relay.FromID != IDOf(to) || relay.Token != nil || *relay.Target != target || string(relay.Value) != "relayed" {
			t.Errorf("the third node got %+v", relay)
		}
		// Its answer can be for the client, who has to expect it from there.
		type result struct {
			reply *Reply
			err   error
		}
		answered := make(chan result, 1)
		go func() {
			r, err := client.Request(t.Context(), to, m, &RequestOptions{AnySource: true})
			answered <- result{r, err}
		}()
		relay = <-relays
		if err := relay.Reply([]byte("third"), &ReplyOptions{To: client.Socket().AddrPort()}); err != nil {
			t.Error(err)
		}
		if a := <-answered; a.err != nil || string(a.reply.Value) != "third" || a.reply.From != third.ServerSocket().AddrPort() {
			t.Errorf("the client got %+v, %v", a.reply, a.err)
		}
	})
}

// TestPingNAT asks for pongs to another port, which must exist.
func TestPingNAT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(4, 0)
		boot := net.bootstrapper(t)
		to := boot.ServerSocket().AddrPort()
		h := net.hostile(t)
		second, err := net.Listen(netip.AddrPortFrom(h.AddrPort().Addr(), 6000))
		if err != nil {
			t.Fatal(err)
		}
		other := &hostile{Conn: second, net: net}
		for _, tt := range []struct {
			value []byte
			want  int
		}{{appendPort(nil, 6000), 1}, {appendPort(nil, 0), 0}, {nil, 0}, {[]byte{}, 0}, {[]byte{1}, 0}, {append(appendPort(nil, 6000), 9), 1}} {
			h.seen, other.seen = nil, nil
			p := requestPacket{tid: 5, to: to, internal: true, command: commandPingNAT, value: tt.value}
			net.forge(h.AddrPort(), to, p.append(nil))
			time.Sleep(time.Second)
			h.drain(t)
			other.drain(t)
			if len(h.seen) != 0 || len(other.seen) != tt.want {
				t.Errorf("value %x: %d pongs where it came from, %d at the other port", tt.value, len(h.seen), len(other.seen))
			}
			if tt.want == 1 {
				var r replyPacket
				if r.decode(other.seen[0].Data) != nil || r.tid != 5 || r.to != other.AddrPort() || r.token != nil || r.closer != nil {
					t.Errorf("pong %+v", r)
				}
			}
		}
	})
}

// TestTimeouts counts how often and when a silent node is asked.
func TestTimeouts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ask   func(ctx context.Context, n *Node, to netip.AddrPort) error
		opts  Options
		sends int
		took  time.Duration
	}{
		{"request", func(ctx context.Context, n *Node, to netip.AddrPort) error {
			_, err := n.Request(ctx, to, Message{}, nil)
			return err
		}, Options{}, 4, 4 * time.Second},
		{"no retry", func(ctx context.Context, n *Node, to netip.AddrPort) error {
			_, err := n.Ping(ctx, to, &RequestOptions{NoRetry: true})
			return err
		}, Options{}, 1, time.Second},
		{"delayed ping", func(ctx context.Context, n *Node, to netip.AddrPort) error {
			_, err := n.DelayedPing(ctx, to, 2*time.Second, nil)
			return err
		}, Options{}, 4, 12 * time.Second},
		{"query", func(ctx context.Context, n *Node, to netip.AddrPort) error {
			err := n.FindNode(ID{}, &QueryOptions{Nodes: []netip.AddrPort{to}}).Finish(ctx)
			return errors.Join(err, ErrTimeout)
		}, Options{}, 6, 6 * time.Second},
		{"query with retries", func(ctx context.Context, n *Node, to netip.AddrPort) error {
			err := n.FindNode(ID{}, &QueryOptions{Nodes: []netip.AddrPort{to}, Retries: 3}).Finish(ctx)
			return errors.Join(err, ErrTimeout)
		}, Options{}, 4, 4 * time.Second},
		{"forced query", func(ctx context.Context, n *Node, to netip.AddrPort) error {
			err := n.FindNode(ID{}, &QueryOptions{Nodes: []netip.AddrPort{to}, Force: true}).Finish(ctx)
			return errors.Join(err, ErrTimeout)
		}, Options{}, 1, time.Second},
		{"adaptive", func(ctx context.Context, n *Node, to netip.AddrPort) error {
			_, err := n.Ping(ctx, to, nil)
			return err
		}, Options{AdaptiveTimeout: &AdaptiveTimeout{Jitter: -1}}, 4, (250 + 500 + 1000 + 2000) * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := newInternet(5, 0)
				n := net.node(t, nil, boxNone, func(o *Options) { o.AdaptiveTimeout = tt.opts.AdaptiveTimeout })
				ready(t, n)
				silent := net.hostile(t)
				start := time.Now()
				if err := tt.ask(t.Context(), n, silent.AddrPort()); !errors.Is(err, ErrTimeout) {
					t.Errorf("failed with %v", err)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				silent.drain(t)
				for _, p := range silent.seen {
					if !bytes.Equal(p.Data, silent.seen[0].Data) {
						t.Errorf("repeated as %x, not %x", p.Data, silent.seen[0].Data)
					}
				}
				if len(silent.seen) != tt.sends {
					t.Errorf("sent %d times, want %d", len(silent.seen), tt.sends)
				}
				if s := n.Stats(); s.ActiveRequests != 0 || s.Retries != tt.sends-1 || s.Timeouts != 1 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestCancel gives up a request, a query and the wait for a node to be ready.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(6, 0)
		silent := net.hostile(t)
		n := net.node(t, nil, boxNone, func(o *Options) { o.Bootstrap = []string{silent.AddrPort().String()} })
		why := errors.New("had enough")
		for name, f := range map[string]func(context.Context) error{
			"request": func(ctx context.Context) error { _, err := n.Ping(ctx, silent.AddrPort(), nil); return err },
			"query":   func(ctx context.Context) error { return n.FindNode(ID{}, nil).Finish(ctx) },
			"ready":   n.Ready,
		} {
			for _, wait := range []time.Duration{0, 500 * time.Millisecond} {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(wait, func() { cancel(why) })
				if wait == 0 {
					cancel(why)
				}
				start := time.Now()
				if err := f(ctx); !errors.Is(err, why) {
					t.Errorf("%s: %v", name, err)
				}
				if took := time.Since(start); took != wait {
					t.Errorf("%s ended after %v, want %v", name, took, wait)
				}
			}
		}
		ready(t, n)
		if s := n.Stats(); s.ActiveRequests != 0 || s.ActiveQueries != 0 {
			t.Errorf("still active: %+v", s)
		}
	})
}

// TestCongestion asks a thousand things at once and looks at how they leave.
func TestCongestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(7, 0)
		n := net.node(t, nil, boxNone, nil)
		ready(t, n)
		silent := net.hostile(t)
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for range 1000 {
			wg.Go(func() { _, _ = n.Ping(ctx, silent.AddrPort(), &RequestOptions{NoRetry: true}) })
		}
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		silent.drain(t)
		most, last := 0, len(silent.seen)
		if last != 80 {
			t.Errorf("%d requests at once", last)
		}
		for range 20 {
			time.Sleep(congestionSlot - time.Millisecond)
			silent.drain(t)
			most = max(most, len(silent.seen)-last)
			last = len(silent.seen)
		}
		// A span of that length may touch two slots.
		if most > 2*80 || last != 1000 {
			t.Errorf("%d requests within 750 ms, %d in 15 seconds", most, last)
		}
		cancel()
		wg.Wait()

		// With a node that answers, a thousand take no more than a few round trips.
		answering := net.bootstrapper(t)
		start := time.Now()
		for range 1000 {
			wg.Go(func() {
				if _, err := n.Ping(t.Context(), answering.ServerSocket().AddrPort(), nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("a thousand answers took %v", took)
		}
		if _, err := n.Ping(t.Context(), silent.AddrPort(), &RequestOptions{NoRetry: true}); !errors.Is(err, ErrTimeout) {
			t.Error(err)
		}
	})
}

// TestHealthEvents cuts a node off and lets it back.
func TestHealthEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(8, 0)
		boot := net.bootstrapper(t)
		var events recorded
		n := net.node(t, boot, boxNone, func(o *Options) { o.OnEvent = events.on })
		ready(t, n)
		busy := func(ticks int) {
			for start := time.Now(); time.Since(start) < time.Duration(ticks)*tickInterval; {
				_, _ = n.Ping(t.Context(), boot.ServerSocket().AddrPort(), &RequestOptions{NoRetry: true})
				time.Sleep(200 * time.Millisecond)
			}
		}
		busy(8)
		if n.Health() != Online {
			t.Errorf("%v at first", n.Health())
		}
		net.SetLink(simnet.Link{Loss: 1})
		busy(8)
		if n.Health() != Offline || events.count(EventNetworkUpdate) != 1 {
			t.Errorf("%v after a while alone, %d events", n.Health(), events.count(EventNetworkUpdate))
		}
		net.SetLink(simnet.Link{})
		busy(8)
		if n.Health() != Online || events.count(EventNetworkUpdate) != 2 {
			t.Errorf("%v when all is well again, %d events", n.Health(), events.count(EventNetworkUpdate))
		}
	})
}

// TestInterfaces changes the addresses of the machine.
func TestInterfaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(9, 0)
		var current atomic.Pointer[[]Interface]
		set := func(ip string) { current.Store(&[]Interface{{Name: "eth0", Addr: netip.MustParseAddr(ip)}}) }
		set("192.168.0.7")
		var events recorded
		n := net.node(t, nil, boxNone, func(o *Options) {
			o.OnEvent = events.on
			o.Interfaces = func() ([]Interface, error) { return *current.Load(), nil }
		})
		ready(t, n)
		if got := n.LocalAddr(); got.Addr().String() != "192.168.0.7" || got.Port() != n.ServerSocket().AddrPort().Port() {
			t.Errorf("local address %v", got)
		}
		time.Sleep(time.Minute)
		if events.count(EventNetworkChange) != 0 {
			t.Error("a change was seen where there was none")
		}
		set("192.168.0.8")
		time.Sleep(2 * tickInterval)
		if events.count(EventNetworkChange) != 1 || events.count(EventNetworkUpdate) != 1 {
			t.Errorf("%d changes and %d updates were seen", events.count(EventNetworkChange), events.count(EventNetworkUpdate))
		}
	})
}

// TestFilter keeps a node out of the table and out of queries.
func TestFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(10, 0)
		boot := net.bootstrapper(t)
		unwanted := net.node(t, boot, boxNone, persistent)
		ready(t, unwanted)
		addr := unwanted.ServerSocket().AddrPort()
		n := net.node(t, boot, boxNone, func(o *Options) {
			persistent(o)
			o.FilterNode = func(a netip.AddrPort) bool { return a != addr }
		})
		ready(t, n)
		if err := n.FindNode(IDOf(addr), nil).Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := unwanted.FindNode(n.TableID(), nil).Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if slices.Contains(n.Nodes(-1), addr) || !slices.Contains(unwanted.Nodes(-1), n.ServerSocket().AddrPort()) {
			t.Errorf("one knows %v, the other %v", n.Nodes(-1), unwanted.Nodes(-1))
		}
	})
}

// TestSeededTable starts a node from the nodes of an earlier time, without bootstrap
// nodes.
func TestSeededTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newInternet(11, 0)
		boot := net.bootstrapper(t)
		for range 5 {
			ready(t, net.node(t, boot, boxNone, persistent))
		}
		seeds := boot.Nodes(-1)
		if len(seeds) != 5 || len(boot.Nodes(2)) != 2 || boot.Nodes(2)[0] != seeds[0] || len(boot.Nodes(0)) != 0 {
			t.Fatalf("the bootstrap node knows %v", seeds)
		}
		n := net.node(t, nil, boxNone, func(o *Options) { o.Nodes = seeds })
		if got := n.Nodes(-1); !slices.Equal(got, seeds) {
			t.Errorf("at first a node knows %v, want %v", got, seeds)
		}
		ready(t, n)
		if got := len(n.Nodes(-1)); got != 6 {
			t.Errorf("later it knows %d nodes, want all 6", got)
		}
	})
}
