package tree

// VerifiedBy tells how long a feed the node i is known to be part of: it returns
// twice that length, the index behind the last leaf, and 0 if i is not known.
//
// From i it climbs while both the parent and the sibling are known, and then goes
// right over the largest known trees, each smaller than the one before: these
// are the full roots that i was verified with.
func VerifiedBy(r Reader, i Index) (Index, error) {
	known, err := r.Has(i)
	if err != nil || !known {
		return 0, err
	}
	top := i
	for top.Depth() < maxRoots {
		parent := top.Parent()
		if known, err = hasBoth(r, parent, top.Sibling()); err != nil {
			return 0, err
		}
		if !known {
			break
		}
		top = parent
	}
	next := top.end()
	for depth := top.Depth() - 1; depth >= 0; depth-- {
		// next is a multiple of 2^(depth+1): larger trees were found or skipped.
		if known, err = r.Has(At(depth, next>>uint(depth))); err != nil {
			return 0, err
		}
		if known {
			next += 1 << uint(depth)
		}
	}
	return LeafIndex(next), nil
}

// KnownLength returns the length of a feed of which nothing but its nodes is
// known, 0 for none. No node at or above limit may be known; a larger limit
// costs a lookup for each doubling and changes nothing.
//
// It climbs the left spine 0, 1, 3, 7, ... to its highest known node: whatever
// the feed's length, its first full root lies there.
func KnownLength(r Reader, limit Index) (uint64, error) {
	top := Index(0)
	for next := Index(0); next.RightSpan() < limit && next.Depth() < maxRoots; {
		next = next.Parent()
		known, err := r.Has(next)
		if err != nil {
			return 0, err
		}
		if known {
			top = next
		}
	}
	end, err := VerifiedBy(r, top)
	return end.Block(), err
}

func hasBoth(r Reader, a, b Index) (bool, error) {
	known, err := r.Has(a)
	if err != nil || !known {
		return false, err
	}
	return r.Has(b)
}
