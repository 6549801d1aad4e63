package tree

import (
	"errors"
	"fmt"
	"slices"
)

// walk is one verification: it goes up from a leaf, hashing, until it meets a
// known node or a signed root.
type walk struct {
	v     *Verifier
	block uint64
	hash  bool

	top  Node   // where the walk is: its hash follows from what was sent
	rest []Node // nodes of the proof that were not used yet

	nodes []Node // every node so far that came with the proof or follows from it
	ours  []Node // known nodes that nodes contradict

	// broken is set once nodes agree with a known node above one that they
	// contradict: then those two contradict each other.
	broken error
}

func (w *walk) verify(p *Proof) (Verified, error) {
	w.nodes = w.v.Buffer
	for {
		trusted, err := w.meets()
		if err != nil {
			return Verified{}, err
		}
		if trusted {
			return Verified{Nodes: w.nodes, Length: w.v.Length}, nil
		}
		sibling, ok, err := w.sibling()
		if err != nil {
			return Verified{}, err
		}
		if !ok {
			return w.verifyRoots(p)
		}
		w.nodes = append(w.nodes, w.top)
		if sibling.Size > MaxSize-min(w.top.Size, MaxSize) {
			return Verified{}, w.refuse(ErrSize)
		}
		w.top = ParentNode(w.top, sibling)
	}
}

// meets reports whether top is a known node, so that all below is as true as that
// node is. A contradiction does not end the walk: with a valid signature
// further up it proves a fork. So no known node is ever replaced by another, not
// even if what was sent agrees with a known node above.
func (w *walk) meets() (bool, error) {
	known, ok, err := w.v.lookup(w.top.Index)
	switch {
	case err != nil || !ok:
		return false, err
	case known.Hash != w.top.Hash:
		w.ours = append(w.ours, known)
		return false, nil
	case len(w.ours) > 0:
		if w.broken == nil {
			w.broken = fmt.Errorf("nodes %d and %d: %w", w.ours[0].Index, known.Index, ErrInconsistent)
		}
		return false, nil
	case known.Size != w.top.Size && !w.hash:
		return true, w.correctSizes()
	}
	return true, nil
}

// correctSizes handles content whose hash is known with another size, which a
// dishonest answer without data can bring about (see Verifier.Hash). The hash of
// the content covers its true size, the hash of the parent the sum.
func (w *walk) correctSizes() error {
	parent, okParent, err := w.v.lookup(w.top.Index.Parent())
	if err != nil {
		return err
	}
	sibling, okSibling, err := w.v.lookup(w.top.Index.Sibling())
	if err != nil {
		return err
	}
	if okParent && okSibling && w.top.Size <= parent.Size {
		sibling.Size = parent.Size - w.top.Size
		if ParentNode(w.top, sibling) == parent {
			w.nodes = append(w.nodes, w.top, sibling)
			return nil
		}
	}
	return fmt.Errorf("node %d is stored with a wrong size: %w", w.top.Index, ErrSize)
}

// sibling returns the sibling of top, from the proof or else from what is known.
func (w *walk) sibling() (Node, bool, error) {
	i := w.top.Index.Sibling()
	if len(w.rest) > 0 && w.rest[0].Index == i {
		n, err := w.take()
		return n, err == nil, err
	}
	if w.top.Index.Depth() >= maxRoots {
		return Node{}, false, nil
	}
	return w.v.lookup(i)
}

// take uses the next node of the proof.
func (w *walk) take() (Node, error) {
	n := w.rest[0]
	known, ok, err := w.v.lookup(n.Index)
	if err != nil {
		return Node{}, err
	}
	if ok && known.Hash != n.Hash {
		w.ours = append(w.ours, known)
	}
	w.rest = w.rest[1:]
	w.nodes = append(w.nodes, n)
	return n, nil
}

// verifyRoots accepts top as one of the full roots of a length that was signed.
func (w *walk) verifyRoots(p *Proof) (Verified, error) {
	length := w.top.Index.end()
	if len(w.rest) > 0 {
		length = max(length, w.rest[len(w.rest)-1].Index.end())
	}
	roots, err := w.roots(length)
	if err != nil {
		return Verified{}, err
	}
	sum, ok := byteLength(roots)
	if !ok {
		return Verified{}, w.refuse(ErrSize)
	}
	if err := w.checkRoots(roots, length, p); err != nil {
		return Verified{}, err
	}
	if len(w.ours) > 0 {
		return Verified{}, &ForkError{
			Block:        w.block,
			Length:       length,
			Ours:         w.ours,
			Theirs:       roots,
			Nodes:        slices.Clone(w.nodes[len(w.v.Buffer):]),
			Signature:    p.Signature,
			HasSignature: p.HasSignature,
		}
	}
	out := Verified{Nodes: w.nodes, Length: w.v.Length}
	if p.HasSignature {
		out.Signature, out.SignatureSlot, out.HasSignature = p.Signature, length-1, true
	}
	if length > w.v.Length {
		out.Length, out.Roots, out.ByteLength = length, roots, sum
	}
	return out, nil
}

// roots collects the full roots of length: top, which has to be one of them (or
// else it would not be covered by the signature), those that came with the
// proof, and known ones.
func (w *walk) roots(length uint64) ([]Node, error) {
	var space [64]Index
	indexes := AppendFullRoots(space[:0], length)
	roots := make([]Node, 0, len(indexes))
	covered := false
	for _, i := range indexes {
		switch {
		case i == w.top.Index:
			w.nodes = append(w.nodes, w.top)
			roots = append(roots, w.top)
			covered = true
		case len(w.rest) > 0 && w.rest[0].Index == i:
			n, err := w.take()
			if err != nil {
				return nil, err
			}
			roots = append(roots, n)
		default:
			known, ok, err := w.v.lookup(i)
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, w.refuse(fmt.Errorf("root %d of length %d: %w", i, length, ErrMissingRoots))
			}
			roots = append(roots, known)
		}
	}
	if !covered {
		return nil, w.refuse(fmt.Errorf("%w: node %d is no root of length %d", ErrMalformed, w.top.Index, length))
	}
	if len(w.rest) > 0 {
		return nil, w.refuse(fmt.Errorf("%w: node %d is not needed", ErrMalformed, w.rest[0].Index))
	}
	return roots, nil
}

// checkRoots checks who vouches for the roots: the signature or, if the feed is
// static, its key.
func (w *walk) checkRoots(roots []Node, length uint64, p *Proof) error {
	if p.HasSignature {
		err := w.v.Crypto.VerifyRoots(roots, length, p.Signature, w.v.Key)
		if errors.Is(err, ErrSignature) {
			return w.refuse(err)
		}
		return err
	}
	if w.v.Live && w.v.Length > 0 {
		return w.refuse(ErrMissingSignature)
	}
	if PublicKey(TreeHash(roots)) != w.v.Key {
		return w.refuse(ErrChecksum)
	}
	return nil
}

// refuse blames the peer, unless what is known contradicts itself. A proof that
// contradicts a known node is refused for that, whatever else is wrong with it.
func (w *walk) refuse(err error) error {
	if w.broken != nil {
		return w.broken
	}
	if len(w.ours) > 0 {
		err = fmt.Errorf("%w at node %d", ErrChecksum, w.ours[0].Index)
	}
	return &ProofError{Block: w.block, Err: err}
}
