package rpc

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// answerOf is what the node at an address replies to a walk.
func answerOf(addr netip.AddrPort, closer ...netip.AddrPort) *Reply {
	return &Reply{From: addr, FromID: IDOf(addr), CloserNodes: closer}
}

// addrs returns count addresses, the closest to target first.
func addrs(target ID, count int) []netip.AddrPort {
	all := make([]netip.AddrPort, count)
	for i := range all {
		all[i] = addrOf(i + 1)
	}
	slices.SortFunc(all, func(a, b netip.AddrPort) int {
		return target.distance(IDOf(a)).compare(target.distance(IDOf(b)))
	})
	return all
}

func TestWalkAsksClosestFirst(t *testing.T) {
	target := ID{1}
	all := addrs(target, 100)
	w := newWalk(target, 3)
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(100) {
		w.begin(all[i])
	}
	var asked []netip.AddrPort
	for v := w.next(); v != nil; v = w.next() {
		asked = append(asked, v.addr)
	}
	if !slices.Equal(asked, all[:3]) {
		t.Errorf("asks %v first, want %v", asked, all[:3])
	}

	// Once the 20 closest have answered, the others are of no interest.
	for len(asked) > 0 {
		v := w.seen[asked[0]]
		asked = asked[1:]
		w.answered(v, answerOf(v.addr))
		for v := w.next(); v != nil; v = w.next() {
			asked = append(asked, v.addr)
		}
	}
	if w.visits > bucketSize+2 || !w.finished() {
		t.Errorf("asked %d nodes, finished: %v", w.visits, w.finished())
	}
	for i, r := range w.closest {
		if r.From != all[i] {
			t.Errorf("closest reply %d is from %v, want %v", i, r.From, all[i])
		}
	}
}

// TestWalkFinds walks through networks in which every node knows some others, and
// the ones around it best.
func TestWalkFinds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 3))
	const size = 500
	nodes := make([]netip.AddrPort, size)
	tables := make(map[netip.AddrPort]*table)
	for i := range nodes {
		nodes[i] = addrOf(i + 1)
		tables[nodes[i]] = newTable(IDOf(nodes[i]))
	}
	for _, tab := range tables {
		for _, i := range rnd.Perm(size) {
			tab.add(&tableNode{id: IDOf(nodes[i]), addr: nodes[i]})
		}
	}
	for range 100 {
		target := randomID(rnd)
		w := newWalk(target, 10)
		w.begin(nodes[rnd.IntN(size)])
		var asked []*visit
		for !w.finished() || w.next() != nil {
			for v := w.next(); v != nil; v = w.next() {
				asked = append(asked, v)
			}
			i := rnd.IntN(len(asked)) // in any order
			v := asked[i]
			asked = slices.Delete(asked, i, i+1)
			r := answerOf(v.addr)
			for _, n := range tables[v.addr].closest(nil, target, bucketSize) {
				r.CloserNodes = append(r.CloserNodes, n.addr)
			}
			w.answered(v, r)
			for _, addr := range r.CloserNodes {
				w.suggest(addr, v.addr)
			}
		}
		for i, want := range addrs(target, size)[:bucketSize] {
			if w.closest[i].From != want {
				t.Fatalf("closest %d of %v is %v, want %v", i, target, w.closest[i].From, want)
			}
		}
		if w.visits > 100 {
			t.Errorf("%d of %d nodes were asked", w.visits, size)
		}
	}
}

func TestWalkSlowNodes(t *testing.T) {
	target := ID{2}
	all := addrs(target, 60)
	w := newWalk(target, 2)
	for _, a := range all {
		w.begin(a)
	}
	w.fromTable = true
	first, second := w.next(), w.next()
	if w.next() != nil {
		t.Fatal("three at a time")
	}
	w.late(first)
	w.late(first) // no more than once
	third := w.next()
	if third == nil || w.next() != nil {
		t.Fatal("a slow node should make room for one other")
	}
	w.answered(second, answerOf(second.addr))
	w.answered(third, answerOf(third.addr))
	for v := w.next(); v != nil; v = w.next() {
		w.answered(v, answerOf(v.addr))
	}
	if !w.finished() || w.inflight != 1 || w.slow != 1 || len(w.closest) != bucketSize {
		t.Errorf("with a full result and one slow node: finished %v, %d in flight, %d slow", w.finished(), w.inflight, w.slow)
	}
	// Its answer still counts.
	w.answered(first, answerOf(first.addr))
	if w.closest[0].From != first.addr || w.inflight != 0 || w.slow != 0 {
		t.Errorf("the slow node is lost")
	}
}

func TestWalkGivenNodes(t *testing.T) {
	target := ID{3}
	all := addrs(target, 40)
	w := newWalk(target, 10)
	for _, a := range all[20:] {
		w.begin(a)
	}
	var asked []*visit
	for v := w.next(); v != nil; v = w.next() {
		asked = append(asked, v)
	}
	if len(asked) != 10 || !w.slowdown {
		t.Fatalf("asks %d nodes at first, slowdown: %v", len(asked), w.slowdown)
	}
	for _, v := range asked[:8] {
		w.failed(v, true)
	}
	if v := w.next(); v == nil || w.next() != nil {
		t.Error("not three at a time while the given nodes are to prove useful")
	}
	for w.inflight > 0 {
		for _, v := range w.seen {
			if v.state == visitAsked {
				w.failed(v, true)
			}
		}
		for w.next() != nil {
		}
	}
	if w.slowdown || !w.finished() || !w.needsTable() {
		t.Errorf("when all given nodes are down, slowdown: %v, finished: %v, needs the table: %v", w.slowdown, w.finished(), w.needsTable())
	}

	only := newWalk(target, 10)
	only.onlyGiven = true
	only.begin(all[0])
	v := only.next()
	only.answered(v, answerOf(v.addr, all[1]))
	if only.suggest(all[1], v.addr); only.next() != nil || !only.finished() || only.needsTable() {
		t.Error("went beyond the given nodes")
	}
}

func TestWalkReportsDownNodes(t *testing.T) {
	target := ID{4}
	all := addrs(target, 4)
	w := newWalk(target, 10)
	w.self = IDOf(addrOf(50))
	w.begin(all[3])
	v := w.next()
	w.suggest(all[0], all[1])
	w.suggest(all[0], all[2])
	w.suggest(addrOf(50), all[2])
	dead := w.next()
	if dead.addr != all[0] || w.next() != nil {
		t.Fatal("asked the wrong nodes")
	}
	if refs := w.failed(dead, true); !slices.Equal(refs, []netip.AddrPort{all[1], all[2]}) {
		t.Errorf("%v are to be told", refs)
	}
	if !w.suggest(all[0], all[3]) {
		t.Error("who suggests a dead node later is not to be told")
	}
	if refs := w.failed(v, false); refs != nil || w.suggest(v.addr, all[0]) {
		t.Error("a request that was cut off says nothing about the node")
	}
}

// TestWalkKeeps keeps only replies that have proved who they are and refuse nothing.
func TestWalkKeeps(t *testing.T) {
	target := ID{5}
	all := addrs(target, 3)
	w := newWalk(target, 10)
	for _, a := range all {
		w.begin(a)
	}
	for i, r := range []*Reply{{From: all[0], Code: UnknownCommand, FromID: IDOf(all[0])}, {From: all[1]}, answerOf(all[2])} {
		v := w.next()
		if v.addr != all[i] {
			t.Fatal("asked out of order")
		}
		w.answered(v, r)
	}
	w.keep(answerOf(all[2]))
	if len(w.closest) != 1 || w.closest[0].From != all[2] || w.successes != 2 || w.errors != 1 {
		t.Errorf("%d kept, %d successes, %d errors", len(w.closest), w.successes, w.errors)
	}
}

// TestWalkEnds makes a walk that always hears of closer nodes.
func TestWalkEnds(t *testing.T) {
	target := ID{6}
	w := newWalk(target, 10)
	w.begin(addrOf(1))
	next := 2
	for !w.finished() || w.next() != nil {
		for v := w.next(); v != nil; v = w.next() {
			w.failed(v, true)
			for range bucketSize {
				w.suggest(addrOf(next), v.addr)
				next++
			}
		}
		for _, v := range w.seen {
			if v.state == visitAsked {
				w.failed(v, true)
			}
		}
	}
	if w.visits != maxVisits {
		t.Errorf("%d nodes were asked", w.visits)
	}
}
