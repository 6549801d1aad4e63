package dht_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/dht"
	"github.com/cairn-feeds/cairn/dht/internal/simnet"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

// internet is a simulated network with a DHT in it.
type internet struct {
	net       *simnet.Network
	bootstrap string
	hosts     byte
}

// host is a machine on some network.
type host struct {
	net  *simnet.Network
	addr netip.Addr
}

func (h host) listen(local netip.AddrPort) (net.PacketConn, error) {
	if !local.Addr().IsUnspecified() && local.Addr() != h.addr {
		return nil, fmt.Errorf("%v is not an address of %v", local, h.addr)
	}
	return h.net.Listen(netip.AddrPortFrom(h.addr, local.Port()))
}

func (h host) interfaces() ([]rpc.Interface, error) {
	return []rpc.Interface{{Name: "eth0", Addr: h.addr}}, nil
}

// options are those of a node on the host.
func (h host) options(o dht.Options, bootstrap ...string) *dht.Options {
	o.ListenPacket = h.listen
	o.RPC.Interfaces = h.interfaces
	o.RPC.Bootstrap = append([]string{}, bootstrap...)
	return &o
}

// newInternet makes a network with a DHT of some nodes, whose links take 10 ms.
func newInternet(t *testing.T, seed uint64, nodes int, link simnet.Link) *internet {
	t.Helper()
	i := &internet{net: simnet.New(seed)}
	i.net.SetLink(link)
	first := host{i.net, netip.AddrFrom4([4]byte{5, 0, 0, 1})}
	b, err := dht.NewBootstrapper(netip.AddrPortFrom(first.addr, 49737), first.options(dht.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	i.bootstrap = "5.0.0.1:49737"
	run(t, b)
	for k := range nodes - 1 {
		h := host{i.net, netip.AddrFrom4([4]byte{5, 0, byte(k / 200), byte(2 + k%200)})}
		o := persistent()
		o.RPC.Port = 49737
		n, err := dht.New(h.options(o, i.bootstrap))
		if err != nil {
			t.Fatal(err)
		}
		run(t, n)
	}
	return i
}

// host makes a machine that is behind NATs of some kind.
func (i *internet) host(kind string) host {
	i.hosts++
	k := i.hosts
	behind := func(outer *simnet.Network, public netip.Addr, random bool) *simnet.Network {
		inner := simnet.New(uint64(k))
		inner.SetLink(simnet.Link{Delay: time.Millisecond})
		simnet.NewNAT(inner, outer, public, simnet.NATOptions{Random: random})
		return inner
	}
	public, private := netip.AddrFrom4([4]byte{6, 0, 0, k}), netip.AddrFrom4([4]byte{192, 168, k, 2})
	switch kind {
	case "open":
		return host{i.net, public}
	case "consistent":
		return host{behind(i.net, public, false), private}
	case "random":
		return host{behind(i.net, public, true), private}
	case "double": // that of a home behind that of its provider
		provider := behind(i.net, public, false)
		return host{behind(provider, netip.AddrFrom4([4]byte{100, 64, k, 2}), false), private}
	default:
		panic(kind)
	}
}

// node starts a node on a host.
func (i *internet) node(t *testing.T, h host) *dht.Node {
	t.Helper()
	n, err := dht.New(h.options(dht.Options{}, i.bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	return run(t, n)
}

var natKinds = []string{"open", "consistent", "random", "double"}

// natPairing connects a client behind one NAT to a server behind another one, and says
// how long that took.
func natPairing(t *testing.T, client, server string, link simnet.Link) (took time.Duration, err error) {
	i := newInternet(t, 1, 12, link)
	sn := i.node(t, i.host(server))
	cn := i.node(t, i.host(client))
	s := listen(t, sn, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	begin := time.Now()
	c, err := cn.Connect(ctx, s.PublicKey(), nil)
	if err != nil {
		return 0, err
	}
	took = time.Since(begin)
	data := bytes.Repeat([]byte("0123456789"), 10_000)
	go func() {
		c.Write(data)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(accept(t, s))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d of %d bytes, %v", len(got), len(data), err)
	}
	return took, nil
}

// Connections come about through NATs of every kind, but for two that choose their
// ports at random.
func TestNATPairings(t *testing.T) {
	var table strings.Builder
	fmt.Fprintf(&table, "%-20s", "client \\ server")
	for _, server := range natKinds {
		fmt.Fprintf(&table, "%14s", server)
	}
	for _, client := range natKinds {
		fmt.Fprintf(&table, "\n%-20s", client)
		for _, server := range natKinds {
			var took time.Duration
			var err error
			t.Run(client+"/"+server, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					took, err = natPairing(t, client, server, simnet.Link{Delay: 10 * time.Millisecond})
				})
				impossible := client == "random" && server == "random"
				switch {
				case impossible && !errors.Is(err, dht.ErrDoubleRandomNATs):
					t.Errorf("two random NATs: %v", err)
				case !impossible && err != nil:
					t.Error(err)
				}
			})
			if err != nil {
				fmt.Fprintf(&table, "%14s", "no")
			} else {
				fmt.Fprintf(&table, "%14v", took.Round(time.Millisecond))
			}
		}
	}
	t.Logf("time to connect:\n%s", &table)
}
