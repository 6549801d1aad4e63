package sleep

import (
	"context"
	"errors"
	"fmt"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// Recovery tells what Open found to be different from what a clean close leaves.
// The zero value means nothing was.
type Recovery struct {
	// Stored is the length that the bitfield says, or at least as much, and Length the one that the
	// feed was opened with. It is larger if a change was found complete in the
	// other files, though its commit record was not, or if the bitfield was lost.
	// It is smaller if the files do not hold what the bitfield speaks of: then a
	// writer must not append before it is sure that nobody has seen more.
	Stored, Length uint64

	// MendedPages is the number of pages of the bitfield that lacked bits which
	// follow from others.
	MendedPages int

	// ForgottenBlocks is the number of blocks that were marked as present though
	// nothing is known to compare them with.
	ForgottenBlocks uint64

	// Behind is true if there are signatures behind the length that cannot be
	// verified, or one of a change that is not there in full. The next change that
	// grows the feed cuts them off.
	Behind bool
}

// Limits of the search for a length that is signed.
const (
	maxTries   = 256     // signatures that are verified
	maxScanned = 1 << 20 // slots that are looked at: 64 MiB
	maxProved  = 4096    // blocks without a leaf that are looked into
)

// proof is how well a length is founded.
type proof int

const (
	unreadable proof = iota // a root is absent or cannot be right
	mismatch                // the signature is not that of the roots
	unsigned                // the slot is blank
	proved                  // the signature is valid, or the tree hash is the key
)

// settle decides on the length.
func (f *Files) settle(o *opening) error {
	stored, err := tree.KnownLength(bitsReader{f.bits}, tree.Index(f.bits.Pages()*bitmap.FilePageNodes))
	if err != nil {
		return err
	}
	f.recovery = Recovery{Stored: stored, Length: stored, MendedPages: len(o.mended)}
	if o.ahead {
		f.recovery.Stored = f.bits.Pages()*bitmap.FilePageBlocks + 1
	}
	if o.overwrite {
		f.head.live = true
		return nil
	}
	if o.opts.Inspect {
		f.head, _, err = f.probe(stored)
		f.head.length = stored
		return err
	}

	if done, err := f.rollForward(o, stored); err != nil || done {
		return err
	}
	h, state, err := f.probe(stored)
	if err != nil {
		return err
	}
	if o.adopted && state != proved {
		return damaged(KeyFile, "is missing, and %v did not sign this feed", f.key)
	}
	if state < unsigned || o.ahead && (state != proved || stored == 0) {
		if h, err = f.rollBack(o, stored, state); err != nil {
			return err
		}
	}
	return f.accept(o, h)
}

// accept makes h the head and forgets bits that are not about it.
func (f *Files) accept(o *opening, h head) error {
	f.head = h
	f.recovery.Length = h.length
	f.bits.Truncate(h.length)
	for _, n := range h.roots {
		f.bits.SetNode(uint64(n.Index)) // or the next Open finds another length
	}
	s := salvage{Files: f, ctx: o.ctx}
	tries := maxProved
	for _, run := range o.orphans {
		for n := run.Start; n < min(run.End, h.length); n++ {
			if f.bits.HasNode(2 * n) {
				continue // since found
			}
			if tries == 0 {
				f.recovery.ForgottenBlocks += f.bits.ClearBlocks(n, n+1)
				continue
			}
			tries--
			proved, err := s.proveBlock(n)
			if err != nil {
				return err
			}
			if !proved {
				f.recovery.ForgottenBlocks += f.bits.ClearBlocks(n, n+1)
			}
		}
	}
	return nil
}

// bitsReader is the tree.Reader of which only the bits exist yet.
type bitsReader struct{ bits *bitmap.File }

func (r bitsReader) Has(i tree.Index) (bool, error) { return r.bits.HasNode(uint64(i)), nil }
func (r bitsReader) Node(i tree.Index) (tree.Node, error) {
	return tree.Node{}, fmt.Errorf("sleep: node %d: %w", i, tree.ErrUnknownNode)
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
		err = fmt.Errorf("sleep: node %d: %w", i, tree.ErrUnknownNode)
	}
	return n, err
}

// probe reads the head of a length from the files, whatever the bits say, and
// tells how well it is founded. The error is about reading only.
func (f *Files) probe(length uint64) (head, proof, error) {
	h := head{length: length, live: true}
	if length == 0 {
		return h, proved, nil
	}
	if length > tree.MaxLength {
		return h, unreadable, nil
	}
	roots, err := tree.Roots(storedTree{f}, length)
	if errors.Is(err, tree.ErrMissingRoots) {
		return h, unreadable, nil
	}
	if err != nil {
		return h, unreadable, err
	}
	for _, n := range roots {
		if n.Size > tree.MaxSize-h.byteLength {
			return h, unreadable, nil
		}
		h.byteLength += n.Size
	}
	h.roots = roots
	sig, ok, err := f.storedSignature(length - 1)
	if err != nil {
		return h, unreadable, err
	}
	if !ok {
		h.live = false
		if tree.TreeHash(roots) == tree.Hash(f.key) {
			return h, proved, nil
		}
		return h, unsigned, nil
	}
	switch err := f.opts.Crypto.VerifyRoots(roots, length, sig, f.key); {
	case err == nil:
		return h, proved, nil
	case errors.Is(err, tree.ErrSignature):
		return h, mismatch, nil
	default:
		return h, unreadable, err
	}
}

// signedHead is the outcome of a search for a length that is signed.
type signedHead struct {
	head
	found bool
	// others is the number of slots that are not blank among those that the
	// search went through without success.
	others int
}

// lastSigned looks for the largest length in (low, high] that is signed.
func (f *Files) lastSigned(low, high uint64) (s signedHead, err error) {
	if high <= low {
		return s, nil
	}
	buf := make([]byte, slotsRead*SignatureSize)
	if high > low+maxScanned {
		low = high - maxScanned
	}
	for high > low {
		count := min(slotsRead, high-low)
		n, err := readUpTo(f.signatures, buf[:count*SignatureSize], SignatureOffset(high-count))
		if err != nil {
			return s, err
		}
		clear(buf[n:])
		for ; count > 0; count, high = count-1, high-1 {
			if isBlank(buf[(count-1)*SignatureSize:][:SignatureSize]) {
				continue
			}
			h, state, err := f.probe(high)
			if err != nil {
				return s, err
			}
			if state == proved {
				s.head, s.found = h, true
				return s, nil
			}
			if s.others++; s.others == maxTries {
				return s, nil
			}
		}
	}
	return s, nil
}

// rollForward looks for signatures behind the length that the bitfield says. A
// crash before the commit record was complete leaves one there, and the change
// with it; if the bitfield was lost, all of them are there. A length whose
// signature is valid is the feed's, so it is taken in: a writer that forgot it
// and signed something else in its place would fork the feed.
//
// One exception: if there is one signature and some of the writer's blocks are
// not there, the change was never completed and nobody was told of it.
func (f *Files) rollForward(o *opening, stored uint64) (done bool, err error) {
	// A signature without its tree is no use, so both bound the search.
	slots := slotsOf(o.starts[1].size)
	nodes := uint64(max(0, o.starts[0].size-HeaderSize)) / NodeSize
	last, err := f.lastSigned(stored, min(slots, (nodes+1)/2))
	if err != nil || !last.found {
		f.recovery.Behind = last.others > 0
		return false, err
	}
	// Bits behind the stored length may be of any change; all that is true comes
	// back.
	f.bits.Truncate(stored)
	s := salvage{Files: f, ctx: o.ctx, from: stored}
	offset := uint64(0)
	for _, root := range last.roots {
		if err := s.visit(root, offset); err != nil {
			return false, err
		}
		offset += root.Size
	}
	if f.hasSecret && f.bits.CountBlocks(stored, last.length) < last.length-stored {
		earlier, err := f.lastSigned(stored, last.length-1)
		if err != nil {
			return false, err
		}
		if last.others == 0 && !earlier.found && earlier.others == 0 {
			f.bits.Truncate(stored)
			f.recovery.Behind = true
			return false, nil
		}
	}
	return true, f.accept(o, last.head)
}

// slotsOf returns how many slots signatures of that many bytes have.
func slotsOf(size int64) uint64 {
	return uint64(max(0, size-HeaderSize)+SignatureSize-1) / SignatureSize
}

// salvage sets the bits of what the files hold of blocks from a length on.
type salvage struct {
	*Files
	ctx  context.Context
	from uint64
	buf  []byte
}

// visit sets the bit of n, whose hash is known to be right and whose blocks start
// at offset, and goes on with what is below.
func (s *salvage) visit(n tree.Node, offset uint64) error {
	s.bits.SetNode(uint64(n.Index))
	if uint64(n.Index.RightSpan()) < 2*s.from {
		return nil
	}
	if n.Index.IsLeaf() {
		ok, err := s.checkData(n, offset)
		if ok {
			s.bits.SetBlocks(n.Index.Block(), n.Index.Block()+1)
		}
		return err
	}
	left, right, ok, err := s.storedChildren(n)
	if err != nil || !ok {
		return err
	}
	if err := s.visit(left, offset); err != nil {
		return err
	}
	return s.visit(right, offset+left.Size)
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

// rollBack looks for a shorter length that the files do hold: after a loss of
// power without Options.Sync the bitfield may be ahead of the rest. The reference
// tries the length before; here it is the last one that was signed.
func (f *Files) rollBack(o *opening, stored uint64, state proof) (head, error) {
	o.shorten = true
	before := max(stored, 1) - 1
	last, err := f.lastSigned(0, before)
	if err != nil || last.found {
		return last.head, err
	}
	switch {
	case state == mismatch:
		return head{}, damaged(SignaturesFile, "slot %d is not a signature of the %d blocks by %v, nor is any before", before, stored, f.key)
	case o.ahead:
		return head{}, damaged(TreeFile, "ends before nodes that the bitfield speaks of, and holds no length that is signed")
	}
	h, state, err := f.probe(before)
	if err == nil && state < unsigned {
		err = damaged(TreeFile, "lacks roots of the %d blocks that the bitfield speaks of, and of all signed lengths before", stored)
	}
	return h, err
}

// proveBlock looks for the leaf of a block in the tree, though its bit is not
// set. If the nodes above it hash to one that is known, and the data to the leaf,
// it sets their bits.
func (s *salvage) proveBlock(block uint64) (bool, error) {
	leaf, ok, err := s.storedNode(tree.LeafIndex(block))
	n, path := leaf, []uint64{uint64(leaf.Index)}
	for ok && err == nil && !s.bits.HasNode(uint64(n.Index)) && uint64(n.Index.RightSpan()) < 2*s.head.length {
		var sibling tree.Node
		if sibling, ok, err = s.storedNode(n.Index.Sibling()); ok {
			path = append(path, uint64(sibling.Index))
			n = tree.ParentNode(n, sibling)
		}
	}
	var known tree.Node
	if ok && err == nil {
		known, ok, err = s.storedNode(n.Index)
	}
	if ok = ok && err == nil && known.Hash == n.Hash && s.bits.HasNode(uint64(n.Index)); ok {
		var offset uint64
		if offset, err = tree.ByteOffset(storedTree{s.Files}, block); err == nil {
			ok, err = s.checkData(leaf, offset)
		}
	}
	if errors.Is(err, tree.ErrMissingRoots) || errors.Is(err, tree.ErrSize) {
		return false, nil
	}
	if ok && err == nil {
		s.bits.SetNodes(path...)
	}
	return ok, err
}
