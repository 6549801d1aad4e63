package sleep

import (
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// HasBlock reports whether a block is present.
func (f *Files) HasBlock(n uint64) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return n < f.head.length && f.bits.HasBlock(n)
}

// CountBlocks returns how many of the blocks [start, end) are present.
func (f *Files) CountBlocks(start, end uint64) uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	end = min(end, f.head.length)
	return f.bits.CountBlocks(min(start, end), end)
}

// NextBlock returns the first block at or after n that is present.
func (f *Files) NextBlock(n uint64) (uint64, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	next, ok := f.bits.NextBlock(n)
	if !ok || next >= f.head.length {
		return 0, false
	}
	return next, true
}

// NextMissing returns the first block at or after n that is not present. It may
// be the length, or n if that is more.
func (f *Files) NextMissing(n uint64) uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return max(n, min(f.bits.NextMissingBlock(n), f.head.length))
}

// Blocks yields the blocks of [start, end) that are present as runs, in order. It
// holds no lock while it yields: what is changed meanwhile may be in it or not.
func (f *Files) Blocks(start, end uint64) iter.Seq[bitmap.Run] {
	return func(yield func(bitmap.Run) bool) {
		for start < end {
			first, ok := f.NextBlock(start)
			if !ok || first >= end {
				return
			}
			start = min(f.NextMissing(first), end)
			if start > first && !yield(bitmap.Run{Start: first, End: start}) {
				return
			}
		}
	}
}

// BlockRange returns where a block is in the data. If nodes that this takes are
// not known the error matches tree.ErrMissingRoots or tree.ErrUnknownNode.
func (f *Files) BlockRange(n uint64) (offset, size uint64, err error) {
	leaf, err := f.ReadNode(tree.LeafIndex(n))
	if err != nil {
		return 0, 0, err
	}
	offset, err = tree.ByteOffset((*knownTree)(f), n)
	if err == nil && offset > tree.MaxSize-leaf.Size {
		err = damaged(TreeFile, "block %d ends past byte %d", n, uint64(tree.MaxSize))
	}
	return offset, leaf.Size, err
}

// ReadBlock appends a block to dst; if it is not present the error matches
// ErrNoBlock. As in the reference, what was read is not compared with its hash.
func (f *Files) ReadBlock(dst []byte, n uint64) ([]byte, error) {
	if !f.HasBlock(n) {
		return nil, fmt.Errorf("sleep: block %d: %w", n, ErrNoBlock)
	}
	offset, size, err := f.BlockRange(n)
	if err != nil {
		return nil, fmt.Errorf("sleep: block %d: %w", n, err)
	}
	return f.ReadData(dst, offset, size)
}

// uncheckedRead is how much is allocated without asking whether the data is that
// long. Sizes come from the tree, which may be damaged.
const uncheckedRead = 64 << 10

// ReadData appends size bytes of the data from offset to dst. If the data ends
// before, the error matches ErrDamaged.
func (f *Files) ReadData(dst []byte, offset, size uint64) ([]byte, error) {
	if offset > tree.MaxSize || size > tree.MaxSize || size > math.MaxInt {
		return nil, damaged(DataFile, "no %d bytes at %d", size, offset)
	}
	if size > uncheckedRead {
		info, err := f.data.Stat()
		if err != nil {
			return nil, err
		}
		if uint64(info.Size) < offset+size {
			return nil, damaged(DataFile, "ends at %d, before %d bytes at %d", info.Size, size, offset)
		}
	}
	dst = slices.Grow(dst, int(size))
	p := dst[len(dst):][:size]
	n, err := readUpTo(f.data, p, int64(offset))
	if err != nil {
		return nil, err
	}
	if n < len(p) {
		return nil, damaged(DataFile, "ends at %d, before %d bytes at %d", offset+uint64(n), size, offset)
	}
	return dst[:len(dst)+n], nil
}
