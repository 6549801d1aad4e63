package engine

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// commit implements backend: the change becomes one batch.
func (r *rows) commit(old *head, c *change) error {
	if r.s.opts.ReadOnly {
		return ErrReadOnly
	}
	b := r.s.db.NewBatchWithSize(c.estimate())
	w := rowWriter{rows: r, b: b, groups: make(map[uint64][]byte)}
	err := w.write(old, c)
	if err != nil {
		b.Close()
		return err
	}
	if err := r.s.commit.commit(b, r.s.opts.Sync == SyncAlways); err != nil {
		return err
	}
	r.storeMasks(c.nodes)
	for _, n := range c.corrected {
		forget(r.s.caches.nodes, rowID{r.number, uint64(n.Index)})
		if g, _, ok := groupOfNode(n.Index); ok {
			forget(r.s.caches.group, rowID{r.number, g})
		}
	}
	for number, p := range c.pages {
		if p == nil {
			forget(r.s.caches.pages, rowID{r.number, number})
		} else {
			keep(r.s.caches.pages, rowID{r.number, number}, p)
		}
	}
	return nil
}

// estimate returns about how many bytes the rows of the change take.
func (c *change) estimate() int {
	n := 1024 + len(c.nodes)*(nodeSize+dataKeySize+4)
	for _, b := range c.blocks {
		n += len(b.data) + dataKeySize + 8
	}
	return n
}

// rowWriter turns a change into rows of a batch.
type rowWriter struct {
	*rows
	b      *pebble.Batch
	groups map[uint64][]byte // block groups as the batch leaves them; nil: deleted

	nodeGroups map[uint64][]byte // those that were corrected
}

func (w *rowWriter) write(old *head, c *change) error {
	grouped, err := w.putBlocks(c.blocks)
	if err != nil {
		return err
	}
	if ok, err := w.putNodes(c.nodes); err != nil {
		return err
	} else if ok || grouped {
		c.head.flags |= flagGrouped
	}
	for _, n := range c.corrected {
		if err := w.correctNode(n); err != nil {
			return err
		}
	}
	for _, sig := range c.signatures {
		if err := w.set(kindSignature, sig.length-1, sig.signature[:]); err != nil {
			return err
		}
	}
	for _, run := range c.cleared {
		if err := w.clear(old, run); err != nil {
			return err
		}
	}
	for number, p := range c.pages {
		if err := w.putPage(number, p); err != nil {
			return err
		}
	}
	return w.b.Set(numberKey(tableHeads, w.number), appendHead(nil, c.head), nil)
}

// set writes one row.
func (w *rowWriter) set(kind byte, index uint64, value []byte) error {
	key := dataKey(w.number, kind, index)
	return w.b.Set(key[:], value, nil)
}

// deferred reserves a row of n bytes and lets fill write its value in place.
func (w *rowWriter) deferred(kind byte, index uint64, n int, fill func(v []byte)) error {
	op := w.b.SetDeferred(dataKeySize, n)
	key := dataKey(w.number, kind, index)
	copy(op.Key, key[:])
	fill(op.Value)
	return op.Finish()
}

func (w *rowWriter) putPage(number uint64, p *bitmap.Page) error {
	if p == nil {
		key := dataKey(w.number, kindMap, number)
		return w.b.Delete(key[:], nil)
	}
	v, err := p.AppendBinary(nil)
	if err != nil {
		return err
	}
	return w.set(kindMap, number, v)
}

// putBlocks writes complete groups of consecutive blocks as one row each, the
// others singly.
func (w *rowWriter) putBlocks(blocks []placedBlock) (grouped bool, err error) {
	for len(blocks) > 0 {
		n := groupable(blocks)
		if n == 0 {
			if err := w.set(kindBlock, blocks[0].index, blocks[0].data); err != nil {
				return grouped, err
			}
			blocks = blocks[1:]
			continue
		}
		if err := w.putBlockGroup(blocks[:n]); err != nil {
			return grouped, err
		}
		grouped = true
		blocks = blocks[n:]
	}
	return grouped, nil
}

// groupable returns blockGroupSize when the blocks begin with a complete group that is
// small enough, else 0.
func groupable(blocks []placedBlock) int {
	if len(blocks) < blockGroupSize || blocks[0].index%blockGroupSize != 0 {
		return 0
	}
	size := 0
	for i, b := range blocks[:blockGroupSize] {
		size += len(b.data)
		if b.index != blocks[0].index+uint64(i) || size > maxGroupData {
			return 0
		}
	}
	return blockGroupSize
}

// putBlockGroup writes one complete group.
func (w *rowWriter) putBlockGroup(blocks []placedBlock) error {
	var sizes [blockGroupSize * 3]byte // maxGroupData+1 takes three bytes as a varint
	head := sizes[:0]
	n := 0
	for _, b := range blocks {
		head = appendGroupSize(head, len(b.data))
		n += len(b.data)
	}
	return w.deferred(kindBlockGroup, blocks[0].index/blockGroupSize, len(head)+n, func(v []byte) {
		v = v[copy(v, head):]
		for _, b := range blocks {
			v = v[copy(v, b.data):]
		}
	})
}

// putNodes writes the nodes of complete subtrees as one row each, the others
// singly.
func (w *rowWriter) putNodes(nodes []tree.Node) (grouped bool, err error) {
	type open struct {
		buf   nodeGroup
		known [groupNodes]bool
		n     int
	}
	var groups map[uint64]*open
	var last uint64
	var cur *open
	for _, node := range nodes {
		g, slot, ok := groupOfNode(node.Index)
		if !ok || len(nodes) < groupNodes {
			if err := w.putNode(node); err != nil {
				return grouped, err
			}
			continue
		}
		if cur == nil || g != last {
			if groups == nil {
				groups = make(map[uint64]*open, len(nodes)/groupNodes+2)
			}
			if cur = groups[g]; cur == nil {
				cur = new(open)
				groups[g] = cur
			}
			last = g
		}
		if !cur.known[slot] {
			cur.known[slot] = true
			cur.n++
		}
		putNode(cur.buf[slot*nodeSize:], node)
	}
	for g, o := range groups {
		if o.n == groupNodes {
			grouped = true
			if err := w.set(kindNodeGroup, g, o.buf[:]); err != nil {
				return grouped, err
			}
			continue
		}
		for slot, known := range o.known {
			if !known {
				continue
			}
			key := g*groupSpan + uint64(slot)
			if err := w.set(kindNode, key, o.buf[slot*nodeSize:(slot+1)*nodeSize]); err != nil {
				return grouped, err
			}
		}
	}
	return grouped, nil
}

func (w *rowWriter) putNode(n tree.Node) error {
	return w.deferred(kindNode, uint64(n.Index), nodeSize, func(v []byte) { putNode(v, n) })
}

// correctNode replaces a node where it is stored. It follows the nodes of the same
// change, so that it wins over them.
func (w *rowWriter) correctNode(n tree.Node) error {
	group, slot, ok := groupOfNode(n.Index)
	if !ok {
		return w.putNode(n)
	}
	v := w.nodeGroups[group]
	if v == nil {
		found, err := w.view(kindNodeGroup, group, func(stored []byte) error {
			v = append([]byte(nil), stored...)
			return nil
		})
		if err != nil {
			return err
		}
		if !found {
			return w.putNode(n)
		}
		if len(v) != groupNodes*nodeSize {
			return fmt.Errorf("node group %d has %d bytes: %w", group, len(v), ErrCorrupt)
		}
		if w.nodeGroups == nil {
			w.nodeGroups = make(map[uint64][]byte)
		}
		w.nodeGroups[group] = v
	}
	putNode(v[slot*nodeSize:], n)
	return w.set(kindNodeGroup, group, v)
}

// clear removes the rows of a run of blocks that are present. What remains of a
// group at an end of the run stays a group.
func (w *rowWriter) clear(old *head, run bitmap.Run) error {
	if err := w.deleteRange(kindBlock, run.Start, run.End); err != nil {
		return err
	}
	if old.flags&flagGrouped == 0 {
		return nil
	}
	first, last := run.Start/blockGroupSize, (run.End-1)/blockGroupSize
	inner := bitmap.Run{Start: (run.Start + blockGroupSize - 1) / blockGroupSize, End: run.End / blockGroupSize}
	if inner.Start < inner.End {
		if err := w.deleteRange(kindBlockGroup, inner.Start, inner.End); err != nil {
			return err
		}
	}
	for _, g := range []uint64{first, last} {
		if g >= inner.Start && g < inner.End {
			continue
		}
		if err := w.clearInGroup(g, run); err != nil {
			return err
		}
		if first == last {
			break
		}
	}
	return nil
}

// clearInGroup rewrites a group without the blocks of the run. A batch may hold
// several runs of one group, so it looks at the batch first.
func (w *rowWriter) clearInGroup(group uint64, run bitmap.Run) error {
	rewrite := func(v []byte) error {
		var g blockGroup
		if err := g.parse(v); err != nil {
			return err
		}
		var blocks [blockGroupSize][]byte
		left := false
		for i := range blocks {
			index := group*blockGroupSize + uint64(i)
			if b, ok := g.block(i); ok && (index < run.Start || index >= run.End) {
				blocks[i] = b // not nil, even when empty: it aliases v
				left = true
			}
		}
		key := dataKey(w.number, kindBlockGroup, group)
		if !left {
			w.groups[group] = nil
			return w.b.Delete(key[:], nil)
		}
		nv := appendBlockGroup(nil, &blocks)
		w.groups[group] = nv
		return w.b.Set(key[:], nv, nil)
	}
	if v, ok := w.groups[group]; ok {
		if v == nil {
			return nil
		}
		return rewrite(v)
	}
	_, err := w.view(kindBlockGroup, group, rewrite)
	return err
}

// deleteRange removes the rows [start, end) of one kind.
func (w *rowWriter) deleteRange(kind byte, start, end uint64) error {
	lower, upper := dataKey(w.number, kind, start), dataKey(w.number, kind, end)
	if end-start == 1 {
		return w.b.Delete(lower[:], nil)
	}
	return w.b.DeleteRange(lower[:], upper[:], nil)
}
