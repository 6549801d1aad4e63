package dht_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/dht"
	"github.com/cairn-feeds/cairn/dht/rpc"
	"github.com/cairn-feeds/cairn/dht/udx"
	"github.com/cairn-feeds/cairn/tools/peers"
)

// pairOf starts a network of ours and two nodes in it.
func pairOf(t testing.TB) (a, b *dht.Node) {
	t.Helper()
	_, bootstrap := network(t, 3)
	return start(t, firewalled(), bootstrap), start(t, firewalled(), bootstrap)
}

// connect connects a node to a server, and returns both ends.
func connect(t testing.TB, n *dht.Node, s *dht.Server, o *dht.ConnectOptions) (client, server *dht.Conn) {
	t.Helper()
	client, err := n.Connect(t.Context(), s.PublicKey(), o)
	if err != nil {
		t.Fatal(err)
	}
	server, err = s.AcceptConn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestServer(t *testing.T) {
	a, b := pairOf(t)
	ctx := t.Context()
	s := a.CreateServer(nil)
	if s.Addr().(dht.ServerAddr).PublicKey != (dht.PublicKey{}) || s.Nodes() != nil {
		t.Errorf("before Listen: %v, %v", s.Addr(), s.Nodes())
	}
	if err := s.Listen(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(ctx, nil); !errors.Is(err, dht.ErrListening) {
		t.Errorf("second Listen: %v", err)
	}
	if err := a.CreateServer(nil).Listen(ctx, nil); !errors.Is(err, dht.ErrKeyPairInUse) {
		t.Errorf("Listen with the key pair of another server: %v", err)
	}
	if s.PublicKey() != a.KeyPair().Public || s.Address().Host != localhost || len(s.Nodes()) == 0 {
		t.Errorf("listens as %v at %+v with %v", s.PublicKey(), s.Address(), s.Nodes())
	}
	// Others find it, and by its nodes as well.
	found := false
	for r, err := range b.FindPeer(ctx, s.PublicKey(), nil) {
		found = found || err == nil && r.Peer.PublicKey == s.PublicKey()
	}
	if !found {
		t.Error("the server is not found")
	}
	key := dht.NewKeyPair()
	c, sc := connect(t, b, s, &dht.ConnectOptions{KeyPair: &key, RelayAddresses: s.Nodes()})
	if c.HandshakeHash() != sc.HandshakeHash() || sc.RemotePublicKey() != key.Public || c.RemotePublicKey() != s.PublicKey() {
		t.Error("the ends do not agree on who they are")
	}
	s.Refresh()

	// Closing it takes it back; the connection lives on.
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-s.Done()
	if _, err := s.Accept(); !errors.Is(err, dht.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if err := s.Listen(ctx, nil); !errors.Is(err, dht.ErrClosed) {
		t.Errorf("Listen after Close: %v", err)
	}
	if _, err := start(t, firewalled(), b.RPC().Nodes(1)[0].String()).Connect(ctx, s.PublicKey(), nil); !errors.Is(err, dht.ErrPeerNotFound) {
		t.Errorf("Connect after Close: %v", err)
	}
	if _, err := c.Write([]byte("still")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(sc, make([]byte, 5)); err != nil {
		t.Error(err)
	}
}

// A server is a net.Listener: what runs on one runs on it.
func TestServerIsListener(t *testing.T) {
	a, b := pairOf(t)
	s := listen(t, a, nil)
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "over the DHT") })}
	var serving sync.WaitGroup
	serving.Go(func() { web.Serve(s) })
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return b.Connect(ctx, s.PublicKey(), nil)
	}}
	r, err := (&http.Client{Transport: transport}).Get("http://" + s.PublicKey().ZBase32())
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || string(body) != "over the DHT" {
		t.Errorf("got %q, %v", body, err)
	}
	r.Body.Close()
	transport.CloseIdleConnections()
	web.Close()
	serving.Wait()
}

func TestServerFirewall(t *testing.T) {
	a, b := pairOf(t)
	friend, foe := dht.NewKeyPair(), dht.NewKeyPair()
	s := listen(t, a, &dht.ServerOptions{Firewall: func(ctx context.Context, r *dht.Request) error {
		if r.RemoteAddr.Addr() != localhost || len(r.Addresses) == 0 {
			t.Errorf("firewall is told %+v", r)
		}
		if r.RemotePublicKey != friend.Public {
			return errors.New("not a friend")
		}
		return nil
	}})
	connect(t, b, s, &dht.ConnectOptions{KeyPair: &friend})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := b.Connect(ctx, s.PublicKey(), &dht.ConnectOptions{KeyPair: &foe}); !errors.Is(err, dht.ErrPeerUnreachable) {
		t.Errorf("refused: %v", err)
	}
}

// Both sides can say no to a holepunch.
func TestHolepunchHooks(t *testing.T) {
	a, b := pairOf(t)
	no := func(h *dht.Holepunch) error {
		if h.Local != dht.NATConsistent || h.Remote != dht.NATConsistent || len(h.LocalAddresses) == 0 || len(h.RemoteAddresses) == 0 {
			t.Errorf("hook is told %+v", h)
		}
		return errors.New("no")
	}
	s := listen(t, a, nil)
	if _, err := b.Connect(t.Context(), s.PublicKey(), &dht.ConnectOptions{NoLocalConnection: true, NoFastOpen: true, Holepunch: no}); !errors.Is(err, dht.ErrHolepunchAborted) {
		t.Errorf("the client refuses: %v", err)
	}
	s = listen(t, a, &dht.ServerOptions{Holepunch: no})
	if _, err := b.Connect(t.Context(), s.PublicKey(), &dht.ConnectOptions{NoLocalConnection: true, NoFastOpen: true}); !errors.Is(err, dht.ErrHolepunchAborted) {
		t.Errorf("the server refuses: %v", err)
	}
}

// Connect ends with its context, with the node, and with Suspend.
func TestConnectEnds(t *testing.T) {
	a, b := pairOf(t)
	block := make(chan struct{})
	s := listen(t, a, &dht.ServerOptions{Firewall: func(ctx context.Context, _ *dht.Request) error {
		close(block)
		<-ctx.Done()
		return ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-block
		cancel()
	}()
	if _, err := b.Connect(ctx, s.PublicKey(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := b.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Connect(t.Context(), s.PublicKey(), nil); !errors.Is(err, dht.ErrSuspended) {
		t.Errorf("suspended: %v", err)
	}
	if err := b.Destroy(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Connect(t.Context(), s.PublicKey(), nil); !errors.Is(err, dht.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// A suspended node ends its connections; its servers are back when it is.
func TestSuspend(t *testing.T) {
	a, b := pairOf(t)
	s := listen(t, a, nil)
	c, sc := connect(t, b, s, nil)
	if err := a.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := sc.Read(make([]byte, 1)); err == nil {
		t.Error("read from a connection of a suspended node")
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("read from a connection to a suspended node")
	}
	if _, err := b.Connect(t.Context(), s.PublicKey(), nil); err == nil {
		t.Error("connected to a suspended node")
	}
	if err := a.Resume(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		if _, err := b.Connect(t.Context(), s.PublicKey(), nil); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	accept(t, s)
}

// Close takes back what servers announced, Destroy leaves it to expire.
func TestCloseAndDestroy(t *testing.T) {
	_, bootstrap := network(t, 3)
	watcher := start(t, firewalled(), bootstrap)
	for _, force := range []bool{false, true} {
		n := start(t, firewalled(), bootstrap)
		s := listen(t, n, nil)
		c, sc := connect(t, watcher, s, nil)
		var err error
		if force {
			err = n.Destroy()
		} else {
			err = n.Close(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for range watcher.FindPeer(t.Context(), s.PublicKey(), nil) {
			found = true
		}
		if found != force {
			t.Errorf("force %v: announced afterwards: %v", force, found)
		}
		for _, c := range []*dht.Conn{c, sc} {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("the connection lives on")
			}
		}
		if err := n.Close(t.Context()); err != nil {
			t.Errorf("closed again: %v", err)
		}
	}
}

func TestRawStreams(t *testing.T) {
	a, b := pairOf(t)
	s := listen(t, a, nil)
	c, sc := connect(t, b, s, nil)
	x, err := b.NewRawStream(nil)
	if err != nil {
		t.Fatal(err)
	}
	y, err := a.NewRawStream(&udx.StreamOptions{KeepAlive: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.ConnectRaw(x, y.ID()), sc.ConnectRaw(y, x.ID())); err != nil {
		t.Fatal(err)
	}
	x.Write([]byte("plain"))
	got := make([]byte, 5)
	if _, err := io.ReadFull(y, got); err != nil || string(got) != "plain" {
		t.Errorf("got %q, %v", got, err)
	}
	c.Destroy()
	<-c.Stream().Done()
	z, err := b.NewRawStream(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ConnectRaw(z, 1); !errors.Is(err, dht.ErrNotConnected) {
		t.Errorf("along a connection that is over: %v", err)
	}
}

// Many peers connect at once, each with much to say.
func TestManyConnections(t *testing.T) {
	a, b := pairOf(t)
	s := listen(t, a, nil)
	const count = 60
	go func() {
		for {
			c, err := s.AcceptConn(context.Background())
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	want := peers.Pattern(0, 100_000)
	var wait sync.WaitGroup
	for range count {
		wait.Go(func() {
			key := dht.NewKeyPair()
			c, err := b.Connect(t.Context(), s.PublicKey(), &dht.ConnectOptions{KeyPair: &key})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			go func() {
				c.Write(want)
				c.CloseWrite()
			}()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %d bytes back, %v", len(got), err)
			}
		})
	}
	wait.Wait()
	s.Close()
}

// Requests of an application's own pass the node by.
func TestCustomRequests(t *testing.T) {
	first := bootstrapper(t)
	o := persistent()
	o.RPC.OnRequest = func(r *rpc.Request) bool {
		if r.Command != 77 {
			return false
		}
		r.Reply(append([]byte("echo "), r.Value...), nil)
		return true
	}
	a := start(t, o, first.Addr().String())
	r, err := first.RPC().Request(t.Context(), a.Addr(), rpc.Message{Command: 77, Value: []byte("x")}, nil)
	if err != nil || string(r.Value) != "echo x" {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err = first.RPC().Request(t.Context(), a.Addr(), rpc.Message{Command: 78}, nil); err != nil || r.Code != rpc.UnknownCommand {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := a.Ping(t.Context(), first.Addr()); err != nil {
		t.Error(err)
	}
}

// Whenever Connect has made a connection, the server gets its end of it, also when
// several ways are found at the same time.
func TestEveryConnectionHasTwoEnds(t *testing.T) {
	a, b := pairOf(t)
	s := listen(t, a, nil)
	for i := range 300 {
		c, err := b.Connect(t.Context(), s.PublicKey(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		sc, err := s.AcceptConn(ctx)
		cancel()
		if err != nil {
			t.Fatalf("connection %d, to %v through %v: %v; %+v", i, c.RemoteAddr(), c.LocalAddr(), err, c.Stream().Stats())
		}
		if sc.HandshakeHash() != c.HandshakeHash() {
			t.Fatalf("connection %d: the ends are of different connections", i)
		}
		c.Destroy()
		sc.Destroy()
	}
}
