package tree

// A Delivery is an answer as it came from a stranger, before anything about it has
// been verified: a block or, when only the hash was asked for, nothing but a proof.
type Delivery struct {
	// Block is the number of the block.
	Block uint64
	// Data is the content of the block, when HasData is set. An empty block has
	// data too.
	Data    []byte
	HasData bool
	// Proof is what came with it.
	Proof Proof
}
