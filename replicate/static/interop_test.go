package static_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/replicate/static"
	"github.com/cairn-feeds/cairn/tools/peers"
	"github.com/cairn-feeds/cairn/tree"
)

// This file is about the real hypercore 1.8.0.

// startPeer starts one with extensions.
func startPeer(t *testing.T, extensions ...string) *peers.Peer {
	t.Helper()
	p := peers.Start(t, peers.Hypercore1)
	if extensions == nil {
		extensions = []string{}
	}
	p.Do(t, "core", peers.Args{"extensions": extensions})
	return p
}

// serve runs a host on a connection until the test ends.
func serve(t *testing.T, n *node, conn net.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.host.Serve(ctx, conn); err != nil && ctx.Err() == nil {
			t.Errorf("serve: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// dialPeer connects us to a peer.
func dialPeer(t *testing.T, n *node, p *peers.Peer) {
	t.Helper()
	port := p.Do(t, "listen", nil).Int("port")
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	serve(t, n, conn)
}

// letPeerDial connects a peer to us and returns its number of the stream.
func letPeerDial(t *testing.T, n *node, p *peers.Peer) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}()
	s := p.Do(t, "connect", peers.Args{"port": l.Addr().(*net.TCPAddr).Port}).Int("s")
	serve(t, n, <-accepted)
	return s
}

func parseID(t *testing.T, text string) (id tree.Hash) {
	t.Helper()
	if err := id.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return id
}

func patterns(count, size int) [][]byte {
	blocks := make([][]byte, count)
	for i := range blocks {
		blocks[i] = peers.Pattern(uint64(i), size)
	}
	return blocks
}

func hexes(blocks [][]byte) []string {
	var all []string
	for _, b := range blocks {
		all = append(all, peers.Hex(b))
	}
	return all
}

// TestInteropDownload fetches whole feeds from a peer, in both roles.
func TestInteropDownload(t *testing.T) {
	for _, count := range []int{1, 2, 33, 3000} {
		for _, dial := range []bool{true, false} {
			p := startPeer(t)
			created := p.Do(t, "create", peers.Args{"count": count, "size": 300})
			n := newNode(t, nil)
			f := n.get(t, parseID(t, created.Text("id")))
			if dial {
				dialPeer(t, n, p)
			} else {
				letPeerDial(t, n, p)
			}
			waitFor(t, f, f.Complete)
			checkBlocks(t, f, patterns(count, 300))
			if f.Blocks() != uint64(count) {
				t.Errorf("%d blocks, want %d", f.Blocks(), count)
			}
		}
	}
}

// TestInteropUpload gives whole feeds to a peer, in both roles, with the ids that it computes
// itself.
func TestInteropUpload(t *testing.T) {
	for _, count := range []int{1, 2, 33, 1000} {
		for _, dial := range []bool{true, false} {
			p, other := startPeer(t), startPeer(t)
			blocks := patterns(count, 100)
			n := newNode(t, nil)
			f := n.add(t, blocks...)
			id := idOf(t, f).String()
			if got := other.Do(t, "create", peers.Args{"count": count, "size": 100}).Text("id"); got != id {
				t.Fatalf("the id of %d blocks is %s, not %s", count, id, got)
			}
			p.Do(t, "want", peers.Args{"id": id, "quiet": count > 33})
			if dial {
				dialPeer(t, n, p)
			} else {
				letPeerDial(t, n, p)
			}
			for i := range min(count, 33) {
				if got := p.Do(t, "get", peers.Args{"id": id, "block": i}).Bytes("value"); !bytes.Equal(got, blocks[i]) {
					t.Fatalf("block %d is %x", i, got)
				}
			}
			for n.host.Uploading(idOf(t, f)) {
				time.Sleep(10 * time.Millisecond)
			}
			for i := range count {
				if !p.Do(t, "has", peers.Args{"id": id, "block": i}).Bool("has") {
					t.Fatalf("the peer lacks block %d of %d", i, count)
				}
			}
		}
	}
}

// TestInteropSingleBlocks asks for one block of a feed on each side, on a connection that was
// there before anybody asked.
func TestInteropSingleBlocks(t *testing.T) {
	p := startPeer(t)
	theirs := parseID(t, p.Do(t, "create", peers.Args{"count": 500, "size": 50}).Text("id"))
	n := newNode(t, nil)
	ours := n.add(t, patterns(400, 60)...)
	letPeerDial(t, n, p)

	f := n.get(t, theirs)
	if b, err := f.Get(t.Context(), 321); err != nil || !bytes.Equal(b, peers.Pattern(321, 50)) {
		t.Errorf("block 321 is %x, %v", b, err)
	}
	id := idOf(t, ours).String()
	p.Do(t, "want", peers.Args{"id": id})
	if got := p.Do(t, "get", peers.Args{"id": id, "block": 123}); !bytes.Equal(got.Bytes("value"), peers.Pattern(123, 60)) || got.Int("blocks") != 400 {
		t.Errorf("block 123: %s", got)
	}
	if got := p.Do(t, "get", peers.Args{"id": id, "block": 400}).Bytes("value"); got != nil {
		t.Errorf("the block behind the end is %x", got)
	}
	ready := p.Do(t, "ready", peers.Args{"id": id})
	if ready.Int("blocks") != 400 {
		t.Errorf("ready: %s", ready)
	}
}

// TestInteropPart gives a part of a feed to a third peer, which is a real one on either side.
func TestInteropPart(t *testing.T) {
	source, third := startPeer(t), startPeer(t)
	blocks := patterns(40, 80)
	id := source.Do(t, "create", peers.Args{"blocks": hexes(blocks)}).Text("id")

	n, whole := newNode(t, nil), newNode(t, nil)
	from := whole.add(t, blocks...)
	f := n.get(t, parseID(t, id))
	part := []uint64{3, 17, 18, 39}
	for _, b := range part {
		proof, err := from.AppendProof(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Put(t.Context(), b, blocks[b], proof); err != nil {
			t.Fatal(err)
		}
	}
	third.Do(t, "want", peers.Args{"id": id})
	dialPeer(t, n, third)
	for range part {
		third.Await(t, "put", peers.Args{"id": id})
	}
	for i := range uint64(40) {
		if got := third.Do(t, "has", peers.Args{"id": id, "block": i}).Bool("has"); got != slices.Contains(part, i) {
			t.Errorf("the third peer has block %d: %v", i, got)
		}
	}
	// What comes to us later is passed on.
	dialPeer(t, n, source)
	for i := range uint64(40) {
		if got := third.Do(t, "get", peers.Args{"id": id, "block": i}).Bytes("value"); !bytes.Equal(got, blocks[i]) {
			t.Errorf("block %d is %x", i, got)
		}
	}
}

// TestInteropPing sends the ping of the README both ways, among extensions that only one side
// has, and empty frames meanwhile.
func TestInteropPing(t *testing.T) {
	p := startPeer(t, "zeta", "ping")
	got := make(chan []byte, 1)
	streams := make(chan *static.Stream, 1)
	n := newNode(t, &static.Options{KeepAlive: time.Millisecond, OnHandshake: func(s *static.Stream) {
		s.Handle("ping", func(m []byte) { got <- bytes.Clone(m) })
		streams <- s
	}}, "ping", "alpha")
	remote := letPeerDial(t, n, p)
	hello := p.Await(t, "handshake", peers.Args{"s": remote})
	if id := n.host.ID(); hello.Text("remoteId") != peers.Hex(id[:]) {
		t.Errorf("handshake: %s", hello)
	}
	s := <-streams
	for name, want := range map[string]bool{"ping": true, "alpha": false, "zeta": false, "none": false} {
		if s.RemoteSupports(name) != want {
			t.Errorf("we think that the peer supports %s: %v", name, !want)
		}
	}
	for name, want := range map[string]bool{"ping": true, "alpha": false, "zeta": false} {
		if got := p.Do(t, "supports", peers.Args{"s": remote, "name": name}).Bool("supports"); got != want {
			t.Errorf("the peer thinks that we support %s: %v", name, got)
		}
	}
	if sent, err := s.Send(t.Context(), "ping", []byte{0}); !sent || err != nil {
		t.Fatal(sent, err)
	}
	p.Await(t, "extension", peers.Args{"s": remote, "name": "ping", "data": "00"})
	time.Sleep(20 * time.Millisecond) // with some empty frames
	if !p.Do(t, "send", peers.Args{"s": remote, "name": "ping", "data": "01"}).Bool("sent") {
		t.Error("the peer did not send")
	}
	if m := <-got; !bytes.Equal(m, []byte{1}) {
		t.Errorf("the answer is %x", m)
	}
}
