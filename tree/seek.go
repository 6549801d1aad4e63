package tree

import "fmt"

// SeekResult is where a byte offset lies.
type SeekResult struct {
	// Exact says that Block and Offset are known.
	Exact bool
	// Block contains the byte, Offset bytes after its beginning.
	Block, Offset uint64
	// Start and End are the blocks [Start, End) among which the byte lies when
	// the nodes that would tell are not known.
	Start, End uint64
}

// Seek finds the block that contains a byte of the feed with the given full
// roots, which go from left to right. Empty blocks contain no byte, so they are
// skipped. Offset 0 is block 0 even in an empty feed, and the offset equal to the byte
// length is the block behind the last one. Beyond it the error matches
// ErrOutOfBounds.
//
// Where nodes are not known the answer is a range of blocks; a search among peers
// goes on there.
func Seek(r Reader, roots []Node, bytes uint64) (SeekResult, error) {
	if bytes == 0 {
		return SeekResult{Exact: true}, nil
	}
	length, total := uint64(0), bytes
	for _, root := range roots {
		if bytes < root.Size {
			return seekBelow(r, root.Index, bytes)
		}
		bytes -= root.Size
		length = root.Index.end()
	}
	if bytes > 0 {
		return SeekResult{}, fmt.Errorf("byte offset %d, byte length %d: %w", total, total-bytes, ErrOutOfBounds)
	}
	return SeekResult{Exact: true, Block: length}, nil
}

// seekBelow finds a byte that is known to lie below top.
//
// It descends along known nodes. Below a node whose left child is not known it
// goes on with the first known node of the left edge; what lies right of that
// one is of unknown size, so that the range stays that of the last node whose
// size decided.
func seekBelow(r Reader, top Index, bytes uint64) (SeekResult, error) {
	nearest := top
	for !top.IsLeaf() {
		left, _ := top.Left()
		for {
			known, err := r.Has(left)
			if err != nil {
				return SeekResult{}, err
			}
			if known {
				break
			}
			if left.IsLeaf() {
				return seekRange(nearest), nil
			}
			left, _ = left.Left()
		}
		n, err := r.Node(left)
		if err != nil {
			return SeekResult{}, fmt.Errorf("seek: %w", err)
		}
		if bytes < n.Size {
			nearest, top = left, left
			continue
		}
		bytes -= n.Size
		if left.Parent() == nearest {
			nearest = left.Sibling()
		}
		top = left.Sibling()
	}
	if nearest.IsLeaf() {
		return SeekResult{Exact: true, Block: nearest.Block(), Offset: bytes}, nil
	}
	return seekRange(nearest), nil
}

func seekRange(i Index) SeekResult {
	return SeekResult{Start: i.LeftSpan().Block(), End: i.end()}
}
