package replicate_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/replicate"
	"github.com/cairn-feeds/cairn/tools/peers"
	"github.com/cairn-feeds/cairn/tree"
)

// connect joins a host with a real peer over TCP and returns our session. args are
// those of the peer's listen and connect.
func connect(t *testing.T, p *peers.Peer, h *replicate.Host, initiator bool, args peers.Args, feeds ...*engine.Feed) *replicate.Session {
	t.Helper()
	if initiator {
		port := p.Do(t, "listen", args).Int("port")
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		s := h.Start(context.Background(), conn, true)
		add(t, s, feeds...)
		return s
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	with := peers.Args{"port": l.Addr().(*net.TCPAddr).Port}
	for k, v := range args {
		with[k] = v
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}()
	p.Do(t, "connect", with)
	s := h.Start(context.Background(), <-accepted, false)
	add(t, s, feeds...)
	return s
}

func keyOf(t testing.TB, m peers.Message) tree.PublicKey {
	t.Helper()
	b, err := hex.DecodeString(m.Text("key"))
	if err != nil || len(b) != len(tree.PublicKey{}) {
		t.Fatalf("key %q: %v", m.Text("key"), err)
	}
	return tree.PublicKey(b)
}

// theirs opens here the feed that a peer made.
func theirs(t testing.TB, s *engine.Store, m peers.Message, sparse bool) *engine.Feed {
	t.Helper()
	f, err := s.Open(t.Context(), keyOf(t, m), &engine.FeedOptions{Sparse: sparse})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// waitFor waits until a condition holds.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", what)
		}
	}
}

func roles(t *testing.T, test func(t *testing.T, initiator bool)) {
	for _, initiator := range []bool{true, false} {
		t.Run(fmt.Sprintf("initiator=%v", initiator), func(t *testing.T) { test(t, initiator) })
	}
}

// TestReferenceDownload downloads whole feeds from hypercore 9; both sides end.
func TestReferenceDownload(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	roles(t, func(t *testing.T, initiator bool) {
		for _, count := range []int{0, 1, 11, 3000} {
			id := fmt.Sprint(count, initiator)
			p.Do(t, "open", peers.Args{"id": id, "quiet": true})
			m := p.Do(t, "fill", peers.Args{"id": id, "count": count, "size": 64})
			f := theirs(t, openStore(t), m, false)
			h := newHost(t, nil, nil)
			s := connect(t, p, h, initiator, peers.Args{"feeds": []string{id}}, f)
			if err := s.Wait(); err != nil {
				t.Fatal(err)
			}
			p.Await(t, "stream-end", nil)
			if f.Length() != uint64(count) {
				t.Fatalf("length %d, want %d", f.Length(), count)
			}
			checkBlocks(t, f, 0, uint64(count), 64)
			if got := h.Stats().DownloadedBlocks; got > uint64(count+count/50) {
				t.Errorf("%d blocks for %d", got, count)
			}
		}
	})
}

// TestReferenceUpload lets hypercore 9 download whole feeds; both sides end.
func TestReferenceUpload(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	roles(t, func(t *testing.T, initiator bool) {
		for _, count := range []int{0, 1, 11, 3000} {
			f := createFeed(t, openStore(t), count, 64)
			id := fmt.Sprint(count, initiator)
			p.Do(t, "open", peers.Args{"id": id, "quiet": true, "key": f.Key().String()})
			h := newHost(t, nil, nil)
			s := connect(t, p, h, initiator, peers.Args{"feeds": []string{id}}, f)
			if err := s.Wait(); err != nil {
				t.Fatal(err)
			}
			p.Await(t, "stream-end", nil)
			m := p.Do(t, "info", peers.Args{"id": id})
			if m.Int("length") != count || m.Int("downloaded") != count {
				t.Fatalf("length %d, downloaded %d, want %d", m.Int("length"), m.Int("downloaded"), count)
			}
			if audit := p.Do(t, "audit", peers.Args{"id": id}); audit.Int("valid") != count || audit.Int("invalid") != 0 {
				t.Errorf("audit: %v", audit)
			}
		}
	})
}

// TestReferenceLive follows an appending peer, in both directions.
func TestReferenceLive(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	roles(t, func(t *testing.T, initiator bool) {
		a, b := fmt.Sprint("a", initiator), fmt.Sprint("b", initiator)
		store := openStore(t)
		ours := createFeed(t, store, 2, 10)
		p.Do(t, "open", peers.Args{"id": a})
		m := p.Do(t, "fill", peers.Args{"id": a, "count": 2, "size": 10})
		p.Do(t, "open", peers.Args{"id": b, "key": ours.Key().String(), "quiet": true})
		f := theirs(t, store, m, false)
		h := newHost(t, nil, &replicate.Options{Live: true})
		s := connect(t, p, h, initiator, peers.Args{"feeds": []string{a, b}, "live": true}, ours, f)
		for n := 2; n < 60; n += 3 {
			p.Do(t, "fill", peers.Args{"id": a, "count": 3, "size": 10})
			fill(t, ours, 3, 10)
			waitFor(t, "their blocks", func() bool { return f.Downloaded(0, 0) == uint64(n+3) })
			waitFor(t, "our blocks", func() bool { return p.Do(t, "info", peers.Args{"id": b}).Int("downloaded") == n+3 })
		}
		s.Close(nil)
		if err := s.Wait(); !errors.Is(err, replicate.ErrClosed) {
			t.Error(err)
		}
	})
}
