package rpc_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"

	"github.com/cairn-feeds/cairn/dht/rpc"
	"github.com/cairn-feeds/cairn/tools/peers"
)

var localhost = netip.MustParseAddr("127.0.0.1")

// Commands of hyperdht that store a value under its hash.
const (
	immutablePut = 8
	immutableGet = 9
)

// startNode starts a node on the loopback interface.
func startNode(t *testing.T, o rpc.Options) *rpc.Node {
	t.Helper()
	o.Host = localhost
	n, err := rpc.New(&o)
	if err != nil {
		t.Fatal(err)
	}
	return started(t, n)
}

func started(t *testing.T, n *rpc.Node) *rpc.Node {
	t.Helper()
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

type hostPort struct {
	Host string `json:"host"`
	Port uint16 `json:"port"`
}

func (a hostPort) addr() netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(a.Host), a.Port)
}

func bootstrapOf(n *rpc.Node) []hostPort {
	a := n.ServerSocket().AddrPort()
	return []hostPort{{a.Addr().String(), a.Port()}}
}

// decode reads a property of an answer.
func decode[T any](t *testing.T, m peers.Message, property string) (v T) {
	t.Helper()
	if err := m.Decode(property, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestAsksReferenceNodes is a node of ours in a network of hyperdht.
func TestAsksReferenceNodes(t *testing.T) {
	p := peers.Start(t, peers.HyperDHT6)
	net := p.Do(t, "testnet", peers.Args{"size": 5})
	nodes := decode[[]struct {
		Port uint16
		ID   string
	}](t, net, "nodes")
	boot := decode[[]hostPort](t, net, "bootstrap")[0].addr()

	n := startNode(t, rpc.Options{Bootstrap: []string{boot.String()}})
	if n.Firewalled() || !n.Ephemeral() {
		t.Errorf("when ready, firewalled: %v, ephemeral: %v", n.Firewalled(), n.Ephemeral())
	}
	if addr, ok := n.RemoteAddr(); !ok || addr != n.ServerSocket().AddrPort() {
		t.Errorf("remote address %v, %v", addr, ok)
	}

	var want, got []string
	for _, node := range nodes {
		if node.ID != "" {
			want = append(want, node.ID)
		}
	}
	walk := n.FindNode(rpc.ID{7}, nil)
	if err := walk.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range walk.ClosestReplies() {
		got = append(got, r.FromID.String())
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || len(want) != 4 {
		t.Errorf("closest nodes %v, want %v", got, want)
	}

	last := nodes[4]
	addr := netip.AddrPortFrom(localhost, last.Port)
	pong, err := n.Ping(t.Context(), addr, &rpc.RequestOptions{Size: 100})
	if err != nil {
		t.Fatal(err)
	}
	if pong.FromID.String() != last.ID || pong.To != n.Socket().AddrPort() || pong.Token != nil || pong.CloserNodes != nil || pong.Value != nil {
		t.Errorf("ping reply %+v", pong)
	}
	start := time.Now()
	if _, err := n.DelayedPing(t.Context(), addr, 300*time.Millisecond, nil); err != nil || time.Since(start) < 300*time.Millisecond {
		t.Errorf("delayed ping after %v: %v", time.Since(start), err)
	}

	target := rpc.ID{1}
	unknown, err := n.Request(t.Context(), addr, rpc.Message{Command: 99, Target: &target}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if unknown.Code != rpc.UnknownCommand || len(unknown.CloserNodes) == 0 || unknown.Token != nil {
		t.Errorf("reply to an unknown command %+v", unknown)
	}
	stale, err := n.Request(t.Context(), addr, rpc.Message{Command: 99, Target: &target, Token: make([]byte, 32)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var code *rpc.CodeError
	if !errors.As(stale.Err(), &code) || code.Code != rpc.InvalidToken || len(stale.Token) != 32 {
		t.Errorf("reply to a wrong token %+v", stale)
	}
	again, err := n.Request(t.Context(), addr, rpc.Message{Command: 99, Target: &target, Token: stale.Token}, nil)
	if err != nil || again.Code != rpc.UnknownCommand {
		t.Errorf("reply to the token that came with it: %+v, %v", again, err)
	}

	// What we store there, they find.
	value := []byte("stored by the other implementation")
	hash := rpc.ID(blake2b.Sum256(value))
	if err := storeImmutable(t.Context(), n, hash, value); err != nil {
		t.Fatal(err)
	}
	p.Do(t, "node", peers.Args{"node": "reader"})
	if m := p.Do(t, "immutableGet", peers.Args{"node": "reader", "hash": hash.String()}); !bytes.Equal(m.Bytes("value"), value) {
		t.Errorf("the reference node reads %s", m)
	}
	put := p.Do(t, "immutablePut", peers.Args{"node": "reader", "value": peers.Hex([]byte("stored by it"))})
	id, err := hex.DecodeString(put.Text("hash"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := loadImmutable(t.Context(), n, rpc.ID(id)); err != nil || string(got) != "stored by it" {
		t.Errorf("we read %q, %v", got, err)
	}
}

func storeImmutable(ctx context.Context, n *rpc.Node, hash rpc.ID, value []byte) error {
	return n.Query(hash, immutableGet, nil, &rpc.QueryOptions{Commit: func(ctx context.Context, q *rpc.Query, r *rpc.Reply) error {
		_, err := n.Request(ctx, r.From, rpc.Message{Command: immutablePut, Target: &hash, Token: r.Token, Value: value}, nil)
		return err
	}}).Finish(ctx)
}

func loadImmutable(ctx context.Context, n *rpc.Node, hash rpc.ID) ([]byte, error) {
	for r, err := range n.Query(hash, immutableGet, nil, nil).Replies(ctx) {
		if err != nil {
			return nil, err
		}
		if r.Value != nil {
			return r.Value, nil
		}
	}
	return nil, errors.New("not found")
}

// TestJoinsReferenceNetwork has a persistent node of ours come into the tables of
// hyperdht nodes, and stay there.
func TestJoinsReferenceNetwork(t *testing.T) {
	p := peers.Start(t, peers.HyperDHT6)
	net := p.Do(t, "testnet", peers.Args{"size": 3})
	boot := decode[[]hostPort](t, net, "bootstrap")[0].addr()
	for _, open := range []bool{true, false} {
		n := startNode(t, rpc.Options{Bootstrap: []string{boot.String()}, Mode: rpc.Persistent, NotFirewalled: open})
		addr, known := n.RemoteAddr()
		if id, ok := n.ID(); !ok || !known || id != rpc.IDOf(addr) || addr != n.ServerSocket().AddrPort() {
			t.Fatalf("a persistent node has id %v, %v and address %v, %v", id, ok, addr, known)
		}
		p.Do(t, "node", peers.Args{"node": addr.String()})
		nodes := decode[[]hostPort](t, p.Do(t, "status", peers.Args{"node": addr.String()}), "nodes")
		if !slices.ContainsFunc(nodes, func(a hostPort) bool { return a.addr() == addr }) {
			t.Errorf("a reference node that came later knows %v, not us at %v", nodes, addr)
		}
	}
}

// immutables is enough of hyperdht's storage for its immutablePut and immutableGet.
type immutables struct {
	mu     sync.Mutex
	values map[rpc.ID][]byte
	other  int // requests that had commands of the test
}

func (m *immutables) handle(r *rpc.Request) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case r.Command == immutableGet && r.Target != nil:
		_ = r.Reply(m.values[*r.Target], nil)
	case r.Command == immutablePut && r.Target != nil && r.Token != nil && *r.Target == rpc.ID(blake2b.Sum256(r.Value)):
		m.values[*r.Target] = bytes.Clone(r.Value)
		_ = r.Reply(nil, &rpc.ReplyOptions{NoToken: true, NoCloserNodes: true})
	case r.Command == 300:
		m.other++
		if r.Token != nil {
			_ = r.Fail(20, nil)
			return true
		}
		_ = r.Reply(append([]byte("go:"), r.Value...), nil)
	default:
		return false
	}
	return true
}

// TestAnswersReferenceNodes is a network of ours that hyperdht nodes use.
func TestAnswersReferenceNodes(t *testing.T) {
	p := peers.Start(t, peers.HyperDHT6)
	first, err := rpc.NewBootstrapper(netip.AddrPortFrom(localhost, 0), &rpc.Options{Host: localhost})
	if err != nil {
		t.Fatal(err)
	}
	boot := started(t, first)
	bootstrap := bootstrapOf(boot)
	stores := make(map[string]*immutables)
	for range 4 {
		m := &immutables{values: make(map[rpc.ID][]byte)}
		n := startNode(t, rpc.Options{
			Bootstrap: []string{boot.ServerSocket().AddrPort().String()}, Mode: rpc.Persistent, NotFirewalled: true, OnRequest: m.handle,
		})
		stores[n.ServerSocket().AddrPort().String()] = m
	}

	client := p.Do(t, "node", peers.Args{"node": "client", "bootstrap": bootstrap})
	if client.Text("id") != "" {
		t.Errorf("the client: %s", client)
	}
	if got := decode[[]hostPort](t, p.Do(t, "status", peers.Args{"node": "client"}), "nodes"); len(got) != 5 {
		t.Errorf("the client knows %v, not five nodes", got)
	}
	joined := p.Do(t, "node", peers.Args{"node": "joined", "bootstrap": bootstrap, "ephemeral": false})
	at := decode[hostPort](t, joined, "address").addr()
	if joined.Text("id") != rpc.IDOf(at).String() {
		t.Errorf("the persistent node: %s", joined)
	}
	for start := time.Now(); !slices.Contains(boot.Nodes(-1), at); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			t.Fatalf("we do not know the persistent node at %v", at)
		}
	}

	var some netip.AddrPort
	for addr := range stores {
		some = netip.MustParseAddrPort(addr)
	}
	pong := p.Do(t, "ping", peers.Args{"node": "client", "host": some.Addr().String(), "port": some.Port()})
	if from := decode[struct{ ID string }](t, pong, "from"); from.ID != rpc.IDOf(some).String() {
		t.Errorf("pong: %s", pong)
	}

	ask := func(args peers.Args) peers.Message {
		args["node"], args["host"], args["port"] = "client", some.Addr().String(), some.Port()
		return p.Do(t, "request", args)
	}
	target := rpc.ID{5}.String()
	echo := ask(peers.Args{"command": 300, "value": "2a", "target": target})
	if string(echo.Bytes("value")) != "go:*" || echo.Int("status") != 0 || len(echo.Bytes("token")) != 32 {
		t.Errorf("custom request: %s", echo)
	}
	for _, tt := range []struct {
		token  string
		status int
	}{{echo.Text("token"), 20}, {rpc.ID{}.String(), int(rpc.InvalidToken)}} {
		if m := ask(peers.Args{"command": 300, "token": tt.token}); m.Int("status") != tt.status {
			t.Errorf("with token %s: %s, want status %d", tt.token, m, tt.status)
		}
	}
	if m := ask(peers.Args{"command": 77, "target": target}); m.Int("status") != int(rpc.UnknownCommand) {
		t.Errorf("unknown command: %s", m)
	}
	query := decode[[]struct {
		Value string
		From  hostPort
	}](t, p.Do(t, "query", peers.Args{"node": "client", "command": 300, "target": target, "value": "00", "commit": true}), "replies")
	if len(query) != 4 {
		t.Errorf("%d replies to a query, want 4", len(query))
	}
	for addr, m := range stores {
		m.mu.Lock()
		if m.other < 2 { // the query and its commit
			t.Errorf("%s got %d requests", addr, m.other)
		}
		m.mu.Unlock()
	}

	// Values between two of them, through ours.
	for i := range 20 {
		value := fmt.Appendf(nil, "value %d", i)
		hash := p.Do(t, "immutablePut", peers.Args{"node": "client", "value": peers.Hex(value)}).Text("hash")
		if m := p.Do(t, "immutableGet", peers.Args{"node": "joined", "hash": hash}); !bytes.Equal(m.Bytes("value"), value) {
			t.Errorf("value %d: %s", i, m)
		}
		for addr, m := range stores {
			m.mu.Lock()
			if len(m.values) != i+1 {
				t.Errorf("%s has %d values after %d puts", addr, len(m.values), i+1)
			}
			m.mu.Unlock()
		}
	}
}
