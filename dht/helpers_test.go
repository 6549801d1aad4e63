package dht_test

import (
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/dht"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

var localhost = netip.MustParseAddr("127.0.0.1")

// bootstrapper starts the first node of a network on the loopback interface.
func bootstrapper(t testing.TB) *dht.Node {
	t.Helper()
	n, err := dht.NewBootstrapper(netip.AddrPortFrom(localhost, 0), &dht.Options{RPC: rpc.Options{Host: localhost}})
	if err != nil {
		t.Fatal(err)
	}
	return run(t, n)
}

// start starts a node on the loopback interface.
func start(t testing.TB, o dht.Options, bootstrap ...string) *dht.Node {
	t.Helper()
	o.RPC.Host = localhost
	o.RPC.Bootstrap = append([]string{}, bootstrap...)
	n, err := dht.New(&o)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, n)
}

func run(t testing.TB, n *dht.Node) *dht.Node {
	t.Helper()
	t.Cleanup(func() {
		if err := n.Destroy(); err != nil {
			t.Error(err)
		}
	})
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

// network starts a bootstrapper and persistent nodes. It returns them and the
// address to start from.
func network(t testing.TB, size int) (nodes []*dht.Node, bootstrap string) {
	t.Helper()
	first := bootstrapper(t)
	bootstrap = first.Addr().String()
	nodes = append(nodes, first)
	for range size - 1 {
		n := start(t, persistent(), bootstrap)
		known(t, first, n)
		nodes = append(nodes, n)
	}
	return nodes, bootstrap
}

// known waits until a node has another one in its routing table, which it pings before.
func known(t testing.TB, by, n *dht.Node) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !slices.Contains(by.RPC().Nodes(-1), n.Addr()); {
		if time.Now().After(deadline) {
			t.Fatalf("%v does not know %v", by.Addr(), n.Addr())
		}
		time.Sleep(time.Millisecond)
	}
}

func persistent() dht.Options {
	return dht.Options{RPC: rpc.Options{Mode: rpc.Persistent, NotFirewalled: true}}
}

// firewalled are the options of a node that nobody is to reach without a holepunch,
// as the test networks of hyperdht have.
func firewalled() dht.Options {
	return dht.Options{RPC: rpc.Options{Mode: rpc.Ephemeral, NoQuickFirewall: true}}
}

type hostPort struct {
	Host string `json:"host"`
	Port uint16 `json:"port"`
}

func (a hostPort) String() string { return a.Host + ":" + strconv.Itoa(int(a.Port)) }
