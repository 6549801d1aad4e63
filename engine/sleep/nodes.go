package sleep

import (
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/cairn-feeds/cairn/tree"
)

// HasNode reports whether a node of the tree is known.
func (f *Files) HasNode(i tree.Index) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return uint64(i.RightSpan()) < 2*f.head.length && f.bits.HasNode(uint64(i))
}

// ReadNode returns a node. If it is not known the error matches
// tree.ErrUnknownNode.
func (f *Files) ReadNode(i tree.Index) (tree.Node, error) {
	if !f.HasNode(i) {
		return tree.Node{}, unknownNode(i)
	}
	b := nodeBuffers.Get().(*[NodeSize]byte)
	defer nodeBuffers.Put(b)
	if err := f.readNodes(b[:], i); err != nil {
		return tree.Node{}, err
	}
	return parseKnown(i, b)
}

// readNodes reads the entries of nodes from first on, as many as fit into b. Those
// that are past the end of the tree, or not complete, are blank.
func (f *Files) readNodes(b []byte, first tree.Index) error {
	n, err := readUpTo(f.tree, b, NodeOffset(first))
	clear(b[n-n%NodeSize:])
	return err
}

// parseKnown decodes a node that has to be there.
func parseKnown(i tree.Index, b *[NodeSize]byte) (tree.Node, error) {
	n, ok := ParseNode(i, b)
	switch {
	case !ok:
		return tree.Node{}, damaged(TreeFile, "node %d is known but blank", i)
	case n.Size > tree.MaxSize:
		return tree.Node{}, damaged(TreeFile, "node %d has a size of %d", i, n.Size)
	}
	return n, nil
}

// nodeBuffers are for reads of single nodes, which would allocate otherwise.
var nodeBuffers = sync.Pool{New: func() any { return new([NodeSize]byte) }}

// Tree returns the nodes that are known of the present length as a [tree.Reader].
// If the feed grows it stays at that length, so that a proof of a writer's feed
// can be made meanwhile. A replica may come to know more nodes of it.
func (f *Files) Tree() tree.Reader { return &treeOfLength{f, f.Length()} }

type treeOfLength struct {
	*Files
	length uint64
}

func (t *treeOfLength) Has(i tree.Index) (bool, error) {
	return uint64(i.RightSpan()) < 2*t.length && t.HasNode(i), nil
}

func (t *treeOfLength) Node(i tree.Index) (tree.Node, error) {
	if uint64(i.RightSpan()) >= 2*t.length {
		return tree.Node{}, unknownNode(i)
	}
	return t.ReadNode(i)
}

// knownTree is the tree.Reader of the nodes that are known now.
type knownTree Files

func (t *knownTree) Has(i tree.Index) (bool, error)       { return (*Files)(t).HasNode(i), nil }
func (t *knownTree) Node(i tree.Index) (tree.Node, error) { return (*Files)(t).ReadNode(i) }

func unknownNode(i tree.Index) error { return fmt.Errorf("sleep: node %d: %w", i, tree.ErrUnknownNode) }

// nodesRead is the largest span of nodes that is read at once: 160 KiB.
const nodesRead = 4096

// Nodes yields the nodes of [start, end) that are known, in order. A non-nil error
// is the last pair. It holds no lock while it yields: what is changed meanwhile may
// be in it or not.
func (f *Files) Nodes(start, end tree.Index) iter.Seq2[tree.Node, error] {
	return func(yield func(tree.Node, error) bool) {
		var known []tree.Index
		var buf []byte
		for {
			known = f.appendKnown(known[:0], start, end)
			if len(known) == 0 {
				return
			}
			first, last := known[0], known[len(known)-1]
			size := int(last-first+1) * NodeSize
			buf = slices.Grow(buf[:0], size)[:size]
			if err := f.readNodes(buf, first); err != nil {
				yield(tree.Node{}, err)
				return
			}
			for _, i := range known {
				n, err := parseKnown(i, (*[NodeSize]byte)(buf[(i-first)*NodeSize:]))
				if !yield(n, err) || err != nil {
					return
				}
			}
			start = last + 1
		}
	}
}

// appendKnown appends to dst the nodes of [start, end) that are known, up to
// nodesRead from the first one on.
func (f *Files) appendKnown(dst []tree.Index, start, end tree.Index) []tree.Index {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for run := range f.bits.Nodes().Runs(uint64(start), min(uint64(end), 2*f.head.length)) {
		for i := tree.Index(run.Start); i < tree.Index(run.End); i++ {
			if len(dst) > 0 && i-dst[0] >= nodesRead {
				return dst
			}
			if uint64(i.RightSpan()) < 2*f.head.length {
				dst = append(dst, i)
			}
		}
	}
	return dst
}

// storedNode reads a node, known or not; ok is false if it is absent or cannot be
// right.
func (f *Files) storedNode(i tree.Index) (n tree.Node, ok bool, err error) {
	if i >= 2*tree.MaxLength {
		return tree.Node{}, false, nil
	}
	b := nodeBuffers.Get().(*[NodeSize]byte)
	defer nodeBuffers.Put(b)
	if err := f.readNodes(b[:], i); err != nil {
		return tree.Node{}, false, err
	}
	n, ok = ParseNode(i, b)
	return n, ok && n.Size <= tree.MaxSize, nil
}

// storedTree is the tree.Reader of all nodes that are stored, known or not.
type storedTree struct{ *Files }

func (t storedTree) Has(i tree.Index) (bool, error) {
	_, ok, err := t.storedNode(i)
	return ok, err
}

func (t storedTree) Node(i tree.Index) (tree.Node, error) {
	n, ok, err := t.storedNode(i)
	if err == nil && !ok {
		err = unknownNode(i)
	}
	return n, err
}

// storedChildren returns the children of n if they are stored and hash to it.
func (f *Files) storedChildren(n tree.Node) (left, right tree.Node, ok bool, err error) {
	i, _ := n.Index.Left()
	j, _ := n.Index.Right()
	for _, child := range []struct {
		index tree.Index
		to    *tree.Node
	}{{i, &left}, {j, &right}} {
		if *child.to, ok, err = f.storedNode(child.index); err != nil || !ok {
			return left, right, false, err
		}
	}
	return left, right, left.Size+right.Size == n.Size && tree.ParentHash(left, right) == n.Hash, nil
}
