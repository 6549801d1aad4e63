package sleep_test

import (
	"context"
	"fmt"
	"os"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// A feed of two blocks, in a directory that hypercore 9 opens as its own.
func Example() {
	ctx := context.Background()
	path, err := os.MkdirTemp("", "feed")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(path)
	dir := randomaccess.NewDirectory(path, randomaccess.DirectoryOptions{})

	f, err := sleep.Open(ctx, dir.Open, sleep.Options{SecretKey: tree.KeyPairFromSeed([32]byte{}).Secret})
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Println(f.Key())

	// Package tree makes the nodes and the signature.
	blocks := [][]byte{[]byte("hello"), []byte("world")}
	builder, err := tree.NewBuilder(0, nil)
	if err != nil {
		panic(err)
	}
	change := sleep.Change{Nodes: builder.Append(nil, blocks), Length: 2}
	for i, b := range blocks {
		change.Blocks = append(change.Blocks, sleep.Block{Index: uint64(i), Offset: uint64(5 * i), Data: b})
	}
	secret, _ := f.SecretKey()
	signature, err := (*tree.Crypto)(nil).SignRoots(builder.Roots(), 2, secret)
	if err != nil {
		panic(err)
	}
	change.Signatures = []sleep.SlotSignature{{Slot: 1, Signature: signature}}
	if err := f.Commit(change); err != nil {
		panic(err)
	}

	block, err := f.ReadBlock(nil, 1)
	fmt.Printf("%s %v, length %d\n", block, err, f.Length())
	report, err := f.Verify(ctx, sleep.VerifyOptions{})
	fmt.Println(report.OK(), err)
	// Output:
	// 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29
	// world <nil>, length 2
	// true <nil>
}
