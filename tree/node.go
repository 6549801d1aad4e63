package tree

// Node is a node of the tree: what a hash is known to stand for.
type Node struct {
	Index Index
	Hash  Hash
	// Size is the number of bytes of all blocks below the node.
	Size uint64
}

// Leaf returns the leaf of a block with the given content.
func Leaf(block uint64, data []byte) Node {
	return Node{Index: LeafIndex(block), Hash: LeafHash(data), Size: uint64(len(data))}
}

// ParentNode returns the parent of two siblings, given in either order. That
// they are siblings is up to the caller; the index is that of the parent of a.
func ParentNode(a, b Node) Node {
	return Node{Index: a.Index.Parent(), Hash: ParentHash(a, b), Size: a.Size + b.Size}
}

// byteLength returns the sum of the sizes of nodes; ok is false when it is more
// than MaxSize.
func byteLength(nodes []Node) (sum uint64, ok bool) {
	for i := range nodes {
		if nodes[i].Size > MaxSize-sum {
			return 0, false
		}
		sum += nodes[i].Size
	}
	return sum, true
}
