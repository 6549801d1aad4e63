package sleep

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/tree"
)

// Change is what Commit writes. Its slices stay the caller's.
type Change struct {
	// Blocks are stored and marked as present. Their leaves must be known or
	// among Nodes.
	Blocks []Block

	// Nodes are stored and marked as known. They must have been verified, and
	// among them must be the parents that they complete: a node counts as known
	// when both its children are. Their order does not matter.
	Nodes []tree.Node

	// Signatures are stored in their slots.
	Signatures []SlotSignature

	// Length is the length of the feed after the change, if it grows. Its full
	// roots must be known or among Nodes.
	Length uint64

	// Present and Missing are blocks to be marked as such, beside those of
	// Blocks. The data stays as it is. The leaves of Present must be known or
	// among Nodes. What is in both is missing.
	Present, Missing []bitmap.Run
}

// Block is a block with the place of its first byte in the data.
type Block struct {
	Index  uint64
	Offset uint64
	Data   []byte
}

// SlotSignature is a signature and the slot that it belongs in: its length - 1.
type SlotSignature struct {
	Slot      uint64
	Signature tree.Signature
}

// Commit stores a change: data, nodes and signatures first and then, as commit
// record, the pages of the bitfield. With Options.Sync the former are durable
// before the latter is written, which is durable when Commit returns.
//
// A crash on the way leaves the feed as it was, or with the whole change, or, if
// the feed is a replica, with some of its blocks, nodes and length.
//
// An error matching ErrInvalidChange means that nothing was written. After an
// error of the first step the feed is as before. If a sync or the commit record
// fails it cannot be said what the files hold: the length is as before, blocks
// below it may be present, and all further changes fail with ErrFailed.
func (f *Files) Commit(c Change) error {
	f.change.Lock()
	defer f.change.Unlock()
	defer f.dropScratch()
	if err := f.checkWritable(); err != nil {
		return err
	}
	next, err := f.plan(&c)
	if err != nil {
		return err
	}
	grows := next.length > f.head.length
	if grows {
		if err := f.cutTails(); err != nil {
			return err
		}
	}
	if err := f.store(&c); err != nil {
		if grows {
			// Best effort: without it the next Open would complete the change, if
			// it is complete but for the commit record.
			f.tailsCut = false
			_ = f.signatures.Delete(SignatureOffset(f.head.length), math.MaxInt64)
		}
		return err
	}
	if f.opts.Sync {
		if err := f.syncChange(&c); err != nil {
			return f.fail(err)
		}
	}
	f.mu.Lock()
	f.mark(&c)
	f.mu.Unlock()
	if err := f.writePages(nil); err != nil {
		return f.fail(err)
	}
	f.mu.Lock()
	f.head = next
	f.mu.Unlock()
	return nil
}

// checkWritable returns why no change is possible. f.change must be held.
func (f *Files) checkWritable() error {
	if f.opts.ReadOnly {
		return ErrReadOnly
	}
	return f.failed
}

// fail makes all further changes fail and returns err.
func (f *Files) fail(err error) error {
	f.failed = fmt.Errorf("%w: %w", ErrFailed, err)
	return err
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalidChange, fmt.Errorf(format, args...))
}

// plan checks a change and returns the head after it. It leaves the nodes in
// order in f.nodes.
func (f *Files) plan(c *Change) (head, error) {
	h := f.head
	length := max(h.length, c.Length)
	if length > tree.MaxLength {
		return h, invalid("length %d", length)
	}
	f.nodes = append(f.nodes[:0], c.Nodes...)
	byIndex := func(a, b tree.Node) int { return cmp.Compare(a.Index, b.Index) }
	if !slices.IsSortedFunc(f.nodes, byIndex) {
		slices.SortFunc(f.nodes, byIndex)
	}
	for i, n := range f.nodes {
		switch {
		case n.Index >= 2*tree.MaxLength || uint64(n.Index.RightSpan()) >= 2*length:
			return h, invalid("node %d of a feed of %d blocks", n.Index, length)
		case n.Size > tree.MaxSize || n.Hash == (tree.Hash{}):
			return h, invalid("node %d has hash %v and size %d", n.Index, n.Hash, n.Size)
		case i > 0 && n.Index == f.nodes[i-1].Index && n != f.nodes[i-1]:
			return h, invalid("node %d is there twice", n.Index)
		}
	}
	for _, s := range c.Signatures {
		if s.Slot >= length || s.Signature == (tree.Signature{}) {
			return h, invalid("signature %v in slot %d of a feed of %d blocks", s.Signature, s.Slot, length)
		}
	}
	if length > h.length {
		var err error
		if h, err = f.grownHead(length, c.Signatures); err != nil {
			return h, err
		}
	} else if !h.live && slices.ContainsFunc(c.Signatures, func(s SlotSignature) bool { return s.Slot == length-1 }) {
		h.live = true
	}
	for _, b := range c.Blocks {
		if b.Index >= length || b.Offset > h.byteLength || uint64(len(b.Data)) > h.byteLength-b.Offset {
			return h, invalid("block %d of %d bytes at %d in a feed of %d blocks and %d bytes", b.Index, len(b.Data), b.Offset, length, h.byteLength)
		}
		if n, ok := f.changedNode(tree.LeafIndex(b.Index)); ok && n.Size != uint64(len(b.Data)) {
			return h, invalid("block %d has %d bytes and a leaf of %d", b.Index, len(b.Data), n.Size)
		} else if !ok && !f.bits.HasNode(2*b.Index) {
			return h, invalid("block %d has no leaf", b.Index)
		}
	}
	for _, runs := range [...][]bitmap.Run{c.Present, c.Missing} {
		for _, r := range runs {
			if r.End > length {
				return h, invalid("blocks %v of a feed of %d", r, length)
			}
		}
	}
	return h, nil
}

// changedNode returns a node of the change.
func (f *Files) changedNode(i tree.Index) (tree.Node, bool) {
	at, ok := slices.BinarySearchFunc(f.nodes, i, func(n tree.Node, i tree.Index) int { return cmp.Compare(n.Index, i) })
	if !ok {
		return tree.Node{}, false
	}
	return f.nodes[at], true
}

// grownHead returns the head of a length that is larger than the present one.
func (f *Files) grownHead(length uint64, signatures []SlotSignature) (head, error) {
	h := head{length: length, roots: make([]tree.Node, 0, tree.CountFullRoots(length))}
	var space [64]tree.Index
	for _, i := range tree.AppendFullRoots(space[:0], length) {
		n, ok := f.changedNode(i)
		if !ok {
			at := slices.IndexFunc(f.head.roots, func(n tree.Node) bool { return n.Index == i })
			if ok = at >= 0; ok {
				n = f.head.roots[at]
			}
		}
		if !ok {
			var err error
			if n, err = f.ReadNode(i); errors.Is(err, tree.ErrUnknownNode) {
				return f.head, invalid("length %d: root %d is not known", length, i)
			} else if err != nil {
				return f.head, err
			}
		}
		if n.Size > tree.MaxSize-h.byteLength {
			return f.head, invalid("length %d: more than %d bytes", length, uint64(tree.MaxSize))
		}
		h.byteLength += n.Size
		h.roots = append(h.roots, n)
	}
	h.live = slices.ContainsFunc(signatures, func(s SlotSignature) bool { return s.Slot == length-1 })
	return h, nil
}

// cutTails cuts off what an unfinished change left behind the length, before the
// feed grows over it. Slots within a later batch have to be blank, and a shorter
// one must not end in bytes of a longer one.
func (f *Files) cutTails() error {
	if f.tailsCut {
		return nil
	}
	h := f.head
	for _, cut := range []struct {
		s    randomaccess.Storage
		size int64
	}{
		{f.signatures, SignatureOffset(h.length)},
		{f.bitfield, PageOffset(f.bits.Pages(), f.indexSize)},
		{f.tree, NodeOffset(tree.Index(max(2*h.length, 1) - 1))},
		{f.data, int64(h.byteLength)},
	} {
		if err := cut.s.Delete(cut.size, math.MaxInt64); err != nil {
			return err
		}
	}
	f.tailsCut = true
	return nil
}
