package engine

import (
	"encoding/binary"
	"fmt"

	"github.com/cairn-feeds/cairn/tree"
)

// head is what is known of a feed as a whole after a change. A published head is
// never modified.
//
// Blocks below prefix are present whatever the pages of the block map say;
// the pages decide from there on. So the map of a feed that has everything, which
// is every writer's, takes no rows at all.
type head struct {
	length     uint64 // in blocks
	byteLength uint64 // of all blocks, present or not
	prefix     uint64 // blocks [0, prefix) are present
	present    uint64 // how many blocks are present
	flags      headFlags
	roots      []tree.Node // the full roots of length blocks, left to right
}

// headFlags are the properties of a feed that its head carries.
type headFlags byte

const (
	// flagGuarded: appending is refused, see Feed.Guarded.
	flagGuarded headFlags = 1 << iota
	// flagGrouped: the feed has rows of kindBlockGroup or kindNodeGroup.
	flagGrouped
	// flagForked: two signed histories of this feed were seen; see tableEvidence.
	flagForked
)

const headVersion = 1

// appendHead encodes h:
//
//	version 1 | flags 1 | length | byte length | prefix | present | per root: hash 32, size
//
// Numbers are varints. The indexes of the roots follow from the length.
func appendHead(dst []byte, h *head) []byte {
	dst = append(dst, headVersion, byte(h.flags))
	dst = binary.AppendUvarint(dst, h.length)
	dst = binary.AppendUvarint(dst, h.byteLength)
	dst = binary.AppendUvarint(dst, h.prefix)
	dst = binary.AppendUvarint(dst, h.present)
	for _, r := range h.roots {
		dst = append(dst, r.Hash[:]...)
		dst = binary.AppendUvarint(dst, r.Size)
	}
	return dst
}

// parseHead is the inverse of appendHead. It checks what can be checked without
// other rows.
func parseHead(b []byte) (*head, error) {
	bad := func(what string) (*head, error) { return nil, fmt.Errorf("head: %s: %w", what, ErrCorrupt) }
	if len(b) < 2 {
		return bad("too short")
	}
	if b[0] != headVersion {
		return bad(fmt.Sprintf("unknown version %d", b[0]))
	}
	h := &head{flags: headFlags(b[1])}
	b = b[2:]
	for _, p := range []*uint64{&h.length, &h.byteLength, &h.prefix, &h.present} {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return bad("truncated")
		}
		*p, b = v, b[n:]
	}
	if h.length > maxLength || h.prefix > h.length || h.present > h.length || h.present < h.prefix {
		return bad("numbers that contradict each other")
	}
	var indexes [64]tree.Index
	full := tree.AppendFullRoots(indexes[:0], h.length)
	h.roots = make([]tree.Node, len(full))
	var sum uint64
	for i := range h.roots {
		r := &h.roots[i]
		r.Index = full[i]
		if len(b) < len(r.Hash) {
			return bad("truncated roots")
		}
		b = b[copy(r.Hash[:], b):]
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return bad("truncated roots")
		}
		r.Size, b = v, b[n:]
		sum += v
	}
	if len(b) != 0 {
		return bad("trailing bytes")
	}
	if sum != h.byteLength {
		return bad("byte length is not the sum of the roots")
	}
	return h, nil
}

// maxLength bounds the number of blocks of a feed: flat-tree indexes stay below
// 2^53, as far as every peer is exact.
const maxLength = 1 << 52

func (h *head) guarded() bool { return h.flags&flagGuarded != 0 }

// complete reports whether every block is present.
func (h *head) complete() bool { return h.prefix == h.length }
