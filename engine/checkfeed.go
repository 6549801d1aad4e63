package engine

import (
	"errors"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// feedChecker checks one feed within a Check.
type feedChecker struct {
	*checker
	*checkedFeed
	present *bitmap.Set // the block map

	group   nodeGroup // the last node group that was read, and its number
	groupAt uint64
	groupOK bool
}

// rowsOf calls visit with the rows of one kind.
func (c *feedChecker) rowsOf(kind byte, visit func(index uint64, v []byte) error) error {
	lower, upper := dataKey(c.record.Number, kind, 0), dataKey(c.record.Number, kind+1, 0)
	return c.scan(lower[:], upper[:], func(key, v []byte) error {
		_, _, index, err := parseDataKey(key)
		if err != nil {
			c.problem(c.dk, DamageStray, 0, "row %x has no valid key", key)
			return nil
		}
		return visit(index, v)
	})
}

// Has and Node make the checker a tree.Reader on the snapshot.

// Has implements tree.Reader.
func (c *feedChecker) Has(i tree.Index) (bool, error) {
	_, err := c.Node(i)
	if errors.Is(err, tree.ErrUnknownNode) {
		return false, nil
	}
	return err == nil, err
}

// Node implements tree.Reader. A row that cannot be read counts as missing; the
// scan of the rows reports it.
func (c *feedChecker) Node(i tree.Index) (tree.Node, error) {
	if g, _, ok := groupOfNode(i); ok {
		if !c.groupOK || c.groupAt != g {
			c.groupAt, c.groupOK = g, true
			clear(c.group[:])
			key := dataKey(c.record.Number, kindNodeGroup, g)
			if v, closer, err := c.db.Get(key[:]); err == nil {
				if len(v) == len(c.group) {
					copy(c.group[:], v)
				}
				closer.Close()
			}
		}
		if n, err := c.group.node(i); err == nil {
			return n, nil
		}
	}
	key := dataKey(c.record.Number, kindNode, uint64(i))
	v, closer, err := c.db.Get(key[:])
	if err != nil {
		return tree.Node{}, tree.ErrUnknownNode
	}
	defer closer.Close()
	return getNode(v, i)
}

// loadMap reads the block map and compares it with the head.
func (c *feedChecker) loadMap() error {
	h := c.head
	c.present.Add(0, h.prefix)
	err := c.rowsOf(kindMap, func(number uint64, v []byte) error {
		p, err := bitmap.ParsePage(v)
		if err != nil {
			c.problem(c.dk, DamageMap, number, "%w", err)
			return nil
		}
		base := number * bitmap.PageSize
		for r := range p.Runs(0, bitmap.PageSize) {
			if base+r.End > h.length {
				c.problem(c.dk, DamageMap, number, "has block %d of a feed of %d", base+r.End-1, h.length)
			}
			c.present.Add(max(base+r.Start, h.prefix), max(min(base+r.End, h.length), h.prefix))
		}
		return nil
	})
	if n := c.present.Len(); err == nil && n != h.present {
		c.problem(c.dk, DamageMap, 0, "has %d blocks, the head says %d", n, h.present)
	}
	return err
}

// nodes compares each known node with its parent, and the head with its roots.
func (c *feedChecker) nodes() error {
	for _, root := range c.head.roots {
		n, err := c.Node(root.Index)
		if err != nil {
			c.problem(c.dk, DamageHead, uint64(root.Index), "root of length %d: %w", c.head.length, err)
		} else if n != root {
			c.problem(c.dk, DamageHead, uint64(root.Index), "root of length %d is not the node in the tree", c.head.length)
		}
	}
	end := tree.LeafIndex(c.head.length)
	check := func(n tree.Node) {
		c.report.Nodes++
		if n.Index >= end {
			c.problem(c.dk, DamageNode, uint64(n.Index), "stands behind the end of a feed of %d blocks", c.head.length)
			return
		}
		left, ok := n.Index.Left()
		if !ok {
			return
		}
		a, aerr := c.Node(left)
		b, berr := c.Node(left.Sibling())
		switch {
		case aerr != nil && berr != nil:
		case aerr != nil || berr != nil:
			c.problem(c.dk, DamageNode, uint64(n.Index), "only one of its children is known")
		case tree.ParentNode(a, b) != n:
			c.problem(c.dk, DamageNode, uint64(n.Index), "is not the parent of its children")
		}
	}
	err := c.rowsOf(kindNodeGroup, func(number uint64, v []byte) error {
		if len(v) != len(c.group) {
			c.problem(c.dk, DamageNode, number*groupSpan, "group of %d bytes", len(v))
			return nil
		}
		c.groupAt, c.groupOK = number, true
		copy(c.group[:], v)
		for i := range tree.Index(groupNodes) {
			at := tree.Index(number*groupSpan) + i
			if n, err := c.group.node(at); err != nil {
				c.problem(c.dk, DamageNode, uint64(at), "is missing in its group")
			} else {
				check(n)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.rowsOf(kindNode, func(index uint64, v []byte) error {
		n, err := getNode(v, tree.Index(index))
		if err != nil {
			c.problem(c.dk, DamageNode, index, "%w", err)
			return nil
		}
		check(n)
		return nil
	})
}

// signatures verifies each signature whose roots are known, and that the length is
// signed.
func (c *feedChecker) signatures() error {
	key := c.record.key()
	lastSigned := uint64(0)
	err := c.rowsOf(kindSignature, func(slot uint64, v []byte) error {
		c.report.Signatures++
		if len(v) != tree.SignatureSize {
			c.problem(c.dk, DamageSignature, slot, "has %d bytes", len(v))
			return nil
		}
		if slot >= c.head.length {
			c.problem(c.dk, DamageSignature, slot, "covers more than the feed's %d blocks", c.head.length)
			return nil
		}
		lastSigned = slot + 1
		roots, err := tree.Roots(c, slot+1)
		if errors.Is(err, tree.ErrMissingRoots) {
			c.report.Unverified++
			return nil
		}
		if err == nil {
			err = (*tree.Crypto)(nil).VerifyRoots(roots, slot+1, tree.Signature(v), key)
		}
		if err != nil {
			c.problem(c.dk, DamageSignature, slot, "%w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n := c.head.length; n > 0 && lastSigned != n && tree.TreeHash(c.head.roots) != tree.Hash(key) {
		c.problem(c.dk, DamageSignature, n-1, "the length is not signed")
	}
	return nil
}

// blocks compares the rows of blocks with the map and each block with its leaf.
func (c *feedChecker) blocks() error {
	missing := c.present.Clone()
	err := c.rowsOf(kindBlockGroup, func(number uint64, v []byte) error {
		var g blockGroup
		if err := g.parse(v); err != nil {
			c.problem(c.dk, DamageBlock, number*blockGroupSize, "%w", err)
			return nil
		}
		for i := range blockGroupSize {
			if b, ok := g.block(i); ok {
				index := number*blockGroupSize + uint64(i)
				c.block(index, b)
				missing.Remove(index, index+1)
			}
		}
		return c.step()
	})
	if err != nil {
		return err
	}
	err = c.rowsOf(kindBlock, func(index uint64, v []byte) error {
		c.block(index, v)
		missing.Remove(index, index+1)
		return c.step()
	})
	if err != nil {
		return err
	}
	for r := range missing.Runs(0, c.head.length) {
		c.problem(c.dk, DamageMap, r.Start, "says that the blocks up to %d are here, but they are not", r.End-1)
	}
	return nil
}

// block checks one block row.
func (c *feedChecker) block(index uint64, data []byte) {
	c.report.Blocks++
	c.report.Bytes += uint64(len(data))
	if !c.present.Has(index) {
		c.problem(c.dk, DamageMap, index, "lacks a block that is here")
	}
	leaf, err := c.Node(tree.LeafIndex(index))
	switch {
	case err != nil:
		c.problem(c.dk, DamageBlock, index, "its leaf is not known")
	case leaf != tree.Leaf(index, data):
		c.problem(c.dk, DamageBlock, index, "its %d bytes are not what its leaf says", len(data))
	}
}

// step reports progress and notices the end of the context.
func (c *feedChecker) step() error {
	if c.opts.Progress != nil && c.report.Blocks%auditStep < blockGroupSize {
		c.opts.Progress(c.report.Blocks, c.total)
	}
	return c.ctx.Err()
}

// strayRows looks for rows of kinds that do not exist.
func (c *feedChecker) strayRows() error {
	for _, kinds := range [][2]byte{{0, kindMap}, {kindEnd, 0xff}} {
		lower, upper := dataKey(c.record.Number, kinds[0], 0), dataKey(c.record.Number, kinds[1], 0)
		if err := c.scan(lower[:], upper[:], func(key, _ []byte) error {
			c.problem(c.dk, DamageStray, 0, "row %x is of no known kind", key)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
