// Package tree is the Merkle tree of a feed: the numbers of its nodes, hashes, keys
// and signatures, and the proofs by which a reader verifies single blocks of a feed
// that it never sees in full. It computes what hypercore 9 does, bit by bit.
//
// The package is pure: it does no I/O and knows no clock. What is stored it reads
// through [Reader]; what is to be stored it returns.
//
// # Flat tree
//
// The nodes of an infinite binary tree are numbered in order. Leaves are even,
// block n is node 2n, parents are odd:
//
//	depth 3:                7
//	depth 2:        3               11
//	depth 1:    1       5       9        13
//	depth 0:  0   2   4   6   8   10  12    14
//
// Node o of depth d has the number (1+2o)*2^d - 1. A feed of n blocks is a forest:
// each binary digit 2^k of n, from the highest, is the full tree over the next 2^k
// blocks, and the roots of these trees are its full roots. Eleven blocks, 8+2+1,
// have the full roots 7, 17 and 20. The full roots of n blocks are also all that
// lies to the left of block n, so that the sum of their sizes is the position of
// block n among the bytes of the feed.
//
// Lengths are at most 2^52 blocks and sizes at most 2^53-1 bytes, up to which
// JavaScript counts exactly.
//
// # Hashes
//
// All are BLAKE2b-256 (digest length 32, no salt, no personalisation), unkeyed but
// for the discovery key. Integers are big-endian. A node is its index, its hash and
// its size, the number of bytes in the blocks below it.
//
//	leaf    +------+--------------+---------------+
//	        | 0x00 | block length | block         |
//	        | 1    | 8            | length        |
//	        +------+--------------+---------------+
//	parent  +------+--------------+---------------+--------------+
//	        | 0x01 | sum of sizes | left hash     | right hash   |
//	        | 1    | 8            | 32            | 32           |
//	        +------+--------------+---------------+--------------+
//	tree    +------+---------------------------------------------+
//	        | 0x02 | for each full root from left to right:      |
//	        |      |  +-----------+---------------+------------+ |
//	        | 1    |  | hash      | index         | size       | |
//	        |      |  | 32        | 8             | 8          | |
//	        |      |  +-----------+---------------+------------+ |
//	        +------+---------------------------------------------+
//
// The discovery key is the hash of the nine bytes "hypercore", keyed with the
// public key.
//
// # Signatures
//
// The writer signs the state after each append, however many blocks it had, with
// Ed25519:
//
//	signable +-----------+-----------------+
//	         | tree hash | length in blocks|
//	         | 32        | 8               |
//	         +-----------+-----------------+
//
// The signature belongs in slot length-1; the slots of the other blocks of an
// append stay blank. Very old feeds signed the tree hash alone, and such signatures are
// accepted. A static feed has no signatures: its key is its tree hash.
//
// # What a replica knows
//
// A sparse replica knows some nodes. Whatever it verified it stored with the whole
// path, so that with two siblings it knows their parent. From that follow
// [VerifiedBy], the length that a node was verified with, and [KnownLength].
//
// # Requests and proofs
//
// A request names a block and carries the requester's [Digest], a bit for each
// level of the block's path. A requester that fetched block 5 of eleven knows the
// nodes 3, 7, 8, 9, 10, 11, 13, 17 and 20. For block 0 it sends 1001b:
//
//	      3*      bit 0: an ancestor is known; bit 3, the highest: it is node 3
//	  1       5   bit 2: node 5 is not known
//	0   2         bit 1: node 2 is not known
//
// A digest of 1 says that no nodes are needed.
//
// A [Proof] lists nodes in this order:
//
//  1. the leaf, if the request was for the hash alone,
//  2. going up from the leaf, each sibling that the requester lacks, until a node
//     that it has (the proof ends there, without a signature) or until a node
//     whose sibling is not known here: a root,
//  3. the other full roots of the length that this root was verified with, from left
//     to right, without those that the requester has. The proof includes the
//     signature of that length.
//
// Having an ancestor implies having all roots to its left.
//
// The [Verifier] goes the same way: starting with the leaf of the block's content (or the
// leaf sent) it takes the sibling from the proof, or else from what it knows, and
// hashes both, until it arrives at a known node. If that has the same hash, all is
// true. If it runs out of siblings first, what it has must be one of the full roots
// of the length that the proof ends with, and the signature has to be valid for them.
//
// Beyond what hypercore 9 checks:
//
//   - The computed node must itself be one of the signed roots. Otherwise true roots
//     with their true signature would vouch for any content: hypercore 9 takes
//     it when it knows the hash of the block already and the size is right.
//   - Nodes must come in the order above; a superfluous one under a signature is
//     refused. Where the walk ends at a known node, more of a well-formed proof may
//     follow: it was asked for before other answers arrived.
//   - Known nodes are never replaced. A valid signature over nodes that
//     contradict them is the proof of a fork, [ForkError]. Not every fork shows at once:
//     growth that shares no node with what is known looks honest. A later answer
//     shows it, at the latest one to a digest of 0, which brings every node of the path.
//   - The size of a leaf that came without its content is not proved by its hash, only the
//     sum with its sibling is. Content that arrives later corrects both.
package tree
