package engine

import (
	"fmt"

	"github.com/cairn-feeds/cairn/tree"
)

// RootHashes returns the full roots of the first index+1 blocks, left to right.
// The error matches tree.ErrMissingRoots when they are not known.
func (f *Feed) RootHashes(index uint64) ([]tree.Node, error) {
	roots, err := f.roots(index)
	if err != nil {
		return nil, f.fail(err)
	}
	return roots, nil
}

func (f *Feed) roots(index uint64) ([]tree.Node, error) {
	l := f.live
	h := l.head.Load()
	if h.length > 0 && index == h.length-1 {
		return append([]tree.Node(nil), h.roots...), nil
	}
	if index >= h.length {
		return nil, fmt.Errorf("%w: block %d of %d", tree.ErrMissingRoots, index, h.length)
	}
	if err := l.use(); err != nil {
		return nil, err
	}
	defer l.unuse()
	return tree.Roots(l.be, index+1)
}

// Signature returns the signature that covers a block: the first one made at or
// behind it. index is the last block it covers. The error matches
// tree.ErrNoSignature; a sparse feed has only the signatures that it received.
func (f *Feed) Signature(index uint64) (covers uint64, sig tree.Signature, err error) {
	l := f.live
	if n := f.Length(); index >= n {
		return 0, sig, f.fail(fmt.Errorf("%w: block %d of %d", tree.ErrNoSignature, index, n))
	}
	if err := l.use(); err != nil {
		return 0, sig, f.fail(err)
	}
	defer l.unuse()
	covers, sig, err = l.be.signature(index)
	if err != nil {
		err = f.fail(err)
	}
	return covers, sig, err
}

// Verify checks a signature over the blocks up to index, the last one it covers.
// The error matches tree.ErrSignature when it is not valid.
func (f *Feed) Verify(index uint64, sig tree.Signature) error {
	roots, err := f.roots(index)
	if err != nil {
		return f.fail(err)
	}
	if err := f.opts.Crypto.VerifyRoots(roots, index+1, sig, f.live.key); err != nil {
		return f.fail(err)
	}
	return nil
}

// Proof makes the proof of a block for a peer that has what digest says (0:
// nothing); hash asks for the proof of the leaf's hash instead of the block. The
// error matches tree.ErrNoProof or tree.ErrNoSignature.
func (f *Feed) Proof(index, digest uint64, hash bool) (tree.Proof, error) {
	l := f.live
	if err := l.use(); err != nil {
		return tree.Proof{}, f.fail(err)
	}
	defer l.unuse()
	p, err := tree.Prove(l.be, l.exactSignature, index, digest, hash)
	if err != nil {
		return tree.Proof{}, f.fail(err)
	}
	return p, nil
}

// exactSignature returns the signature of one slot.
func (l *live) exactSignature(slot uint64) (tree.Signature, error) {
	at, sig, err := l.be.signature(slot)
	if err != nil {
		return tree.Signature{}, err
	}
	if at != slot {
		return tree.Signature{}, fmt.Errorf("slot %d: %w", slot, tree.ErrNoSignature)
	}
	return sig, nil
}

// Digest tells a peer which nodes on the path of a block are known here, for its
// proof (see tree.Digest).
func (f *Feed) Digest(index uint64) (uint64, error) {
	l := f.live
	if err := l.use(); err != nil {
		return 0, f.fail(err)
	}
	defer l.unuse()
	d, err := tree.Digest(l.be, index, tree.LeafIndex(l.head.Load().length))
	if err != nil {
		return 0, f.fail(err)
	}
	return d, nil
}
