package static

import (
	"fmt"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// verifier verifies blocks of one feed against what is known of it: stored nodes, and those
// that it has verified before.
type verifier struct {
	id      ID
	blocks  uint64 // 0 while not known
	stored  nodeReader
	empty   bool                    // nothing is stored, and there is no number yet
	fresh   map[tree.Index]ID       // verified and not stored
	unknown map[tree.Index]struct{} // known not to be stored
}

func newVerifier(id ID, h *head, table *engine.Table) *verifier {
	return &verifier{
		id: id, blocks: h.blocks, stored: nodeReader{table, h.number}, empty: h.blocks == 0,
		fresh: make(map[tree.Index]ID), unknown: make(map[tree.Index]struct{}),
	}
}

func proofError(block uint64, cause error) error {
	return &tree.ProofError{Block: block, Err: fmt.Errorf("%w: %w", ErrProof, cause)}
}

// known returns the hash of a node that is known.
func (v *verifier) known(i tree.Index) (ID, bool, error) {
	if h, ok := v.fresh[i]; ok {
		return h, true, nil
	}
	if _, ok := v.unknown[i]; ok || v.empty {
		return ID{}, false, nil
	}
	h, ok, err := v.stored.node(i)
	if err == nil && !ok {
		v.unknown[i] = struct{}{}
	}
	return h, ok, err
}

// verify verifies a block with its proof. Blame for an error is on who sent them if it
// matches ErrProof. What the proof shows is then known.
func (v *verifier) verify(block uint64, data []byte, proof []tree.Node) error {
	if len(data) > MaxBlockSize {
		return proofError(block, fmt.Errorf("%w: %d bytes", tree.ErrSize, len(data)))
	}
	length, roots := v.blocks, []tree.Node(nil)
	if length == 0 {
		var err error
		if length, roots, err = v.roots(proof); err != nil {
			return proofError(block, err)
		}
	}
	if block >= length {
		return proofError(block, tree.ErrOutOfBounds)
	}
	path, err := v.climb(tree.Node{Index: tree.LeafIndex(block), Hash: leafHash(data)}, length, proof, roots)
	if err != nil {
		return err
	}
	v.blocks = length
	for _, n := range roots {
		v.fresh[n.Index] = n.Hash
	}
	for _, n := range path {
		v.fresh[n.Index] = n.Hash
	}
	return nil
}

// roots returns the length that a proof ends with, and its roots, which hash to the id.
func (v *verifier) roots(proof []tree.Node) (length uint64, roots []tree.Node, err error) {
	if len(proof) == 0 {
		return 0, nil, tree.ErrMissingRoots
	}
	last := proof[len(proof)-1].Index
	if last >= 2*MaxBlocks {
		return 0, nil, fmt.Errorf("%w: node %d", tree.ErrMalformed, last)
	}
	length = uint64(last.RightSpan())/2 + 1
	if length > MaxBlocks {
		return 0, nil, fmt.Errorf("%w: %d blocks", tree.ErrMalformed, length)
	}
	var space [maxRoots]tree.Index
	indexes := tree.AppendFullRoots(space[:0], length)
	if len(proof) < len(indexes) {
		return 0, nil, tree.ErrMissingRoots
	}
	roots = proof[len(proof)-len(indexes):]
	for i, n := range roots {
		if n.Index != indexes[i] {
			return 0, nil, fmt.Errorf("%w: node %d in place of root %d", tree.ErrMalformed, n.Index, indexes[i])
		}
	}
	if idOf(roots) != v.id {
		return 0, nil, tree.ErrChecksum
	}
	return length, roots, nil
}

// climb hashes upwards from a leaf until it meets a node that is known, and returns all that
// it met and that is not known.
func (v *verifier) climb(top tree.Node, length uint64, proof, roots []tree.Node) ([]tree.Node, error) {
	block := top.Index.Block()
	path := make([]tree.Node, 0, 2*maxRoots)
	for {
		known, ok, err := v.lookup(top.Index, roots)
		if err != nil {
			return nil, err
		}
		if ok && known != top.Hash {
			return nil, proofError(block, fmt.Errorf("%w at node %d", tree.ErrChecksum, top.Index))
		}
		if ok {
			return path, nil
		}
		path = append(path, top)
		i := top.Index.Sibling()
		if uint64(i.RightSpan()) >= 2*length {
			// A full root, which is known unless rows are missing.
			return nil, fmt.Errorf("root %d of %d blocks: %w", top.Index, length, tree.ErrMissingRoots)
		}
		sibling := tree.Node{Index: i}
		if len(proof) > 0 && proof[0].Index == i {
			sibling.Hash, proof = proof[0].Hash, proof[1:]
			path = append(path, sibling)
		} else {
			h, ok, err := v.lookup(i, roots)
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, proofError(block, fmt.Errorf("%w: node %d is missing", tree.ErrMalformed, i))
			}
			sibling.Hash = h
		}
		top = parentOf(top, sibling)
	}
}

// lookup is known with the roots that are about to be.
func (v *verifier) lookup(i tree.Index, roots []tree.Node) (ID, bool, error) {
	for _, n := range roots {
		if n.Index == i {
			return n.Hash, true, nil
		}
	}
	return v.known(i)
}
