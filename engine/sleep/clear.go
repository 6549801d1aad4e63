package sleep

import (
	"errors"

	"github.com/cairn-feeds/cairn/tree"
)

// Clear marks the blocks [start, end) as missing and frees their data. It returns
// how many were present. Nodes and signatures stay, so they can be downloaded
// again and others can still be proved.
//
// As in the reference, data is freed only if it is at the end of the file: there
// the file is cut off. The bits are written first: after a crash the data may be
// left over, but no block is missing that is marked as present.
func (f *Files) Clear(start, end uint64) (cleared uint64, err error) {
	f.change.Lock()
	defer f.change.Unlock()
	if err := f.checkWritable(); err != nil {
		return 0, err
	}
	end = min(end, f.head.length)
	first, ok := f.NextBlock(start)
	if !ok || first >= end {
		return 0, nil
	}
	from, to, err := f.clearedBytes(start, first, end)
	if err != nil {
		return 0, err
	}
	f.mu.Lock()
	cleared = f.bits.ClearBlocks(start, end)
	f.mu.Unlock()
	if err := f.writePages(nil); err != nil {
		return 0, f.fail(err)
	}
	return cleared, f.data.Delete(int64(from), int64(to-from))
}

// clearedBytes returns which data to free for the blocks [start, end), of which
// first is the first present one: all of it if it is known where they are, else at
// least that of the blocks that are present, and none if the tree is damaged.
func (f *Files) clearedBytes(start, first, end uint64) (from, to uint64, err error) {
	from, err = tree.ByteOffset((*knownTree)(f), start)
	if errors.Is(err, tree.ErrMissingRoots) {
		from, _, err = f.BlockRange(first)
	}
	if err == nil {
		to, err = f.endOfBytes(first, end)
	}
	switch {
	case errors.Is(err, tree.ErrMissingRoots), errors.Is(err, tree.ErrUnknownNode), errors.Is(err, tree.ErrSize), errors.Is(err, ErrDamaged):
		return 0, 0, nil
	case err != nil:
		return 0, 0, err
	}
	return from, max(from, to), nil
}

func (f *Files) endOfBytes(first, end uint64) (uint64, error) {
	if end == f.head.length {
		return f.head.byteLength, nil
	}
	to, err := tree.ByteOffset((*knownTree)(f), end)
	if !errors.Is(err, tree.ErrMissingRoots) {
		return to, err
	}
	last := first
	for run := range f.Blocks(first, end) {
		last = run.End - 1
	}
	offset, size, err := f.BlockRange(last)
	return offset + size, err
}
