package rpc

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func TestNATSampler(t *testing.T) {
	b, err := os.ReadFile("testdata/nat-sampler.json")
	if err != nil {
		t.Fatal(err)
	}
	var sequences [][][2]string
	if err := json.Unmarshal(b, &sequences); err != nil || len(sequences) == 0 {
		t.Fatalf("%d sequences, %v", len(sequences), err)
	}
	for i, seq := range sequences {
		var s natSampler
		for j, step := range seq {
			s.add(netip.MustParseAddrPort(step[0]))
			want := netip.AddrPortFrom(netip.Addr{}, 0)
			if !strings.HasPrefix(step[1], ":") {
				want = netip.MustParseAddrPort(step[1])
			}
			if got := netip.AddrPortFrom(s.host, s.port); got != want {
				t.Fatalf("sequence %d, sample %d: %v, want %v", i, j, got, want)
			}
		}
	}
}

func TestTokens(t *testing.T) {
	var tk tokens
	host, other := netip.MustParseAddr("1.2.3.4"), netip.MustParseAddr("1.2.3.5")
	now := epoch
	token := tk.append(nil, now, host)
	if len(token) != tokenSize {
		t.Fatalf("a token has %d bytes", len(token))
	}
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{
		{0, true}, {tokenRotation - 1, true}, {tokenRotation, true}, {2*tokenRotation - 1, true}, {2 * tokenRotation, false}, {3 * tokenRotation, false},
	} {
		if got := tk.valid(now.Add(tt.after), host, token); got != tt.want {
			t.Errorf("after %v a token is valid: %v", tt.after, got)
		}
		if tk.valid(now.Add(tt.after), other, token) {
			t.Errorf("after %v a token is valid for another host", tt.after)
		}
	}

	// In use all the time, secrets change one at a time.
	now = epoch.Add(time.Hour)
	for range 100 {
		token, later := tk.append(nil, now, host), now.Add(tokenRotation)
		if !tk.valid(later, host, token) {
			t.Fatal("a token did not survive one rotation")
		}
		if bytes.Equal(tk.append(nil, later, host), token) {
			t.Fatal("the token is the same after a rotation")
		}
		now = later
		if tk.valid(now.Add(tokenRotation), host, token) {
			t.Fatal("a token survived two rotations")
		}
		now = now.Add(tokenRotation)
	}
	for _, bad := range [][]byte{nil, {1}, make([]byte, tokenSize), make([]byte, tokenSize+1)} {
		if tk.valid(now, host, bad) {
			t.Errorf("%x is a valid token", bad)
		}
	}
}

// TestCongestionModel compares a window with one that moves a slot at every 750 ms,
// as with a timer.
func TestCongestionModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		w := congestion{limit: limit}
		now := epoch
		w.full(now) // the first slot begins
		var slots [4]int
		i, total, ticks := 0, 0, time.Duration(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
				for ; ticks < now.Sub(epoch)/congestionSlot; ticks++ {
					i = (i + 1) % 4
					total -= slots[i]
					slots[i] = 0
				}
			case 1, 2:
				w.sent(now)
				slots[i]++
				total++
			case 3:
				w.settled(now)
				if slots[i] > 0 {
					slots[i]--
					total--
				}
			}
			if got, want := w.full(now), slots[i] >= limit || total >= 2*limit; got != want || w.total != total {
				t.Fatalf("after %v: full %v and %d in all, want %v and %d", now.Sub(epoch), got, w.total, want, total)
			}
			if next := epoch.Add((ticks + 1) * congestionSlot); !w.next().Equal(next) {
				t.Fatalf("the slot ends at %v, want %v", w.next().Sub(epoch), next.Sub(epoch))
			}
		}
	})
}

func TestAdaptiveTimeout(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	e := newEstimator(AdaptiveTimeout{Jitter: -1})
	a := addrOf(1)
	for i, want := range []int{250, 500, 1000, 2000, 4000, 4000} {
		if got := e.timeout(epoch, a, i+1); got != ms(want) {
			t.Errorf("send %d to an unknown node: %v, want %v", i+1, got, ms(want))
		}
	}
	e.observe(epoch, a, ms(400)) // average 400, deviation 200
	for i, want := range []int{800, 1600, 2400, 3200, 4000, 4000} {
		if got := e.timeout(epoch, a, i+1); got != ms(want) {
			t.Errorf("send %d: %v, want %v", i+1, got, ms(want))
		}
	}
	e.observe(epoch, a, ms(1200)) // deviation 200+(800-200)/4 = 350, average 400+800/8 = 500
	if got := e.timeout(epoch, a, 1); got != ms(1200) {
		t.Errorf("after a slow answer: %v, want 1.2s", got)
	}
	e.observe(epoch, addrOf(2), ms(2))
	if got := e.timeout(epoch, addrOf(2), 1); got != ms(300) {
		t.Errorf("a fast node: %v, want the minimum", got)
	}
	jittery := newEstimator(AdaptiveTimeout{})
	for range 1000 {
		if got := jittery.timeout(epoch, a, 1); got < ms(250) || got >= ms(250+256) {
			t.Fatalf("with jitter: %v", got)
		}
	}
}

func TestAdaptiveTimeoutForgets(t *testing.T) {
	e := newEstimator(AdaptiveTimeout{MaxNodes: 100, MaxAge: time.Minute})
	for i := range 10_000 {
		e.observe(epoch, addrOf(i), time.Second)
	}
	if n := len(e.young) + len(e.older); n > 100 {
		t.Errorf("%d nodes are remembered of at most 100", n)
	}
	if _, ok := e.get(epoch, addrOf(9_999)); !ok {
		t.Error("the last node is forgotten")
	}
	e.observe(epoch.Add(time.Minute), addrOf(1), time.Second)
	e.observe(epoch.Add(2*time.Minute), addrOf(2), time.Second)
	if _, ok := e.get(epoch.Add(2*time.Minute), addrOf(9_999)); ok {
		t.Error("a node is remembered for twice the age")
	}
}

// TestTableModel compares a table with a list of nodes, the oldest first.
func TestTableModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		rnd := rand.New(rand.NewPCG(seed, seed))
		randomID := func() (id ID) {
			for i := range id {
				id[i] = byte(rnd.Uint32())
			}
			// Ids that share a lot make rows that are full.
			for i := range rnd.IntN(3) {
				id[i] = 0
			}
			return id
		}
		tab := newTable(randomID())
		var model []*tableNode // oldest first
		inRow := func(id ID) (n int) {
			for _, m := range model {
				if m.id.commonPrefix(tab.id) == id.commonPrefix(tab.id) {
					n++
				}
			}
			return n
		}
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch op := rnd.IntN(10); {
			case op < 7:
				n := &tableNode{id: randomID()}
				want := inRow(n.id) < bucketSize
				if got := tab.add(n); got != want {
					t.Fatalf("add is %v, want %v", got, want)
				}
				if want {
					model = append(model, n)
					if tab.add(&tableNode{id: n.id}) {
						t.Fatal("a node was added twice")
					}
				}
			case op < 8 && len(model) > 0:
				i := rnd.IntN(len(model))
				tab.touch(model[i])
				model = append(slices.Delete(slices.Clone(model), i, i+1), model[i])
			case op < 9 && len(model) > 0:
				i := rnd.IntN(len(model))
				if tab.remove(&tableNode{id: model[i].id}) {
					t.Fatal("removed a node that is not in the table but has the id of one")
				}
				if !tab.remove(model[i]) || tab.remove(model[i]) || tab.get(model[i].id) != nil {
					t.Fatal("remove")
				}
				model = slices.Delete(model, i, i+1)
			}

			newest := slices.Collect(tab.newest())
			slices.Reverse(newest)
			if !slices.Equal(newest, model) || tab.size != len(model) {
				t.Fatalf("the list has %d nodes and the table says %d, want %d", len(newest), tab.size, len(model))
			}
		}
		for _, n := range model {
			if tab.get(n.id) != n {
				t.Fatal("a node is lost")
			}
		}
		if tab.add(&tableNode{id: tab.id}) {
			t.Fatal("the own id was added")
		}

		target, k := randomID(), rapid.IntRange(1, 30).Draw(t, "k")
		byDistance := func(a, b *tableNode) int { return target.distance(a.id).compare(target.distance(b.id)) }
		got := tab.closest(nil, target, k)
		slices.SortFunc(got, byDistance)
		want := slices.SortedFunc(slices.Values(model), byDistance)
		if !slices.Equal(got, want[:min(k, len(want))]) {
			t.Fatalf("closest returned other nodes than the %d closest of %d", k, len(want))
		}

		// Around another id, rows hold as much again.
		moved, dropped := tab.rebuild(randomID())
		if moved.size+len(dropped) != len(model) {
			t.Fatalf("%d nodes moved and %d dropped of %d", moved.size, len(dropped), len(model))
		}
		for _, n := range dropped {
			if n.id != moved.id && len(moved.row(n.id)) < bucketSize {
				t.Fatal("dropped a node that had room")
			}
		}
	})
}

func TestHealth(t *testing.T) {
	type tick struct{ answers, timeouts int }
	good, bad, silent, idle := tick{10, 1}, tick{4, 6}, tick{0, 5}, tick{2, 1}
	for _, tt := range []struct {
		name  string
		ticks []tick
		want  Health
	}{
		{"new", nil, Online},
		{"too early to tell", []tick{silent, silent, silent}, Online},
		{"one silent tick", []tick{good, good, good, good, silent}, Online},
		{"two silent ticks", []tick{good, good, good, good, silent, silent}, Offline},
		{"few requests say nothing", []tick{good, good, good, good, idle, idle, idle}, Online},
		{"silence is not broken by rest", []tick{good, good, good, good, silent, {0, 1}, silent}, Offline},
		{"answers after silence", []tick{good, good, good, good, silent, silent, good}, Online},
		{"three bad ticks", []tick{good, good, good, bad, bad, bad}, Online},
		{"four bad ticks", []tick{good, good, good, bad, bad, bad, bad}, Degraded},
		{"three good ticks after bad ones", []tick{good, good, good, bad, bad, bad, bad, good, good, good}, Degraded},
		{"four good ticks after bad ones", []tick{good, good, good, bad, bad, bad, bad, good, good, good, good}, Online},
		{"silent after bad", []tick{good, good, good, bad, bad, bad, bad, silent, silent}, Offline},
		{"half of them", []tick{good, good, good, {5, 5}, {5, 5}, {5, 5}, {5, 5}}, Online},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h healthMonitor
			answers, timeouts := 100, 50
			h.update(answers, timeouts)
			for _, tk := range tt.ticks {
				answers, timeouts = answers+tk.answers, timeouts+tk.timeouts
				h.update(answers, timeouts)
			}
			if h.state != tt.want {
				t.Errorf("%v, want %v", h.state, tt.want)
			}
			h.reset()
			h.update(answers, timeouts)
			if h.state != Online {
				t.Errorf("%v after a reset", h.state)
			}
		})
	}
}

func TestBootstrapEntries(t *testing.T) {
	for in, want := range map[string]bootstrapNode{
		"example.org:49737":                   {host: "example.org", port: 49737},
		"127.0.0.1:1":                         {host: "127.0.0.1", port: 1},
		"88.99.3.86@node1.hyperdht.org:49737": {suggested: netip.MustParseAddr("88.99.3.86"), host: "node1.hyperdht.org", port: 49737},
	} {
		if got, err := parseBootstrap(in); err != nil || got != want {
			t.Errorf("%q is %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "example.org", "example.org:", "example.org:0", "example.org:65536", ":1", "x@example.org:1", "@example.org:", "::1@host:1"} {
		if got, err := parseBootstrap(in); err == nil {
			t.Errorf("%q is %+v", in, got)
		}
		if _, err := New(&Options{Bootstrap: []string{in}}); err == nil {
			t.Errorf("a node was made with bootstrap node %q", in)
		}
	}
}

func TestLocalIP(t *testing.T) {
	ip := netip.MustParseAddr
	lo := Interface{Name: "lo", Addr: ip("127.0.0.1"), Internal: true}
	eth, wifi := Interface{Name: "eth0", Addr: ip("192.168.1.2")}, Interface{Name: "en0", Addr: ip("10.0.0.9")}
	six := Interface{Name: "eth0", Addr: ip("fe80::1")}
	for _, tt := range []struct {
		all  []Interface
		want netip.Addr
	}{
		{nil, lo.Addr}, {[]Interface{lo}, lo.Addr}, {[]Interface{lo, six}, lo.Addr}, {[]Interface{lo, six, eth}, eth.Addr}, {[]Interface{eth, wifi}, wifi.Addr},
	} {
		if got := localIP(tt.all); got != tt.want {
			t.Errorf("of %v, %v was chosen, want %v", tt.all, got, tt.want)
		}
	}
}
