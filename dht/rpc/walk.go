package rpc

import (
	"net/netip"
	"slices"
)

// Limits of a walk.
const (
	// maxVisits bounds the nodes that one walk asks. An honest walk needs a few
	// times bucketSize; nodes that make up ever closer ones end here.
	maxVisits = 512

	// slowdownConcurrency is the concurrency while a walk waits for the nodes that
	// it was given to prove useful.
	slowdownConcurrency = 3

	// discreditedAfter is how many nodes that one node named may miss their first
	// timeout before the others that it named are asked last.
	discreditedAfter = 4
)

// visitState is how far a walk has come with a node.
//
//	pending -> asked -> done
//	              |-> slow -> done
//	              |     `---> down
//	              `-> failed
//
// A request is slow from its first timeout. It ends in down when all of them
// passed, in failed when something else ended it.
type visitState uint8

const (
	visitPending visitState = iota
	visitAsked
	visitSlow
	visitDone
	visitDown
	visitFailed
)

// visit is a node that a walk knows of.
type visit struct {
	addr     netip.AddrPort
	id       ID
	distance ID // of id from the target
	state    visitState
	refs     []netip.AddrPort // nodes that suggested it; none if the walk began with it
}

// credit is what came of the nodes that one node suggested.
type credit struct{ answered, late int }

// walk is the way of one query towards a target: which nodes to ask next, and
// which of those that answered are the closest. It is plain code: something else
// asks the nodes and says what came of it.
//
// The closest known node is asked first. (dht-rpc asks the one it heard of last, which
// needs more requests for the same result.) But a node that lies may name any number
// of others that are close to the target and do not exist. Once more of those that it
// named are late than have answered, the rest are passed over, and asked only if
// fewer than 20 nodes answer without them.
type walk struct {
	target      ID
	concurrency int
	onlyGiven   bool // do not go beyond the nodes that the walk began with
	self        ID   // who walks, and need not be asked

	seen    map[netip.AddrPort]*visit
	credits map[netip.AddrPort]*credit
	pending []*visit // farthest first
	closest []*Reply // closest first; successful, with proven ids

	visits, inflight, slow int
	successes, errors      int
	fromTable              bool // nodes of the routing table were added
	slowdown               bool
}

func newWalk(target ID, concurrency int) *walk {
	return &walk{
		target: target, concurrency: concurrency,
		seen: make(map[netip.AddrPort]*visit), credits: make(map[netip.AddrPort]*credit),
	}
}

// isCloser reports whether a node at this distance would be among the closest.
func (w *walk) isCloser(distance ID) bool {
	return len(w.closest) < bucketSize ||
		distance.compare(w.target.distance(w.closest[len(w.closest)-1].FromID)) < 0
}

// begin adds a node to start from.
func (w *walk) begin(addr netip.AddrPort) {
	w.add(addr)
}

// add returns what is known of a node, or nil if it is not worth asking.
func (w *walk) add(addr netip.AddrPort) *visit {
	if v, known := w.seen[addr]; known {
		return v
	}
	id := IDOf(addr)
	v := &visit{addr: addr, id: id, distance: w.target.distance(id)}
	if id == w.self || !w.isCloser(v.distance) {
		return nil
	}
	w.seen[addr] = v
	i, _ := slices.BinarySearchFunc(w.pending, v, func(a, b *visit) int { return b.distance.compare(a.distance) })
	w.pending = slices.Insert(w.pending, i, v)
	return v
}

// suggest adds a node that another one says is close to the target. It reports
// whether the node is known to be down, which the other should be told.
func (w *walk) suggest(addr, by netip.AddrPort) (down bool) {
	if w.onlyGiven {
		return false
	}
	v := w.add(addr)
	if v == nil {
		return false
	}
	if v.state < visitDone && len(v.refs) < bucketSize {
		v.refs = append(v.refs, by)
	}
	return v.state == visitDown
}

// next returns a node to ask now, or nil.
func (w *walk) next() *visit {
	concurrency := w.concurrency
	if w.slowdown {
		concurrency = slowdownConcurrency
	}
	if w.inflight < concurrency+w.slow && w.visits < maxVisits {
		if i := w.candidate(); i >= 0 {
			v := w.pending[i]
			w.pending = slices.Delete(w.pending, i, i+1)
			v.state = visitAsked
			w.visits++
			w.inflight++
			return v
		}
	}
	// Nodes that were given, rather than found in the table, get a chance to answer
	// before many others are asked.
	if !w.fromTable && w.successes+w.errors == 0 {
		w.slowdown = true
	}
	return nil
}

// candidate returns which of the pending nodes is to be asked next, or -1.
func (w *walk) candidate() int {
	for len(w.pending) > 0 && !w.isCloser(w.pending[0].distance) {
		w.pending = w.pending[1:]
	}
	for i, v := range slices.Backward(w.pending) {
		if w.trusted(v) {
			return i
		}
	}
	if len(w.closest) < bucketSize {
		return len(w.pending) - 1
	}
	return -1
}

// trusted reports whether somebody suggested v whose word is still good.
func (w *walk) trusted(v *visit) bool {
	for _, ref := range v.refs {
		if c := w.credits[ref]; c == nil || c.late < discreditedAfter || c.late <= c.answered {
			return true
		}
	}
	return len(v.refs) == 0
}

// finished reports that there is nothing left to ask or to wait for.
func (w *walk) finished() bool {
	if w.visits < maxVisits && w.candidate() >= 0 {
		return false
	}
	return w.inflight == 0 || w.slow == w.inflight && len(w.closest) >= bucketSize
}

// needsTable reports whether a finished walk should go on with nodes from the
// routing table, because hardly any of those that it was given answered.
func (w *walk) needsTable() bool {
	return !w.fromTable && !w.onlyGiven && w.successes < bucketSize/4
}

// late records that a node has missed the first timeout. It no longer counts as
// one of those that are asked at the same time.
func (w *walk) late(v *visit) {
	if v.state == visitAsked {
		v.state = visitSlow
		w.slow++
		for _, ref := range v.refs {
			w.creditOf(ref).late++
		}
	}
}

func (w *walk) creditOf(addr netip.AddrPort) *credit {
	c := w.credits[addr]
	if c == nil {
		c = new(credit)
		w.credits[addr] = c
	}
	return c
}

// settle ends the visit of a node.
func (w *walk) settle(v *visit, s visitState) {
	if v.state == visitSlow {
		w.slow--
	}
	v.state = s
	w.inflight--
	if w.successes+w.errors >= w.concurrency {
		w.slowdown = false
	}
}

// failed records that no answer will come. It returns those who suggested the node
// if it seems to be down.
func (w *walk) failed(v *visit, down bool) (refs []netip.AddrPort) {
	w.errors++
	if !down {
		w.settle(v, visitFailed)
		return nil
	}
	w.settle(v, visitDown)
	return v.refs
}

// answered records a reply. The closer nodes in it are the caller's to suggest.
func (w *walk) answered(v *visit, r *Reply) {
	if r.Code == OK {
		w.successes++
	} else {
		w.errors++
	}
	for _, ref := range v.refs {
		w.creditOf(ref).answered++
	}
	w.settle(v, visitDone)
	if r.Code == OK && !r.FromID.IsZero() && w.isCloser(w.target.distance(r.FromID)) {
		w.keep(r)
	}
}

// keep puts r among the closest replies, one per node.
func (w *walk) keep(r *Reply) {
	distance := w.target.distance(r.FromID)
	i, dup := slices.BinarySearchFunc(w.closest, distance, func(r *Reply, d ID) int {
		return w.target.distance(r.FromID).compare(d)
	})
	if dup {
		return
	}
	w.closest = slices.Insert(w.closest, i, r)
	if len(w.closest) > bucketSize {
		w.closest = w.closest[:bucketSize]
	}
}
