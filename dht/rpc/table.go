package rpc

import (
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// bucketSize is Kademlia's k: nodes per row of the routing table, nodes in a list of
// closer nodes, and nodes that a query ends with.
const bucketSize = 20

// tableNode is a node that we have heard from. Times are in ticks.
type tableNode struct {
	id   ID
	addr netip.AddrPort

	added     int
	pinged    int // last heard from, or asked
	sampled   int // when its view of our address was last counted; 0 is never
	downHints int // how often others said that it is down

	older, newer *tableNode // in the order in which they were heard from
}

// table is a routing table: one row for each length of the prefix that ids share
// with our own, each with up to bucketSize nodes in the order of their ids. All
// nodes are in one list besides, from the one heard from longest ago to the latest.
type table struct {
	id             ID
	rows           [8 * len(ID{})][]*tableNode
	size           int
	oldest, latest *tableNode
}

func newTable(id ID) *table { return &table{id: id} }

// find returns where in its row a node with this id is, or belongs.
func (t *table) find(id ID) (row *[]*tableNode, i int, found bool) {
	row = &t.rows[t.id.commonPrefix(id)]
	i, found = slices.BinarySearchFunc(*row, id, func(n *tableNode, id ID) int { return n.id.compare(id) })
	return row, i, found
}

// get returns the node with this id, or nil.
func (t *table) get(id ID) *tableNode {
	if row, i, found := t.find(id); found {
		return (*row)[i]
	}
	return nil
}

// row returns the nodes that share their prefix with us as far as id does, valid
// until the table changes.
func (t *table) row(id ID) []*tableNode { return t.rows[t.id.commonPrefix(id)] }

// add puts a node into its row and at the latest end of the list, unless the row is
// full or has it already. Our own id is never added.
func (t *table) add(n *tableNode) bool {
	row, i, found := t.find(n.id)
	if found || len(*row) >= bucketSize || n.id == t.id {
		return false
	}
	*row = slices.Insert(*row, i, n)
	t.size++
	t.append(n)
	return true
}

// remove takes n out, if it is there.
func (t *table) remove(n *tableNode) bool {
	row, i, found := t.find(n.id)
	if !found || (*row)[i] != n {
		return false
	}
	*row = slices.Delete(*row, i, i+1)
	t.size--
	t.unlink(n)
	return true
}

// touch moves n to the latest end of the list.
func (t *table) touch(n *tableNode) {
	t.unlink(n)
	t.append(n)
}

func (t *table) append(n *tableNode) {
	n.older, n.newer = t.latest, nil
	if t.latest != nil {
		t.latest.newer = n
	} else {
		t.oldest = n
	}
	t.latest = n
}

func (t *table) unlink(n *tableNode) {
	if n.older != nil {
		n.older.newer = n.newer
	} else {
		t.oldest = n.newer
	}
	if n.newer != nil {
		n.newer.older = n.older
	} else {
		t.latest = n.older
	}
	n.older, n.newer = nil, nil
}

// newest yields the nodes from the latest to the oldest.
func (t *table) newest() iter.Seq[*tableNode] {
	return func(yield func(*tableNode) bool) {
		for n := t.latest; n != nil && yield(n); n = n.older {
		}
	}
}

// random returns one of the nodes, or nil if there are none.
func (t *table) random() *tableNode {
	if t.size == 0 {
		return nil
	}
	i := rand.IntN(t.size)
	for _, row := range t.rows {
		if i < len(row) {
			return row[i]
		}
		i -= len(row)
	}
	return nil
}

// closest appends the k nodes closest to target, or all if there are fewer. Nodes
// that share more of their prefix with target come before those that share less.
//
// Of the rows, the one that target falls in is the closest, then all rows after it
// together, then the rows before it one by one. (dht-rpc takes those before it
// first, which gives nodes that are farther away.)
func (t *table) closest(nodes []*tableNode, target ID, k int) []*tableNode {
	nodes = nodes[:0]
	group := 0 // where the nodes begin that are not ordered among each other
	start := t.id.commonPrefix(target)
	nodes = append(nodes, t.rows[start]...)
	if len(nodes) < k {
		group = len(nodes)
		for _, row := range t.rows[start+1:] {
			nodes = append(nodes, row...)
		}
	}
	for i := start - 1; i >= 0 && len(nodes) < k; i-- {
		group = len(nodes)
		nodes = append(nodes, t.rows[i]...)
	}
	if len(nodes) > k {
		slices.SortFunc(nodes[group:], func(a, b *tableNode) int {
			return target.distance(a.id).compare(target.distance(b.id))
		})
		nodes = nodes[:k]
	}
	return nodes
}

// rebuild returns a table around another id with the same nodes, and those that
// found no place in it.
func (t *table) rebuild(id ID) (r *table, dropped []*tableNode) {
	r = newTable(id)
	for n := t.oldest; n != nil; {
		next := n.newer
		if !r.add(n) {
			dropped = append(dropped, n)
		}
		n = next
	}
	return r, dropped
}
