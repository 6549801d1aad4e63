package tree

import (
	"errors"
	"fmt"
	"slices"
)

// Proof is what a peer needs to verify a block or its hash: nodes in the order
// that the wire has, and the signature if they end in roots.
//
//   - the leaf itself, if only the hash was asked for,
//   - the siblings on the way up that the requester lacks, bottom first,
//   - the missing full roots of the signed length, from left to right.
type Proof struct {
	Nodes        []Node
	Signature    Signature
	HasSignature bool
}

// Prove makes the proof of a block. The requester's digest (see [Digest]) says
// what to leave out; hash says that the requester wants the leaf's hash instead of
// the block's content. It keeps no state between calls.
//
// The signature covers the length that the path's highest known node was verified
// with, which at a sparse replica can be less than its length. It comes from
// sig, called at most once with the slot it is stored in, which is that length
// minus one; sig returns an error matching ErrNoSignature if that slot is blank.
// A nil sig makes the proofs of a static feed, which have none.
//
// Without the block's leaf the error matches ErrNoProof, without its roots
// ErrMissingRoots.
func Prove(r Reader, sig func(slot uint64) (Signature, error), block, digest uint64, hash bool) (Proof, error) {
	return AppendProof(nil, r, sig, block, digest, hash)
}

// AppendProof is Prove for a buffer of the caller: Proof.Nodes is nodes with the
// proof's nodes appended.
func AppendProof(nodes []Node, r Reader, sig func(slot uint64) (Signature, error), block, digest uint64, hash bool) (Proof, error) {
	p, err := prove(nodes, r, sig, block, digest, hash)
	if err != nil {
		return Proof{}, fmt.Errorf("prove block %d: %w", block, err)
	}
	return p, nil
}

func prove(nodes []Node, r Reader, sig func(slot uint64) (Signature, error), block, digest uint64, hash bool) (Proof, error) {
	if block >= MaxLength {
		return Proof{}, ErrNoProof
	}
	leaf := LeafIndex(block)
	known, err := r.Has(leaf)
	if err != nil {
		return Proof{}, err
	}
	if !known {
		return Proof{}, ErrNoProof
	}
	p := Proof{Nodes: nodes}
	if hash {
		if err := p.add(r, leaf); err != nil {
			return Proof{}, err
		}
	}
	if digest == 1 {
		return p, nil
	}
	var has nodeSet
	has.addDigest(leaf, digest)
	for x := leaf; !has.contains(x); x = x.Parent() {
		sibling := x.Sibling()
		known, err := r.Has(sibling)
		if err != nil {
			return Proof{}, err
		}
		if !known || x.Depth() == maxRoots {
			return p.sign(r, sig, x, &has)
		}
		if !has.contains(sibling) {
			if err := p.add(r, sibling); err != nil {
				return Proof{}, err
			}
		}
	}
	return p, nil
}

// add appends a node that is known.
func (p *Proof) add(r Reader, i Index) error {
	n, err := r.Node(i)
	if err != nil {
		return err
	}
	p.Nodes = append(p.Nodes, n)
	return nil
}

// sign completes a proof whose path ends at a root that is known locally: it
// adds the other full roots and the signature over them.
func (p *Proof) sign(r Reader, sig func(slot uint64) (Signature, error), root Index, has *nodeSet) (Proof, error) {
	end, err := VerifiedBy(r, root)
	if err != nil {
		return Proof{}, err
	}
	length := end.Block()
	var space [64]Index
	for _, i := range AppendFullRoots(space[:0], length) {
		if i == root || has.contains(i) {
			continue
		}
		if err := p.add(r, i); err != nil {
			return Proof{}, rootError(i, err)
		}
	}
	if sig == nil {
		return *p, nil
	}
	p.Signature, err = sig(length - 1)
	if err != nil {
		if errors.Is(err, ErrNoSignature) {
			return Proof{}, fmt.Errorf("slot %d: %w", length-1, err)
		}
		return Proof{}, fmt.Errorf("signature in slot %d: %w", length-1, err)
	}
	p.HasSignature = true
	return *p, nil
}

// nodeSet is the few nodes around one path that a requester said it has: for
// each level a sibling at most, then one ancestor and the roots to its left.
//
// Hypercore 9 leaves out of it what it does not know itself, and adds parents whose
// two children are in it. Neither changes a proof: on the way up from a known leaf
// all is known that can matter, and the path ends at the ancestor or before.
type nodeSet struct {
	members [2*maxRoots + 2]Index
	len     int
}

func (s *nodeSet) contains(i Index) bool {
	return slices.Contains(s.members[:s.len], i)
}

func (s *nodeSet) add(i Index) {
	s.members[s.len] = i
	s.len++
}

// addDigest adds what a digest for the path up from leaf says. Having an ancestor
// implies having the roots to its left: they were verified with it.
func (s *nodeSet) addDigest(leaf Index, digest uint64) {
	ancestor := digest&1 != 0
	x := leaf
	for digest >>= 1; digest != 0 && x.Depth() < maxRoots; digest >>= 1 {
		if digest == 1 && ancestor {
			s.add(x)
			left := min(x, x.Sibling())
			s.len += len(AppendFullRoots(s.members[s.len:s.len], left.end()))
			return
		}
		if digest&1 != 0 {
			s.add(x.Sibling())
		}
		x = x.Parent()
	}
}
