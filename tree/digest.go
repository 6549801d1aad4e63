package tree

// Digest returns what a request for a block says about the hashes that the
// requester has on the block's path (Request.nodes of the wire).
//
//	bit 0   an ancestor is known; the highest bit marks its level
//	bit k   the sibling of the path's node at depth k-1 is known, k >= 1
//
// Special values: 0 means that nothing is known, and 1 that the answer needs no
// nodes, either because the leaf itself is known or because every sibling up to
// a known ancestor is.
//
// No node at or above limit may be known to r. The walk up ends at the first
// known ancestor or where the limit is passed.
func Digest(r Reader, block uint64, limit Index) (uint64, error) {
	x := LeafIndex(block)
	known, err := r.Has(x)
	if err != nil {
		return 0, err
	}
	if known {
		return 1, nil
	}
	limit = max(limit, x.Sibling()+2)
	digest := uint64(0)
	for bit := uint64(2); ; bit <<= 1 {
		sibling, parent := x.Sibling(), x.Parent()
		if parent.Depth() > maxRoots || sibling.RightSpan() >= limit && parent.LeftSpan() == 0 {
			return digest, nil
		}
		if known, err = r.Has(sibling); err != nil {
			return 0, err
		}
		if known {
			digest |= bit
		}
		if known, err = r.Has(parent); err != nil {
			return 0, err
		}
		if known {
			digest |= bit<<1 | 1
			if digest+1 == bit<<2 {
				return 1, nil
			}
			return digest, nil
		}
		x = parent
	}
}
