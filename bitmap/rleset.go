package bitmap

import "fmt"

// RLELimits says how far ReplaceRLE goes. The zero value works.
type RLELimits struct {
	// Length is the number of blocks that the encoding speaks of: blocks from
	// where it ends up to this length are missing, since an encoder leaves
	// trailing zeros out. Zero means that it speaks of no more than it has bits.
	// An encoding that goes on beyond Length is taken as it is.
	Length uint64
	// MaxBlocks is the most blocks that Length or the encoding may reach over.
	// Zero means as many as there are up to block 2^53, where the numbers of
	// JavaScript end.
	MaxBlocks uint64
	// MaxPages is the most pages that the encoding may have besides full and
	// empty ones, which cost nothing. Zero means 65,536, enough for every page of
	// a feed of 2^32 blocks; a negative number means any.
	MaxPages int
}

// maxBlock bounds block numbers: numbers of JavaScript are exact up to here.
const maxBlock = 1 << 53

// ReplaceRLE replaces the members from block start on, a multiple of 8, by the
// bitfield that src encodes. It returns the last block that is set in it, if any
// is.
//
// With an error, matching ErrInvalidRLE or ErrTooLarge, the set is unchanged. It
// works run by run: time and memory are in proportion to the length of src and
// the pages it touches, not to the number of blocks.
func (s *Set) ReplaceRLE(start uint64, src []byte, limits RLELimits) (last uint64, any bool, err error) {
	if start%8 != 0 {
		return 0, false, fmt.Errorf("%w: starts at block %d, no multiple of 8", ErrInvalidRLE, start)
	}
	size, err := RLELen(src)
	if err != nil {
		return 0, false, err
	}
	length := max(uint64(size)*8, limits.Length)
	most := limits.MaxBlocks
	if most == 0 {
		most = maxBlock - min(start, maxBlock)
	}
	// The second condition keeps start+length from overflowing.
	if length > most || length > ^start {
		return 0, false, fmt.Errorf("%w: %d blocks from block %d, at most %d allowed", ErrTooLarge, length, start, most)
	}
	maxPages := limits.MaxPages
	if maxPages == 0 {
		maxPages = 1 << 16
	}
	b, err := newBuilder(s, Run{start, start + length}, max(maxPages, 0))
	if err != nil {
		return 0, false, err
	}
	for at := start; len(src) > 0; {
		var c rleChunk
		if c, src, err = nextRLE(src); err != nil {
			return 0, false, err
		}
		switch {
		case !c.run:
			err = b.setBits(at, c.literal)
		case c.fill != 0 && c.size > 0:
			err = b.setRange(at, at+8*c.size)
		}
		if err != nil {
			return 0, false, err
		}
		at += 8 * c.size
	}
	if err := b.finish(); err != nil {
		return 0, false, err
	}
	return b.last, b.any, nil
}
