// Package static keeps static feeds in a store: the feeds of hypercore 1, whose id is a
// hash of their content. Blocks are appended to a new feed, [Feed.Finalize] gives it its
// id, and from then on it never changes. Whoever knows the id can fetch the feed, whole or
// in part, from anybody who has it, and verify each block. What fetches them is package
// replicate/static; this one knows no network.
//
//	core, err := static.Open(store, nil)
//	feed := core.Add()
//	feed.Append(ctx, []byte("hello"), []byte("world"))
//	id, err := feed.Finalize(ctx) // e1a31bb8716f0a04...
//
//	feed, err = core.Get(id)
//	block, err := feed.Get(ctx, 1) // waits until the block is here
//
// # Ids
//
// All hashes are SHA-256. Nodes are numbered as in the flat trees of package tree: block
// n is the leaf 2n. Integers are big-endian.
//
//	leaf    +------+--------+        parent  +------+-----------+------------+
//	        | 0x00 | block  |                | 0x01 | left hash | right hash |
//	        | 1    | length |                | 1    | 32        | 32         |
//	        +------+--------+                +------+-----------+------------+
//	id      +------+-----------+-------+-----------+-------+-   -+
//	        | 0x02 | root hash | index | root hash | index | ... |
//	        | 1    | 32        | 8     | 32        | 8     |     |
//	        +------+-----------+-------+-----------+-------+-   -+
//
// The roots of an id are the full roots of the feed's length, from left to right. No sizes
// are hashed, so the length of a feed in bytes is known only to who has all its blocks. The
// feed of the blocks "hello" and "world" is
// e1a31bb8716f0a0487377e22dbc7f0491fb47a712ac21519792a4e32cf56fb6f. A feed without blocks
// has no id.
//
// # Proofs
//
// A block comes with the hashes that lead from it to the id: the sibling of its leaf, then
// the uncles upwards as long as they lie within the feed, then all full roots of the feed
// from left to right, also those that were uncles. In a feed of five blocks:
//
//	      3               block 2 (leaf 4)   6 1 | 3 8
//	  1       5           block 4 (leaf 8)   | 3 8
//	0   2   4   6   8
//
// Who does not know the length yet takes it from the last root, and checks that the roots
// hash to the id. Then, and for every block after that, hashes are computed upwards from
// the block, each sibling taken from the proof if it is the next there, else from what is
// known, until one is known already: it has to be equal. All hashes met on the way are
// kept. Nothing is stored before it is verified.
//
// # Rows
//
// Static feeds live in the static table of the store's key space (see package engine), in
// rows that begin with a kind. Each feed has a number of its own, never used twice, so
// that its rows are one range:
//
//	      kind                       value
//	01 +  id (32)                    record of a feed with an id
//	02                               uvarint: no feed has this number or a higher one
//	03 +  number (8)                 empty: a feed that has no id yet
//	40 +  number (8) 01 page (8)     page of the map of present blocks, as in package bitmap
//	40 +  number (8) 02 index (8)    hash of a node (32)
//	40 +  number (8) 03 block (8)    a block
//
// A record is varints: the version 1, number, blocks, present blocks, present bytes,
// prefix, and the time when it was made in seconds since 1970. All blocks below prefix are
// present; pages are there only where a block above the prefix is. A feed is recorded with
// its first verified block, so blocks is never 0.
//
// One Write of the store is one change: a download is blocks, nodes, pages and record at
// once. The blocks of a feed without id are not synced; Finalize is, and everything before
// with it. What a process that ended left unfinished is removed by the next [Open].
//
// # Limits
//
// A block has at most [MaxBlockSize] bytes, so that it fits into a frame of hypercore 1
// with its proof, and a feed has at most [MaxBlocks], as many as a peer of hypercore 1 keeps
// track of. Per open feed memory is the map of present blocks, at most 4 MiB and a few
// bytes when blocks came in order; a feed that nobody has open costs none.
package static
