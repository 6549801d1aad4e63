// Package sleep reads and writes the files in which hypercore 9 keeps a feed, a
// format called SLEEP. [Open] takes any six random-access storages: a directory
// that a Node program left behind, or one that it will open next.
//
// It is a layer of bytes. What goes into a feed is decided above it, by tree,
// which makes and checks nodes and signatures; [Files] stores what it is told,
// in an order that survives crashes, and repairs what a crash left.
//
// # Files
//
//	key          public key, 32 bytes
//	secret_key   secret key, 64 bytes; only of a feed that is written here
//	data         the blocks, one after the other, nothing between them
//	tree         header, then node i of the flat tree at 32 + 40i
//	signatures   header, then slot i at 32 + 64i
//	bitfield     header, then page p at 32 + 3584p
//
// All integers are big-endian. A file ends where it was last written: after 11
// blocks the tree has 32 + 40*21 bytes. What lies before that and was never
// written reads as zeros.
//
// # Header
//
//	+----------+------+---------+------------+-------------+-----------+
//	| 05 02 57 | type | version | entry size | name length | name      |
//	| 3        | 1    | 1 (00)  | 2          | 1           | 24, zeros |
//	+----------+------+---------+------------+-------------+-----------+
//
//	bitfield     type 0, entry size 3584, no name
//	signatures   type 1, entry size 64, Ed25519
//	tree         type 2, entry size 40, BLAKE2b
//
// # Entries
//
//	node         +-------------------+---------+     40 bytes; all zeros: absent
//	             | hash              | size    |
//	             | 32                | 8       |
//	             +-------------------+---------+
//	signature    64 bytes in the slot of the last block that it covers; all
//	             zeros: blank. A batch of blocks has one signature.
//
// Block n starts in data where the full roots of n blocks end: at the sum of
// their sizes. A block that a replica lacks is a hole.
//
// # Bitfield
//
//	page         +-----------+-----------+-----------+
//	             | data bits | tree bits | index     |
//	             | 1024      | 2048      | 512       |
//	             +-----------+-----------+-----------+
//
// Block b has bit b mod 8192 of page b/8192, node t bit t mod 16384 of page
// t/16384; the most significant bit of a byte comes first. A data bit says that
// the block is here, a tree bit that the node is known: a node is known when it
// was stored or when both its children are known. The index is made from the data
// bits; package bitmap describes it. In old feeds it has 256 bytes: the entry size
// in the header is 3072 more than it.
//
// The length of the feed is not stored. It is what the tree bits say: see
// [tree.KnownLength].
//
// # Writing
//
// A change is written in this order, and every step may find the leftovers of a
// change that did not get as far as its commit record:
//
//  1. blocks to data, nodes to tree, the signature to its slot;
//  2. with Options.Sync: the data bits of the new blocks; then all is synced;
//  3. the pages of the bitfield that changed, the last one first: the commit
//     record. With Options.Sync it is synced.
//
// Up to 3 nothing that was written means anything. Step 2 writes data bits early
// because a page is more than a disk writes at once. When power is lost during 3,
// any mixture of old and new bits may be found, but each new one is true, since
// it speaks of what was synced. What follows from other bits can be added: a node
// whose children are known, and the leaf under a data bit, by hashing up to a
// known node. That a block was cleared, though, follows from nothing.
//
// # Opening
//
//  1. The bitfield is opened first of the files that change, which takes the
//     lock. The header of each file has to be the one above, or the beginning of
//     it with nothing behind: then the feed was never finished and is new.
//  2. The key is the stored one. If it is not the one asked for: [OtherFeedError].
//     A secret key alone gives its public key, since it is written first. Without
//     any a new pair is made, unless the bitfield has pages: these are somebody's
//     feed, and [ErrDamaged] says so.
//  3. The pages are read, and bits added that follow from others.
//  4. The length is what the tree bits say. If there are signatures behind it, and
//     one of them is valid for the roots in the tree, the length is that one's:
//     a crash came before the commit record, or the bitfield was lost. The
//     nodes and blocks that hash to these roots get their bits.
//  5. The roots of the length have to be there and to fit their signature. If not,
//     the bitfield is ahead of the rest, as after a loss of power without syncs:
//     the length is the last one that was signed, or [ErrDamaged].
//  6. Keys, headers and pages are written where they have changed.
//
// [Files.Recovery] tells what 3 to 5 did.
//
// # Where it differs from hypercore 9.12
//
// The bytes that changes leave are the same, with one exception: the index. Here
// it always says what the data bits say. The reference leaves some inner nodes of
// it behind when a replica learns of nodes in a new page before it has blocks
// there. (Both are harmless: no entry says that a block is here which is not.)
//
// A feed whose key is lost is not overwritten with a new one. Leftovers behind the
// length are cut off before the feed grows over them, and so are the files of a
// feed that is overwritten. Nothing is created when there is no feed and none may
// be. A blank signature in the last slot does not make a feed static for good.
// Clearing works where a sparse replica does not know all offsets. Deleting works
// if some file is not there.
package sleep
