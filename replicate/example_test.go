package replicate_test

import (
	"context"
	"fmt"
	"net"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/replicate"
)

// A host serves a whole store; another one downloads a feed of it.
func ExampleHost() {
	ctx := context.Background()
	from, _ := engine.Open("from", &engine.Options{FS: vfs.NewMem()})
	defer from.Close()
	feed, _ := from.Create(ctx, nil)
	defer feed.Close()
	feed.Append(ctx, []byte("hello"), []byte("world"))

	to, _ := engine.Open("to", &engine.Options{FS: vfs.NewMem()})
	defer to.Close()
	copied, _ := to.Open(ctx, feed.Key(), nil)
	defer copied.Close()

	here, there := net.Pipe() // any io.ReadWriteCloser will do
	server := replicate.NewHost(replicate.StoreOf(from), nil)
	defer server.Close()
	go server.Serve(ctx, there, false)

	client := replicate.NewHost(nil, nil)
	defer client.Close()
	session := client.Start(ctx, here, true)
	session.Add(copied, nil)
	fmt.Println("ended:", session.Wait())
	block, _ := copied.Get(ctx, 1, nil)
	fmt.Printf("%d blocks, the last one is %q\n", copied.Length(), block)
	// Output:
	// ended: <nil>
	// 2 blocks, the last one is "world"
}
