// Package bitmap keeps sets of block numbers: which blocks of a feed are here,
// which a peer has, which are wanted. It knows their three encodings, that of
// pages in a store, that of Have messages on the wire, and that of the bitfield
// file of hypercore 9. It does no I/O.
//
//   - A [Page] is a set of 2^16 consecutive blocks, the unit in which a store
//     keeps what is present.
//   - A [Set] is a set of any blocks in memory, made of pages.
//   - [AppendRLE], [DecodeRLE], [Set.AppendRLE] and [Set.ReplaceRLE] are the
//     run-length code of bitfields in Have messages.
//   - A [File] is the content of a bitfield file, a [FileView] makes the pages of
//     one from sets that are elsewhere.
//
// Nothing here walks blocks one by one: counting, searching, combining and
// encoding take time in proportion to the pages or runs that they meet. A range
// of full pages is one entry of a Set however long it is.
//
// # Pages in a store
//
// An encoded page begins with a byte for the version of the encoding (high half)
// and its form (low half). There is one version, 1. A page with up to 4096 runs
// of present blocks is written as its runs, any other as bits:
//
//	runs  +------+-------+-------+-   -+
//	      | 0x10 | run   | run   | ... |
//	      | 1    | 1 - 6 | 1 - 6 |     |
//	      +------+-------+-------+-   -+
//	bits  +------+---------------------+
//	      | 0x11 | a bit for each block|
//	      | 1    | 8192                |
//	      +------+---------------------+
//
// A run is a varint, or two:
//
//	gap*2               a single block
//	gap*2+1, length-2   length blocks, at least two
//
// gap is how many blocks are missing between the first one that the run might
// begin with and the one that it does begin with. That first one is 0 for the
// first run, otherwise the one after the block that must be missing behind the
// run before. Varints are unsigned LEB128 (7 bits a byte, low group first, high
// bit = continue) without needless bytes. Bits are in order, the most significant
// of a byte first. Examples, in hexadecimal:
//
//	no block             10
//	block 0              10 00
//	blocks 0 to 10       10 01 09
//	block 1 and 3 to 6   10 02 01 02
//	all 65,536           10 01 fe ff 03
//
// Each page has exactly one encoding, and [ParsePage] accepts no other. The last
// page of a feed that is appended to is a run, so that its row is a few bytes and
// costs nothing to rewrite.
//
// # Bitfields on the wire
//
// A Have message describes the blocks from its start on as bits, the most
// significant of a byte first, run-length encoded as a sequence of chunks:
//
//	run      +-----------------------+
//	         | varint n*4 + bit*2 +1 |               n bytes of 00 (bit 0) or ff (bit 1)
//	         +-----------------------+
//	literal  +------------+----------+
//	         | varint n*2 | n bytes  |               these bytes
//	         +------------+----------+
//
// Zero bytes at the end of a bitfield are not encoded. A decoder accepts any
// sequence of chunks, adjacent runs, empty chunks and padded varints included; a
// literal must not reach beyond the input.
//
// The encoder is that of the reference, byte for byte. It scans the bytes. A
// maximal run of n equal bytes, 00 or ff, that follows k bytes not yet written is
// written as a run, after those k as a literal, if that is shorter than one
// literal of all of them:
//
//	cost(k) + len(n*4 + 2*bit + 1) < cost(k+n),  cost(0) = 0, cost(k) = len(2*k) + k
//
// where len is the length of a varint. Otherwise the n bytes stay with the k.
// (That happens to runs of one byte only.) At the end the rest is a literal.
//
// # Bitfield files
//
// The file "bitfield" of a feed has a header of 32 bytes, of which this package
// sees the entry size only, and then pages of 3584 bytes:
//
//	+-----------+-----------+-------+
//	| data bits | tree bits | index |
//	| 1024      | 2048      | 512   |
//	+-----------+-----------+-------+
//
// Block b is bit b mod 8192 of the data bits of page b div 8192, tree node t is
// bit t mod 16384 of the tree bits of page t div 16384, and byte k of the index is
// byte k mod 512 of the index of page k div 512. Bits are the most significant
// first. Older feeds have 256 bytes of index in a page and pages of 3328 bytes;
// the entry size in the header of the file tells, and stays.
//
// Tree nodes are numbered as in a flat tree, leaves even:
//
//	depth 2:        3
//	depth 1:    1       5
//	depth 0:  0   2   4   6
//
// Setting a node sets its parent if the sibling is set, too, and so on upwards
// until a parent was set already.
//
// The index serves to find missing blocks fast. It is a flat tree of bytes over
// the data. A leaf, byte 2j, has two bits for each of the bytes 4j to 4j+3 of all
// data bits, the first in the highest bits:
//
//	11  all bits are set    00  none is    01  some are
//
// An inner node has two bits for each half of its children: 11 if the half says
// that all below is set (1111), 00 if none is (0000), else 01; the left child in
// the high half. So a byte always tells about four quarters of the blocks below
// its node. Children beyond the pages of the file count as 00, even if blocks
// below them are set. A reader that trusts the index would never find a missing
// block below a wrong 11, while the others are harmless.
//
// The index is thus a function of the data bits and the number of pages. A File
// does not store it but makes it with each page, and reads it only to notice
// where it is not as it should be. (The reference updates its index upwards from
// each byte that changes, so that in two cases it says less than it could: above
// blocks that were set before a page with an index byte about them existed, which
// needs a jump over a page or an old index size. For blocks that were appended
// the bytes are the same.)
package bitmap
