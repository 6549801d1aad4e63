package tree

import (
	"errors"
	"fmt"
)

// Errors about what is known locally.
var (
	// ErrUnknownNode is what Reader.Node returns for a node that is not known.
	ErrUnknownNode = errors.New("tree: node not known")

	// ErrMissingRoots means that a full root of some length is neither known
	// nor part of the proof.
	ErrMissingRoots = errors.New("tree: missing tree roots needed for verify")

	// ErrNoProof means that a block cannot be proved because its leaf is not known.
	ErrNoProof = errors.New("tree: no proof available for this index")

	// ErrNoSignature means that a proof needs a signature that is not stored.
	ErrNoSignature = errors.New("tree: no signature found")

	// ErrInconsistent means that known nodes contradict each other, as a proof that
	// agrees with one of them and not with another brings to light: they are
	// damaged, or the feed was signed twice and a part of each was stored.
	ErrInconsistent = errors.New("tree: known nodes contradict each other")

	// ErrOutOfBounds means that a byte offset or a block lies behind the end.
	ErrOutOfBounds = errors.New("tree: out of bounds")
)

// Errors about what a peer sent; Verifier wraps them in a [*ProofError].
var (
	// ErrSignature means that the signature is not valid for the roots.
	ErrSignature = errors.New("tree: remote signature could not be verified")

	// ErrMissingSignature means that a proof has to be signed and is not.
	ErrMissingSignature = errors.New("tree: remote did not include a signature")

	// ErrChecksum means that a hash computed from the proof is not the one that
	// is known, or not the key of a static feed.
	ErrChecksum = errors.New("tree: remote checksum failed")

	// ErrSize means that sizes do not add up.
	ErrSize = errors.New("tree: unexpected data size")

	// ErrMalformed means that a proof has nodes that cannot be there: wrong
	// order, duplicates, superfluous ones, or too many.
	ErrMalformed = errors.New("tree: malformed proof")
)

// ErrFork is matched by every [*ForkError].
var ErrFork = errors.New("tree: feed is forked")

// ProofError is returned for a proof that a peer sent and that was refused.
// Nothing of it may be stored.
type ProofError struct {
	Block uint64
	Err   error
}

// Error implements error.
func (e *ProofError) Error() string { return fmt.Sprintf("block %d: %v", e.Block, e.Err) }

// Unwrap returns Err.
func (e *ProofError) Unwrap() error { return e.Err }

// ForkError is the evidence that a feed was signed twice with different content:
// a valid signature covers nodes that contradict known ones, which a valid
// signature covers too, unless they are damaged. It matches ErrFork.
type ForkError struct {
	// Block is the block whose proof brought this to light.
	Block uint64
	// Length is what Signature covers, Theirs are the full roots of it.
	Length uint64
	Theirs []Node
	// Ours are known nodes that the proof contradicts, at least one.
	Ours []Node
	// Nodes are those of the proof, the path from the block up to the roots
	// included, so that Theirs can be computed again from the block.
	Nodes []Node
	// Signature is valid for Theirs, unless the feed is static: then the key is
	// the hash of Theirs, and known nodes are damaged.
	Signature    Signature
	HasSignature bool
}

// Error implements error.
func (e *ForkError) Error() string {
	return fmt.Sprintf("block %d: %v: the signature of length %d contradicts node %d", e.Block, ErrFork, e.Length, e.Ours[0].Index)
}

// Unwrap returns ErrFork.
func (e *ForkError) Unwrap() error { return ErrFork }
