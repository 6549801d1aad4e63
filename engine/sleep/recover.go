package sleep

import (
	"errors"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// Recovery tells what Open found to be different from what a clean close leaves.
type Recovery struct {
	// Stored is the length that the bitfield says, and Length the one that the
	// feed was opened with.
	//
	// Length is larger if a change was found complete in the other files, though
	// its commit record was not, or if the bitfield was lost. It is smaller if the
	// files do not hold what the bitfield speaks of; where these end early Stored
	// is the least that it may be. Then a writer must not append before it is sure
	// that nobody has seen more.
	Stored, Length uint64

	// MendedPages is the number of pages of the bitfield that lacked bits which
	// follow from others.
	MendedPages int

	// ForgottenBlocks is the number of blocks that were marked as present though
	// nothing is known to compare them with.
	ForgottenBlocks uint64

	// Behind is true if there are signatures behind the length that are not valid
	// for what the files hold, or one of a change that is not there in full. The
	// next change that grows the feed cuts them off. A crash leaves one; if there
	// may have been more, a writer has to be as careful as above.
	Behind bool
}

// Clean reports whether nothing had to be recovered.
func (r Recovery) Clean() bool {
	return r == Recovery{Stored: r.Length, Length: r.Length}
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
	return tree.Node{}, unknownNode(i)
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
// There are two exceptions. If there is one signature and some of the writer's
// blocks are not there, the change was never completed and nobody was told of it.
// If its tree does not hold what the bitfield speaks of, it is of another feed
// with the same key, which was overwritten.
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
	complete := s.reached == tree.CountFullRoots(stored)
	if f.hasSecret && f.bits.CountBlocks(stored, last.length) < last.length-stored {
		earlier, err := f.lastSigned(stored, last.length-1)
		if err != nil {
			return false, err
		}
		complete = complete && (last.others > 0 || earlier.found || earlier.others > 0)
	}
	if !complete {
		f.bits.Truncate(stored)
		f.recovery.Behind = true
		return false, nil
	}
	return true, f.accept(o, last.head)
}

// slotsOf returns how many slots signatures of that many bytes have.
func slotsOf(size int64) uint64 {
	return uint64(max(0, size-HeaderSize)+SignatureSize-1) / SignatureSize
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
