package static

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// checkRows is how many rows Check reads at a time.
const checkRows = 4096

// A Report counts what Check looked at.
type Report struct {
	Blocks, Bytes, Nodes uint64
	// Problems is how many problems were found.
	Problems uint64
}

// Check verifies what is stored of a feed: the roots against the id, each node against its
// parent, each present block against its leaf. onProblem, when not nil, is called with each
// problem as it is found; all match engine.ErrCorrupt. An error means that the check could not
// be finished. A download that goes on meanwhile does no harm.
func (c *Core) Check(ctx context.Context, id ID, onProblem func(error)) (r Report, err error) {
	f, ok, err := c.Lookup(id)
	if err != nil {
		return r, err
	}
	if !ok || f.Blocks() == 0 {
		if ok {
			_ = f.Close() // nothing of it is stored
		}
		return r, &FeedError{ID: id, Err: engine.ErrNoFeed}
	}
	defer f.Close()
	k := checker{ctx: ctx, feed: f, nodes: nodeReader{c.table, f.live.Load().head().number}, report: func(err error) {
		r.Problems++
		if onProblem != nil {
			onProblem(&FeedError{ID: id, Err: err})
		}
	}}
	if err := k.roots(id); err != nil {
		return r, err
	}
	if r.Nodes, err = k.tree(); err != nil {
		return r, err
	}
	r.Blocks, r.Bytes, err = k.blocks()
	return r, err
}

// checker is one check of one feed.
type checker struct {
	ctx    context.Context
	feed   *Feed
	nodes  nodeReader
	report func(error)
}

// node reads a node, and reports that it cannot be.
func (k *checker) node(i tree.Index) (tree.Node, bool, error) {
	h, ok, err := k.nodes.node(i)
	if errors.Is(err, engine.ErrCorrupt) {
		k.report(err)
		return tree.Node{}, false, nil
	}
	return tree.Node{Index: i, Hash: h}, ok, err
}

func (k *checker) roots(id ID) error {
	var roots []tree.Node
	for _, i := range tree.AppendFullRoots(nil, k.feed.Blocks()) {
		n, ok, err := k.node(i)
		if err != nil {
			return err
		}
		if !ok {
			k.report(fmt.Errorf("root %d is missing: %w", i, engine.ErrCorrupt))
			return nil
		}
		roots = append(roots, n)
	}
	if idOf(roots) != id {
		k.report(fmt.Errorf("the roots do not hash to the id: %w", engine.ErrCorrupt))
	}
	return nil
}

// tree compares every parent with its children, as far as they are known.
func (k *checker) tree() (count uint64, err error) {
	next, end := rowKey(k.nodes.number, dataNode, 0), rowKey(k.nodes.number, dataNode+1, 0)
	for {
		var indexes []tree.Index
		err := k.nodes.table.Scan(next[:], end[:], func(key, _ []byte) bool {
			if len(key) == len(next) {
				indexes = append(indexes, tree.Index(binary.BigEndian.Uint64(key[10:])))
			}
			return len(indexes) < checkRows
		})
		if err != nil {
			return count, err
		}
		for _, i := range indexes {
			if err := k.parent(i); err != nil {
				return count, err
			}
		}
		count += uint64(len(indexes))
		if len(indexes) < checkRows {
			return count, nil
		}
		next = rowKey(k.nodes.number, dataNode, uint64(indexes[len(indexes)-1])+1)
	}
}

// parent compares a node with its children.
func (k *checker) parent(i tree.Index) error {
	if k.ctx.Err() != nil {
		return context.Cause(k.ctx)
	}
	l, ok := i.Left()
	if !ok {
		return nil
	}
	r, _ := i.Right()
	parent, okParent, err := k.node(i)
	if err != nil {
		return err
	}
	left, okLeft, err := k.node(l)
	if err != nil {
		return err
	}
	right, okRight, err := k.node(r)
	if err != nil {
		return err
	}
	if okParent && okLeft && okRight && parentOf(left, right) != parent {
		k.report(fmt.Errorf("node %d is not the hash of its children: %w", i, engine.ErrCorrupt))
	}
	return nil
}

// blocks compares every present block with its leaf.
func (k *checker) blocks() (count, bytes uint64, err error) {
	var block []byte
	for run := range k.feed.Present().Runs(0, MaxBlocks) {
		for n := run.Start; n < run.End; n++ {
			if k.ctx.Err() != nil {
				return count, bytes, context.Cause(k.ctx)
			}
			leaf, ok, err := k.node(tree.LeafIndex(n))
			if err != nil {
				return count, bytes, err
			}
			block, err = k.feed.AppendBlock(block[:0], n)
			switch {
			case errors.Is(err, engine.ErrCorrupt):
				k.report(err)
				continue
			case err != nil:
				return count, bytes, err
			case !ok || leafHash(block) != leaf.Hash:
				k.report(blockError(n, fmt.Errorf("it is not what its leaf is the hash of: %w", engine.ErrCorrupt)))
			}
			count++
			bytes += uint64(len(block))
		}
	}
	return count, bytes, nil
}
