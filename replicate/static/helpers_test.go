package static_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/cairn-feeds/cairn/engine"
	store "github.com/cairn-feeds/cairn/engine/static"
	"github.com/cairn-feeds/cairn/replicate/static"
	"github.com/cairn-feeds/cairn/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// recorded is a message that a reference peer wrote.
type recorded struct {
	Name  string
	Type  int
	Frame hexBytes
}

type vectors struct {
	Frames   []recorded
	Sessions map[string]struct {
		Blocks []hexBytes
		ID     tree.Hash
		Sent   struct{ A, B []recorded }
	}
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/hypercore1.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// node is a core in memory and a host of it.
type node struct {
	core *store.Core
	host *static.Host
}

func newNode(t testing.TB, opts *static.Options, extensions ...string) *node {
	t.Helper()
	s, err := engine.Open("store", &engine.Options{FS: vfs.NewMem(), Sync: engine.SyncNever})
	if err != nil {
		t.Fatal(err)
	}
	core, err := store.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{core, static.NewHost(core, opts)}
	for _, name := range extensions {
		if err := n.host.Use(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		n.host.Close()
		if err := core.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// add stores a feed and keeps it open.
func (n *node) add(t testing.TB, blocks ...[]byte) *store.Feed {
	t.Helper()
	f, err := n.core.Add()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Append(t.Context(), blocks...); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

func idOf(t testing.TB, f *store.Feed) tree.Hash {
	t.Helper()
	id, ok := f.ID()
	if !ok {
		t.Fatal("the feed has no id")
	}
	return id
}

// get opens a feed until the test ends.
func (n *node) get(t testing.TB, id tree.Hash) *store.Feed {
	t.Helper()
	f, err := n.core.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// connect connects two nodes; end ends that and returns what Serve returned on each side.
func connect(t testing.TB, a, b *node) (end func() (error, error)) {
	t.Helper()
	left, right := net.Pipe()
	errs := [2]chan error{make(chan error, 1), make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	for i, serve := range []func() error{
		func() error { return a.host.Serve(ctx, left) }, func() error { return b.host.Serve(ctx, right) },
	} {
		go func() {
			err := serve()
			if err != nil && ctx.Err() == nil {
				t.Logf("side %d: %v", i, err)
			}
			errs[i] <- err
		}()
	}
	done := false
	end = func() (error, error) {
		done = true
		cancel()
		return <-errs[0], <-errs[1]
	}
	t.Cleanup(func() {
		if !done {
			end()
		}
	})
	return end
}

func someBlocks(n int) [][]byte {
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = fmt.Appendf(nil, "block %d of %d", i, n)
	}
	return blocks
}

// waitFor waits until the condition holds, which is looked at after each change of the feed.
func waitFor(t testing.TB, f *store.Feed, condition func() bool) {
	t.Helper()
	changed := make(chan struct{}, 1)
	defer f.Watch(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	for !condition() {
		select {
		case <-changed:
		case <-time.After(20 * time.Second):
			n, _ := f.Downloaded()
			t.Fatalf("%d of %d blocks", n, f.Blocks())
		}
	}
}

func checkBlocks(t testing.TB, f *store.Feed, want [][]byte) {
	t.Helper()
	for i, b := range want {
		if got, err := f.AppendBlock(nil, uint64(i)); err != nil || !slices.Equal(got, b) {
			t.Fatalf("block %d is %.40q, %v, want %.40q", i, got, err, b)
		}
	}
}
