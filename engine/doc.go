// Package engine keeps append-only feeds: signed logs of blocks that are verified
// with a Merkle tree (hypercore 9). All feeds of a [Store] live in one Pebble
// database; a feed can also live in six files of its own, as hypercore 9 keeps it
// ([OpenFiles]). A [Feed] is the same in both places.
//
// The package knows no network. What a feed waits for is in its demand
// ([Feed.Demand]); whoever can ask others reads it, and hands what comes to
// [Feed.Deliver], which verifies before it stores.
//
// # Key space
//
// All integers are big-endian, and "varint" is the unsigned varint of Protocol
// Buffers. The first byte of a key is its table:
//
//	table       key                               value
//	00 store    "format"                          varint: version, now 1
//	            "id"                              16 random bytes
//	            "next"                            varint: feed numbers from here on are unused
//	            "seal"                            msgpack: how secret keys are sealed
//	01 feeds    discovery key 32                  msgpack: number, public key, created, name, writable
//	02 heads    feed number 8                     head, see below
//	03 secrets  feed number 8                     secret key, see below
//	04 names    name, UTF-8                       discovery key 32
//	05 sets     reserved for sets of feeds
//	06 static   the catalogue of static feeds
//	07 forks    feed number 8, count 8            msgpack: two signed histories
//	08 limits   reserved for quotas
//	40 data     feed number 8, kind 1, index 8    see below
//	80 and up   owner, 00, any                    rows of those who embed the store
//
// The rows of a feed stand together, so a small feed is one block of a table,
// what it costs is one range, and dropping it is one operation. A feed number is
// given once and never again.
//
// # Heads
//
//	+---------+-------+--------+-------------+--------+---------+------------------------+
//	| version | flags | length | byte length | prefix | present | per full root:         |
//	| 1       | 1     | varint | varint      | varint | varint  | hash 32 | size varint  |
//	+---------+-------+--------+-------------+--------+---------+------------------------+
//
// Flags: 1 guarded, 2 has groups, 4 forked. The indexes of the roots follow from the
// length. Opening a feed takes its rows in the tables 01 and 02 and nothing else.
//
// # Feed data
//
//	kind                index           value
//	01 map              page number     page of 65,536 blocks, see package bitmap
//	02 node group       subtree number  63 nodes of 40 bytes
//	03 node             flat-tree index hash 32, size 8
//	04 signature        last block      64 bytes
//	05 block group      group number    16 sizes+1 as varints (0: absent), then the blocks
//	06 block            block number    the block
//
// Blocks below the head's prefix are present; from there on the map says which. So
// a feed that has everything needs no map at all. Pages below the prefix are
// dropped, and bits below it in a page that straddles it mean nothing.
//
// What arrives together is stored together: 16 consecutive blocks of at most 64 KiB
// in all as a block group, the 63 nodes of a subtree of 32 blocks as a node group.
// Group g of nodes holds the indexes 64g to 64g+62. The rest has rows of its own. A
// node or block is looked for in its group first, if the head's flag says that
// there are groups; a block that was cleared out of a group and came back has a row
// of its own.
//
// # Secret keys
//
//	+---------+---------------+       +---------+----------+------------------------------+
//	| 00      | secret key 64 |   or  | 01      | nonce 24 | XChaCha20-Poly1305 of it, 80 |
//	+---------+---------------+       +---------+----------+------------------------------+
//
// The key of the seal is Argon2id of the passphrase with the parameters of the row
// "seal" (RFC 9106, section 4, the second choice); the associated data is
// "cairn secret key " and the public key.
//
// # Changes
//
// A change is all that one append, delivery or clear alters: blocks, nodes, a
// signature, pages of the map and the head. It is one batch of the database: after
// a crash it is there as a whole or not at all. Each feed has one change on its way
// at most; what arrives meanwhile becomes the next one, so appends that meet share a
// signature and deliveries share a verification. The changes of all feeds meet in
// the committer, which groups them and syncs once for a group.
//
// Readers see the head of the last change that is committed, and never wait.
//
// # Locks
//
// In the order in which they are taken: a feed's lock for opening and destroying
// (Store.lockFeed), Store.nameLock, Store.mu, live.mu. The demand's own lock and a
// subscription's are taken last. The writer of a feed (live.write) is not a lock but
// a queue; it is held across the commit, and nothing waits for it but writes.
package engine
