package tree_test

import (
	"fmt"

	"github.com/cairn-feeds/cairn/tree"
)

// A writer appends and signs; a reader that knows the public key alone verifies
// the second block.
func Example() {
	pair := tree.KeyPairFromSeed([32]byte{})
	var crypto *tree.Crypto // Ed25519

	// The writer.
	blocks := [][]byte{[]byte("hello"), []byte("world"), []byte("!")}
	builder, err := tree.NewBuilder(0, nil)
	if err != nil {
		panic(err)
	}
	nodes := tree.NodeMap{}
	nodes.Add(builder.Append(nil, blocks)...)
	signature, err := crypto.SignRoots(builder.Roots(), builder.Length(), pair.Secret)
	if err != nil {
		panic(err)
	}

	// The reader asks for a block and says what it knows: nothing.
	known := tree.NodeMap{}
	digest, err := tree.Digest(known, 1, 0)
	if err != nil {
		panic(err)
	}

	// The writer answers with the block and a proof.
	proof, err := tree.Prove(nodes, func(slot uint64) (tree.Signature, error) {
		if slot != 2 {
			return tree.Signature{}, tree.ErrNoSignature
		}
		return signature, nil
	}, 1, digest, false)
	if err != nil {
		panic(err)
	}

	// The reader verifies it and stores what it learned.
	verifier := tree.Verifier{Reader: known, Key: pair.Public}
	verified, err := verifier.Block(1, blocks[1], proof)
	if err != nil {
		panic(err)
	}
	known.Add(verified.Nodes...)
	fmt.Println("length", verified.Length, "bytes", verified.ByteLength)
	fmt.Println("block 1 begins at", verified.ByteOffset)

	_, err = verifier.Block(1, []byte("w0rld"), proof)
	fmt.Println(err)
	// Output:
	// length 3 bytes 11
	// block 1 begins at 5
	// block 1: tree: remote checksum failed at node 2
}

func ExampleSeek() {
	builder, err := tree.NewBuilder(0, nil)
	if err != nil {
		panic(err)
	}
	nodes := tree.NodeMap{}
	nodes.Add(builder.Append(nil, [][]byte{[]byte("hello"), []byte("world"), []byte("!")})...)
	found, err := tree.Seek(nodes, builder.Roots(), 7)
	if err != nil {
		panic(err)
	}
	fmt.Printf("block %d, byte %d\n", found.Block, found.Offset)
	// Output: block 1, byte 2
}
