package dht_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/netip"

	"github.com/cairn-feeds/cairn/dht"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

// A network of two nodes on this machine: a server on one of them, a client on the
// other.
func Example() {
	ctx := context.Background()
	local := netip.MustParseAddr("127.0.0.1")
	first, err := dht.NewBootstrapper(netip.AddrPortFrom(local, 0), &dht.Options{RPC: rpc.Options{Host: local}})
	if err != nil {
		log.Fatal(err)
	}
	defer first.Close(ctx)
	node, err := dht.New(&dht.Options{RPC: rpc.Options{Host: local, Bootstrap: []string{first.Addr().String()}}})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close(ctx)

	server := node.CreateServer(nil)
	key := dht.NewKeyPair()
	if err := server.Listen(ctx, &key); err != nil {
		log.Fatal(err)
	}
	go func() {
		c, err := server.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(c, "hello from ", c.(*dht.Conn).PublicKey() == key.Public)
		c.(*dht.Conn).CloseWrite()
	}()

	c, err := first.Connect(ctx, key.Public, nil)
	if err != nil {
		log.Fatal(err)
	}
	text, err := io.ReadAll(c)
	fmt.Println(string(text), err)
	// Output: hello from true <nil>
}
