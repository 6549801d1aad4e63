package tree

import (
	"errors"
	"fmt"
)

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
// further up it proves a fork. From then on nothing is trusted but a signature,
// so that no known node is ever replaced by a different one.
func (w *walk) meets() (bool, error) {
	known, ok, err := w.v.lookup(w.top.Index)
	if err != nil || !ok {
		return false, err
	}
	if known.Hash != w.top.Hash {
		w.ours = append(w.ours, known)
	}
	if len(w.ours) > 0 {
		return false, nil
	}
	if known.Size != w.top.Size && !w.hash {
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
		return w.take(), true, nil
	}
	if w.top.Index.Depth() >= maxRoots {
		return Node{}, false, nil
	}
	return w.v.lookup(i)
}

// take uses the next node of the proof.
func (w *walk) take() Node {
	n := w.rest[0]
	w.rest = w.rest[1:]
	w.nodes = append(w.nodes, n)
	return n
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
	if err := w.checkFork(roots, length, p); err != nil {
		return Verified{}, err
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
			roots = append(roots, w.take())
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

// checkFork compares what is vouched for with what is known. The nodes on the
// path were compared on the way; what remains is those that came with the proof.
func (w *walk) checkFork(roots []Node, length uint64, p *Proof) error {
	nodes := w.nodes[len(w.v.Buffer):]
	for i := range nodes {
		known, ok, err := w.v.lookup(nodes[i].Index)
		if err != nil {
			return err
		}
		if ok && known.Hash != nodes[i].Hash && !contains(w.ours, known.Index) {
			w.ours = append(w.ours, known)
		}
	}
	if len(w.ours) == 0 {
		return nil
	}
	return &ForkError{
		Block:        w.block,
		Length:       length,
		Ours:         w.ours,
		Theirs:       roots,
		Nodes:        append([]Node(nil), nodes...),
		Signature:    p.Signature,
		HasSignature: p.HasSignature,
	}
}

// refuse blames the peer. A proof that contradicts a known node is refused for
// that, whatever else is wrong with it.
func (w *walk) refuse(err error) error {
	if len(w.ours) > 0 {
		err = fmt.Errorf("%w at node %d", ErrChecksum, w.ours[0].Index)
	}
	return &ProofError{Block: w.block, Err: err}
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
