package engine

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// rows is the backend of a feed that lives in a store.
type rows struct {
	s      *Store
	number feedNumber
	key    tree.PublicKey
}

// view calls read with the value of a row, which is valid only during the call.
// found is false when there is no such row.
func (r *rows) view(kind byte, index uint64, read func(v []byte) error) (found bool, err error) {
	key := dataKey(r.number, kind, index)
	v, closer, err := r.s.db.Get(key[:])
	if err != nil {
		if errors.Is(err, pebble.ErrNotFound) {
			return false, nil
		}
		return false, rowError(key[:], err)
	}
	err = read(v)
	return true, errors.Join(err, closer.Close())
}

func (r *rows) readHead() (*head, error) {
	key := numberKey(tableHeads, r.number)
	v, closer, err := r.s.db.Get(key)
	if err != nil {
		return nil, rowError(key, err)
	}
	defer closer.Close()
	return parseHead(v)
}

// Node implements tree.Reader.
func (r *rows) Node(i tree.Index) (tree.Node, error) {
	if n, ok := cached(r.s.caches.nodes, rowID{r.number, uint64(i)}); ok {
		return n, nil
	}
	if group, _, ok := groupOfNode(i); ok {
		n, err := r.groupedNode(group, i)
		if !errors.Is(err, tree.ErrUnknownNode) {
			return n, err
		}
	}
	var n tree.Node
	found, err := r.view(kindNode, uint64(i), func(v []byte) (err error) {
		n, err = getNode(v, i)
		return err
	})
	if err != nil {
		return tree.Node{}, err
	}
	if !found {
		return tree.Node{}, fmt.Errorf("node %d: %w", i, tree.ErrUnknownNode)
	}
	keep(r.s.caches.nodes, rowID{r.number, uint64(i)}, n)
	return n, nil
}

// groupedNode looks for a node in the row of its group.
func (r *rows) groupedNode(group uint64, i tree.Index) (tree.Node, error) {
	id := rowID{r.number, group}
	g, ok := cached(r.s.caches.group, id)
	if !ok {
		g = new(nodeGroup)
		found, err := r.view(kindNodeGroup, group, func(v []byte) error {
			if copy(g[:], v) != len(g) || len(v) != len(g) {
				return fmt.Errorf("node group %d has %d bytes: %w", group, len(v), ErrCorrupt)
			}
			return nil
		})
		if err != nil {
			return tree.Node{}, err
		}
		if !found {
			return tree.Node{}, tree.ErrUnknownNode
		}
		keep(r.s.caches.group, id, g)
	}
	return g.node(i)
}

// Has implements tree.Reader.
func (r *rows) Has(i tree.Index) (bool, error) {
	_, err := r.Node(i)
	if errors.Is(err, tree.ErrUnknownNode) {
		return false, nil
	}
	return err == nil, err
}

func (r *rows) appendBlock(dst []byte, h *head, index uint64) ([]byte, error) {
	add := func(v []byte) error {
		dst = append(dst, v...)
		return nil
	}
	if h.flags&flagGrouped != 0 {
		absent := false
		found, err := r.view(kindBlockGroup, index/blockGroupSize, func(v []byte) error {
			var g blockGroup
			if err := g.parse(v); err != nil {
				return err
			}
			b, ok := g.block(int(index % blockGroupSize))
			if absent = !ok; absent {
				return nil
			}
			return add(b)
		})
		if err != nil || found && !absent {
			return dst, err
		}
	}
	found, err := r.view(kindBlock, index, add)
	if err == nil && !found {
		err = fmt.Errorf("row is missing: %w", ErrCorrupt)
	}
	return dst, err
}

func (r *rows) signature(slot uint64) (uint64, tree.Signature, error) {
	var sig tree.Signature
	lower, upper := dataKey(r.number, kindSignature, slot), dataKey(r.number, kindSignature+1, 0)
	it, err := r.s.db.NewIter(&pebble.IterOptions{LowerBound: lower[:], UpperBound: upper[:]})
	if err != nil {
		return 0, sig, err
	}
	defer it.Close()
	if !it.First() {
		if err := it.Error(); err != nil {
			return 0, sig, rowError(lower[:], err)
		}
		return 0, sig, fmt.Errorf("slot %d: %w", slot, tree.ErrNoSignature)
	}
	_, _, at, err := parseDataKey(it.Key())
	if err != nil {
		return 0, sig, err
	}
	v, err := it.ValueAndErr()
	if err != nil {
		return 0, sig, rowError(it.Key(), err)
	}
	if copy(sig[:], v) != len(sig) || len(v) != len(sig) {
		return 0, sig, fmt.Errorf("signature %d has %d bytes: %w", at, len(v), ErrCorrupt)
	}
	return at, sig, nil
}

func (r *rows) page(number uint64) (*bitmap.Page, error) {
	id := rowID{r.number, number}
	if p, ok := cached(r.s.caches.pages, id); ok {
		return p, nil
	}
	var p *bitmap.Page
	_, err := r.view(kindMap, number, func(v []byte) (err error) {
		if p, err = bitmap.ParsePage(v); err != nil {
			return fmt.Errorf("map page %d: %w: %w", number, ErrCorrupt, err)
		}
		return nil
	})
	if err != nil || p == nil {
		return nil, err
	}
	keep(r.s.caches.pages, id, p)
	return p, nil
}

func (r *rows) nextPage(number uint64) (uint64, bool, error) {
	lower, upper := dataKey(r.number, kindMap, number), dataKey(r.number, kindMap+1, 0)
	it, err := r.s.db.NewIter(&pebble.IterOptions{LowerBound: lower[:], UpperBound: upper[:]})
	if err != nil {
		return 0, false, err
	}
	defer it.Close()
	if !it.First() {
		return 0, false, rowError(lower[:], it.Error())
	}
	_, _, at, err := parseDataKey(it.Key())
	return at, err == nil, err
}

func (r *rows) secret() (tree.SecretKey, bool, error) { return r.s.secret(r.number, r.key) }

func (r *rows) synced() bool { return r.s.opts.Sync == SyncAlways }

func (r *rows) close() error { return nil }

// nodes merges the node rows with the groups.
func (r *rows) nodes(start, end tree.Index, yield func(bitmap.Run) bool) error {
	m := runMerger{yield: yield}
	groups, err := r.rowRuns(kindNodeGroup, uint64(start)/groupSpan, (uint64(end)+groupSpan-1)/groupSpan)
	if err != nil {
		return err
	}
	defer groups.close()
	singles, err := r.rowRuns(kindNode, uint64(start), uint64(end))
	if err != nil {
		return err
	}
	defer singles.close()
	g, gok := groups.next()
	n, nok := singles.next()
	for gok || nok {
		if gok && (!nok || g*groupSpan <= n) {
			lo, hi := max(g*groupSpan, uint64(start)), min(g*groupSpan+groupNodes, uint64(end))
			if lo < hi && !m.add(lo, hi) {
				return nil
			}
			g, gok = groups.next()
			continue
		}
		if !m.add(n, n+1) {
			return nil
		}
		n, nok = singles.next()
	}
	if err := errors.Join(groups.it.Error(), singles.it.Error()); err != nil {
		return err
	}
	m.flush()
	return nil
}

// indexEnd returns the index behind the last row of a kind whose index is below
// limit, 0 when there is none.
func (r *rows) indexEnd(kind byte, limit uint64) (uint64, error) {
	lower, upper := dataKey(r.number, kind, 0), dataKey(r.number, kind, limit)
	it, err := r.s.db.NewIter(&pebble.IterOptions{LowerBound: lower[:], UpperBound: upper[:]})
	if err != nil {
		return 0, err
	}
	defer it.Close()
	if !it.Last() {
		return 0, rowError(lower[:], it.Error())
	}
	_, _, at, err := parseDataKey(it.Key())
	return at + 1, err
}

// nodeEnd returns the index behind the last known node below limit.
func (r *rows) nodeEnd(limit tree.Index) (uint64, error) {
	single, err := r.indexEnd(kindNode, uint64(limit))
	if err != nil {
		return 0, err
	}
	groups, err := r.indexEnd(kindNodeGroup, uint64(limit)/groupSpan)
	if err != nil || groups == 0 {
		return single, err
	}
	return max(single, (groups-1)*groupSpan+groupNodes), nil
}

// presentEnd returns the number behind the last block below limit that is present,
// 0 when there is none.
func (r *rows) presentEnd(h *head, limit uint64) (uint64, error) {
	if limit <= h.prefix {
		return limit, nil
	}
	for limit > h.prefix {
		number, offset := pageOf(limit - 1)
		pages, err := r.indexEnd(kindMap, number+1)
		if err != nil {
			return 0, err
		}
		if pages == 0 {
			break
		}
		if pages-1 < number {
			number, offset = pages-1, bitmap.PageSize-1
		}
		p, err := r.page(number)
		if err != nil {
			return 0, err
		}
		if p != nil {
			if last, ok := p.PrevPresent(offset); ok {
				return max(h.prefix, number*bitmap.PageSize+uint64(last)+1), nil
			}
		}
		limit = number * bitmap.PageSize
	}
	return h.prefix, nil
}

// rowRuns iterates over the indexes of the rows of one kind.
func (r *rows) rowRuns(kind byte, start, end uint64) (*indexIter, error) {
	lower, upper := dataKey(r.number, kind, start), dataKey(r.number, kind, end)
	it, err := r.s.db.NewIter(&pebble.IterOptions{LowerBound: lower[:], UpperBound: upper[:]})
	if err != nil {
		return nil, err
	}
	return &indexIter{it: it}, nil
}

// indexIter yields the indexes of rows, in ascending order.
type indexIter struct {
	it      *pebble.Iterator
	started bool
}

func (x *indexIter) next() (uint64, bool) {
	if !x.started {
		x.started = true
		x.it.First()
	} else {
		x.it.Next()
	}
	if !x.it.Valid() {
		return 0, false
	}
	_, _, at, err := parseDataKey(x.it.Key())
	return at, err == nil
}

func (x *indexIter) close() { x.it.Close() }

// runMerger joins runs that touch before it yields them.
type runMerger struct {
	yield func(bitmap.Run) bool
	run   bitmap.Run
	open  bool
}

func (m *runMerger) add(start, end uint64) bool {
	if m.open && start <= m.run.End {
		m.run.End = max(m.run.End, end)
		return true
	}
	ok := m.flush()
	m.run, m.open = bitmap.Run{Start: start, End: end}, true
	return ok
}

func (m *runMerger) flush() bool {
	if !m.open {
		return true
	}
	m.open = false
	return m.yield(m.run)
}
