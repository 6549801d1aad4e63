package bitmap

import "iter"

// A byte of the index has four states of two bits, one for each quarter of the
// blocks below its node, the first in the highest bits. The quarters of a leaf are
// of 8 blocks: a byte of the data.
const (
	stateEmpty = 0b00
	stateMixed = 0b01
	stateFull  = 0b11
)

// indexParent returns the byte of the node with these children.
func indexParent(left, right byte) byte {
	return halfState(left>>4)<<6 | halfState(left&15)<<4 | halfState(right>>4)<<2 | halfState(right&15)
}

// halfState returns the state of two quarters together.
func halfState(quarters byte) byte {
	switch quarters {
	case stateEmpty<<2 | stateEmpty:
		return stateEmpty
	case stateFull<<2 | stateFull:
		return stateFull
	}
	return stateMixed
}

// indexLeaf returns the byte of the leaf of these four bytes of data.
func indexLeaf(data []byte) (leaf byte) {
	for _, v := range data[:4] {
		leaf <<= 2
		switch v {
		case 0x00:
		case 0xff:
			leaf |= stateFull
		default:
			leaf |= stateMixed
		}
	}
	return leaf
}

// fillIndex sets the index bytes of page p, whose data bits are data.
func (v FileView) fillIndex(index []byte, p uint64, data []byte) {
	size := uint64(len(index))
	base := p * size
	// Where the index of a page is not about its own blocks, as in older feeds,
	// those that it is about are read.
	first := base + base&1 // the first leaf; its blocks begin at 16*first
	if leaves := (base + size + 1 - first) / 2; 16*first != p*FilePageBlocks || 4*leaves > uint64(len(data)) {
		data = make([]byte, 4*leaves)
		readBits(data, v.Blocks, 16*first)
	}
	for k := first; k < base+size; k += 2 {
		index[k-base] = indexLeaf(data)
		data = data[4:]
	}
	for half := uint64(1); 2*half-1 < base+size; half *= 2 {
		// The nodes of this depth are 2*half-1, and on in steps of 4*half.
		step := 4 * half
		k := base&^(step-1) + 2*half - 1
		if k < base {
			k += step
		}
		for ; k < base+size; k += step {
			if k-half >= base && k+half < base+size {
				index[k-base] = indexParent(index[k-half-base], index[k+half-base])
			} else {
				index[k-base] = v.indexByte(k)
			}
		}
	}
}

// indexByte returns byte k of the index, which is within the pages of the file.
//
// Children outside of the pages count as empty, though blocks below them may be
// present. Such children are found only down the right edge below a node, so that
// a node sees the blocks below it up to the first one below such a child.
func (v FileView) indexByte(k uint64) (b byte) {
	area := v.Pages * uint64(v.indexSize())
	half := uint64(1) << flatDepth(k) / 2 // from the node to its children
	start := 16 * (k + 1 - max(2*half, 1))
	quarter := 8 * max(2*half, 1)
	see := start + 4*quarter
	for child := k + half; half > 0; child += half {
		if child >= area {
			see = 16 * (child + 1 - half)
			break
		}
		half /= 2
	}
	for q := start; q < start+4*quarter; q += quarter {
		b = b<<2 | v.state(q, q+quarter, see)
	}
	return b
}

// state returns the state of the blocks [start, end), of which those from see on
// count as missing.
func (v FileView) state(start, end, see uint64) byte {
	see = max(start, min(end, see))
	var empty bool
	var present uint64 // up to here all are
	if s, ok := v.Blocks.(*Set); ok {
		first, some := s.NextPresent(start)
		empty, present = !some || first >= see, min(s.NextMissing(start), see)
	} else {
		empty, present = firstRun(v.Blocks.Runs(start, see), start)
	}
	switch {
	case empty:
		return stateEmpty
	case present == end:
		return stateFull
	}
	return stateMixed
}

// firstRun reports whether there are no runs, and where those that begin at start
// and touch each other end.
func firstRun(runs iter.Seq[Run], start uint64) (empty bool, end uint64) {
	empty, end = true, start
	for r := range runs {
		if empty = false; r.Start != end {
			break
		}
		end = r.End
	}
	return empty, end
}
