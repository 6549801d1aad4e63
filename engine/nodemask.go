package engine

import (
	"errors"

	"github.com/cairn-feeds/cairn/tree"
)

// nodeMask says which nodes of a group are stored: bit i stands for index
// groupSpan*group+i. Downloads ask for many nodes that are not stored; a mask
// answers for a whole group after one look at its rows.
//
// Masks are read and written only by whoever leads the writes of the feed, so one
// that is cached is never older than the rows.
type nodeMask uint64

const fullMask nodeMask = 1<<groupNodes - 1

// known implements backend.
func (r *rows) known(i tree.Index) (bool, error) {
	group, slot, ok := groupOfNode(i)
	if !ok || r.s.caches.masks == nil {
		return r.Has(i)
	}
	m, err := r.mask(group)
	return m&(1<<slot) != 0, err
}

// mask returns the mask of a group.
func (r *rows) mask(group uint64) (nodeMask, error) {
	id := rowID{r.number, group}
	if m, ok := cached(r.s.caches.masks, id); ok {
		return m, nil
	}
	m := nodeMask(0)
	found, err := r.view(kindNodeGroup, group, func([]byte) error { return nil })
	if err != nil {
		return 0, err
	}
	if found {
		m = fullMask
	} else {
		it, err := r.rowRuns(kindNode, group*groupSpan, group*groupSpan+groupNodes)
		if err != nil {
			return 0, err
		}
		for at, ok := it.next(); ok; at, ok = it.next() {
			m |= 1 << (at % groupSpan)
		}
		if err := errors.Join(it.it.Error(), it.it.Close()); err != nil {
			return 0, rowError(nil, err)
		}
	}
	keep(r.s.caches.masks, id, m)
	return m, nil
}

// storeMasks adds the nodes of a change that was committed to the masks that are
// cached.
func (r *rows) storeMasks(nodes []tree.Node) {
	if r.s.caches.masks == nil {
		return
	}
	var at uint64
	var added nodeMask
	flush := func() {
		if m, ok := cached(r.s.caches.masks, rowID{r.number, at}); ok && added != 0 {
			keep(r.s.caches.masks, rowID{r.number, at}, m|added)
		}
		added = 0
	}
	for _, n := range nodes {
		group, slot, ok := groupOfNode(n.Index)
		if !ok {
			continue
		}
		if group != at {
			flush()
			at = group
		}
		added |= 1 << slot
	}
	flush()
}
