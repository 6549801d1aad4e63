package tree

import "fmt"

// Verifier checks what a peer sent against what is known. It never changes its
// fields, and is safe for concurrent use if Reader is and Buffer is nil.
type Verifier struct {
	Reader Reader    // the nodes known locally
	Key    PublicKey // of the feed; the tree hash of a static feed
	Crypto *Crypto   // nil means Ed25519
	Length uint64    // of the feed as known locally, in blocks

	// Live says that the feed is known to be signed. Unless it is, or as long
	// as Length is 0, a proof without signature is accepted if its tree hash is
	// Key: then the feed is static.
	Live bool

	// Buffer is where Verified.Nodes is appended. Nil means a new slice for each
	// call; otherwise a result is valid until the caller uses the buffer again.
	Buffer []Node

	// NoOffset leaves Verified.ByteOffset zero. It spares a lookup for each one
	// bit of the block's number, for stores that do not need to know.
	NoOffset bool
}

// Verified is what follows from a proof that was accepted.
type Verified struct {
	// Nodes are to be stored, all of them and in the same change as the rest. Known
	// nodes can be among them, unchanged but for a size that was corrected (see
	// Verifier.Hash).
	Nodes []Node

	// Length is the new length if the proof made the feed longer, else Verifier.Length.
	Length uint64
	// Roots are the full roots of Length, and ByteLength is the sum of their sizes.
	// They are set only if the proof made the feed longer.
	Roots      []Node
	ByteLength uint64

	// Signature belongs in the slot SignatureSlot, the length it covers minus one,
	// if HasSignature.
	Signature     Signature
	SignatureSlot uint64
	HasSignature  bool

	// ByteOffset is the position of the block among all bytes of the feed. It
	// is set only for a block with data, unless NoOffset.
	ByteOffset uint64
}

// Block verifies the content of a block. Data is not kept.
//
// A refused proof gives a [*ProofError], or a [*ForkError] if the feed was signed
// twice. Any other error is not the peer's fault: it comes from the Reader.
func (v *Verifier) Block(block uint64, data []byte, p Proof) (Verified, error) {
	if err := checkProof(block, p.Nodes, false); err != nil {
		return Verified{}, &ProofError{Block: block, Err: err}
	}
	w := walk{v: v, block: block, top: Leaf(block, data), rest: p.Nodes}
	out, err := w.verify(&p)
	if err != nil {
		return Verified{}, err
	}
	if !v.NoOffset {
		out.ByteOffset, err = v.byteOffset(block, out.Nodes[len(v.Buffer):])
		if err != nil {
			return Verified{}, err
		}
	}
	return out, nil
}

// Hash verifies an answer without data: the first node of the proof is the leaf.
// The errors are those of Block.
//
// The sizes of that leaf and of its sibling are bound by their sum alone, until the
// content of one of them is verified: a hash covers only the size of its own node. Block
// then corrects both.
func (v *Verifier) Hash(block uint64, p Proof) (Verified, error) {
	if err := checkProof(block, p.Nodes, true); err != nil {
		return Verified{}, &ProofError{Block: block, Err: err}
	}
	w := walk{v: v, block: block, top: p.Nodes[0], rest: p.Nodes[1:], hash: true}
	return w.verify(&p)
}

// checkProof checks the form of a proof before anything of it is used: the leaf if
// only its hash was asked for, siblings from the bottom up, then roots from left
// to right, which get smaller and smaller. So there are at most two nodes for each
// level. Whether they fit what is known is seen later. A proof may well have more
// nodes than are needed by then: other answers may have arrived since the
// request was sent.
func checkProof(block uint64, nodes []Node, hash bool) error {
	if block >= MaxLength {
		return fmt.Errorf("%w: no such block", ErrOutOfBounds)
	}
	for i := range nodes {
		if nodes[i].Index >= 2*MaxLength {
			return fmt.Errorf("%w: node %d", ErrMalformed, nodes[i].Index)
		}
	}
	if hash {
		if len(nodes) == 0 || nodes[0].Index != LeafIndex(block) {
			return fmt.Errorf("%w: hash of the block is not first", ErrMalformed)
		}
		nodes = nodes[1:]
	}
	siblings, level := nodes, 0
	for len(nodes) > 0 {
		depth := nodes[0].Index.Depth()
		if depth < level || nodes[0].Index != At(depth, block>>depth).Sibling() {
			break
		}
		level = depth + 1
		nodes = nodes[1:]
	}
	siblings = siblings[:len(siblings)-len(nodes)]
	for i, root := range nodes {
		if i > 0 && (root.Index < nodes[i-1].Index || root.Index.Depth() >= nodes[i-1].Index.Depth()) {
			return fmt.Errorf("%w: node %d after %d", ErrMalformed, root.Index, nodes[i-1].Index)
		}
		if contains(siblings, root.Index) {
			return fmt.Errorf("%w: node %d twice", ErrMalformed, root.Index)
		}
		if leaf := LeafIndex(block); root.Index.LeftSpan() <= leaf && leaf <= root.Index.RightSpan() {
			return fmt.Errorf("%w: node %d is on the path", ErrMalformed, root.Index)
		}
	}
	return nil
}

// lookup returns a node if it is known.
func (v *Verifier) lookup(i Index) (Node, bool, error) {
	known, err := v.Reader.Has(i)
	if err != nil || !known {
		return Node{}, false, err
	}
	n, err := v.Reader.Node(i)
	return n, err == nil, err
}

// byteOffset is ByteOffset where some nodes are about to be stored.
func (v *Verifier) byteOffset(block uint64, nodes []Node) (uint64, error) {
	var space [64]Index
	sum := uint64(0)
next:
	for _, i := range AppendFullRoots(space[:0], block) {
		for j := range nodes {
			if nodes[j].Index == i {
				sum += nodes[j].Size
				continue next
			}
		}
		n, err := v.Reader.Node(i)
		if err != nil {
			return 0, rootError(i, err)
		}
		sum += n.Size
	}
	if sum > MaxSize {
		return 0, fmt.Errorf("byte offset of block %d: %w", block, ErrSize)
	}
	return sum, nil
}

func contains(nodes []Node, i Index) bool {
	for j := range nodes {
		if nodes[j].Index == i {
			return true
		}
	}
	return false
}
