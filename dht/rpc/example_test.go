package rpc_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/cairn-feeds/cairn/dht/rpc"
)

const commandEcho = 1

// A network of three nodes on this machine, two of which answer a command of their own.
func Example() {
	ctx := context.Background()
	local := netip.MustParseAddr("127.0.0.1")

	first, err := rpc.NewBootstrapper(netip.AddrPortFrom(local, 0), &rpc.Options{Host: local})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := first.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer first.Close()
	bootstrap := []string{first.ServerSocket().AddrPort().String()}

	for range 2 {
		n, err := rpc.New(&rpc.Options{
			Host: local, Bootstrap: bootstrap, Mode: rpc.Persistent, NotFirewalled: true,
			OnRequest: func(r *rpc.Request) bool {
				if r.Command != commandEcho {
					return false
				}
				_ = r.Reply(append([]byte("you said "), r.Value...), nil)
				return true
			},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := n.Start(); err != nil {
			fmt.Println(err)
			return
		}
		defer n.Close()
		if err := n.Ready(ctx); err != nil {
			fmt.Println(err)
			return
		}
	}

	client, err := rpc.New(&rpc.Options{Host: local, Bootstrap: bootstrap})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	// Ask the nodes closest to some target, and all on the way there.
	for reply, err := range client.Query(rpc.ID{1, 2, 3}, commandEcho, []byte("hello"), nil).Replies(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", reply.Value)
	}
	// Output:
	// you said hello
	// you said hello
}
