// Package tree is the Merkle tree of a feed: flat-tree numbers, hashes, keys and
// signatures, and the proofs that let a reader verify single blocks.
package tree
