package static_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/replicate/static"
)

func TestReplicate(t *testing.T) {
	for _, n := range []int{1, 2, 5, 100, 1000} {
		blocks := someBlocks(n)
		a, b := newNode(t, nil), newNode(t, nil)
		from := a.add(t, blocks...)
		to := b.get(t, idOf(t, from))
		end := connect(t, a, b)
		waitFor(t, to, to.Complete)
		checkBlocks(t, to, blocks)
		if x, y := end(); !errors.Is(x, context.Canceled) && !errors.Is(y, context.Canceled) {
			t.Errorf("%v, %v", x, y)
		}
	}
}

// TestBothWays exchanges several feeds at once, among them large blocks and an empty one.
func TestBothWays(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	large := [][]byte{bytes.Repeat([]byte("x"), 5<<20-4<<10), {}, bytes.Repeat([]byte("y"), 3<<20)}
	one, two, three := a.add(t, someBlocks(50)...), b.add(t, someBlocks(60)...), b.add(t, large...)
	gotOne, gotTwo, gotThree := b.get(t, idOf(t, one)), a.get(t, idOf(t, two)), a.get(t, idOf(t, three))
	connect(t, a, b)
	waitFor(t, gotOne, gotOne.Complete)
	waitFor(t, gotTwo, gotTwo.Complete)
	waitFor(t, gotThree, gotThree.Complete)
	checkBlocks(t, gotThree, large)
}

// TestLate asks for a feed on a connection that is there already, from who has it stored and
// not open.
func TestLate(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	from := a.add(t, someBlocks(20)...)
	id := idOf(t, from)
	from.Close()
	connect(t, a, b)
	f := b.get(t, id)
	got, err := f.Get(t.Context(), 7)
	if err != nil || string(got) != "block 7 of 20" {
		t.Errorf("block 7 is %q, %v", got, err)
	}
	if f.Blocks() != 20 {
		t.Errorf("%d blocks", f.Blocks())
	}
	waitFor(t, f, f.Complete)

	// And the other way round: what nobody had is there later.
	late := someBlocks(3)
	c := newNode(t, nil)
	connect(t, b, c)
	other := newNode(t, nil).add(t, late...)
	wanted := c.get(t, idOf(t, other))
	b.add(t, late...)
	waitFor(t, wanted, wanted.Complete)
}

// TestChain passes blocks through a peer in the middle that gets them while it gives them.
func TestChain(t *testing.T) {
	a, b, c := newNode(t, nil), newNode(t, nil), newNode(t, nil)
	blocks := someBlocks(300)
	from := a.add(t, blocks...)
	id := idOf(t, from)
	b.get(t, id)
	last := c.get(t, id)
	connect(t, b, c)
	connect(t, a, b)
	waitFor(t, last, last.Complete)
	checkBlocks(t, last, blocks)
}

// TestTwoSources fetches a feed of which each of two peers has a part.
func TestTwoSources(t *testing.T) {
	whole, left, right, to := newNode(t, nil), newNode(t, nil), newNode(t, nil), newNode(t, nil)
	blocks := someBlocks(200)
	from := whole.add(t, blocks...)
	id := idOf(t, from)
	for i, part := range []*node{left, right} {
		f := part.get(t, id)
		for n := range uint64(200) {
			if n%2 != uint64(i) && n > 20 {
				continue
			}
			data, err := from.AppendBlock(nil, n)
			if err != nil {
				t.Fatal(err)
			}
			proof, err := from.AppendProof(nil, n)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Put(t.Context(), n, data, proof); err != nil {
				t.Fatal(err)
			}
		}
		f.Close() // it serves what it has, and wants no more
		connect(t, part, to)
	}
	f := to.get(t, id)
	waitFor(t, f, f.Complete)
	checkBlocks(t, f, blocks)
	if i, err := left.core.Info(id); err != nil || i.Downloaded != 110 {
		t.Errorf("a source that wanted nothing has %d blocks, %v", i.Downloaded, err)
	}
}

// TestSourceLeaves ends the connection to one of two sources in the middle: what it was asked
// for comes from the other.
func TestSourceLeaves(t *testing.T) {
	a, b, c := newNode(t, nil), newNode(t, nil), newNode(t, nil)
	blocks := someBlocks(2000)
	id := idOf(t, a.add(t, blocks...))
	b.add(t, blocks...)
	f := c.get(t, id)
	end := connect(t, a, c)
	waitFor(t, f, func() bool { n, _ := f.Downloaded(); return n > 50 })
	connect(t, b, c)
	end()
	waitFor(t, f, f.Complete)
	checkBlocks(t, f, blocks)
}

// TestPing is the example of an extension in the README of hypercore 1.
func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pong := make(chan struct{})
		var answered atomic.Int32
		a := newNode(t, &static.Options{OnHandshake: func(s *static.Stream) {
			if !s.RemoteSupports("ping") || s.RemoteSupports("alpha") || s.RemoteSupports("zeta") {
				t.Error("a supports the wrong extensions")
			}
			s.Handle("ping", func(m []byte) {
				if len(m) == 1 && m[0] == 1 {
					close(pong)
				}
			})
			if sent, err := s.Send(t.Context(), "ping", []byte{0}); !sent || err != nil {
				t.Error(sent, err)
			}
			if sent, err := s.Send(t.Context(), "zeta", nil); sent || err != nil {
				t.Error(sent, err)
			}
		}}, "zeta", "ping")
		b := newNode(t, &static.Options{OnHandshake: func(s *static.Stream) {
			s.Handle("ping", func(m []byte) {
				answered.Add(1)
				if _, err := s.Send(t.Context(), "ping", []byte{1}); err != nil {
					t.Error(err)
				}
			})
			if got := s.RemoteID(); !slices.Equal(got, func() []byte { id := a.host.ID(); return id[:] }()) {
				t.Errorf("the remote is %x", got)
			}
		}}, "ping", "alpha")
		connect(t, a, b)
		<-pong
		if answered.Load() != 1 {
			t.Errorf("%d pings", answered.Load())
		}
		if err := a.host.Use("late"); !errors.Is(err, static.ErrStarted) {
			t.Errorf("an extension after the first stream: %v", err)
		}
	})
}

func TestUse(t *testing.T) {
	n := newNode(t, nil)
	for _, name := range []string{"", strings.Repeat("x", 300)} {
		if err := n.host.Use(name); !errors.Is(err, static.ErrExtensions) {
			t.Errorf("%.10q: %v", name, err)
		}
	}
	for i := range static.MaxExtensions + 1 {
		err := n.host.Use(strings.Repeat("x", i+1))
		if (err != nil) != (i == static.MaxExtensions) {
			t.Errorf("extension %d: %v", i, err)
		}
	}
}

// TestKeepAlive keeps a silent connection open for an hour.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &static.Options{IdleTimeout: 30 * time.Second}
		a, b := newNode(t, o), newNode(t, o)
		connect(t, a, b)
		time.Sleep(time.Hour)
		if a.host.Streams() != 1 || b.host.Streams() != 1 {
			t.Error("the connection ended")
		}
	})
}

// TestUploading tells when a remote has got everything.
func TestUploading(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	from := a.add(t, someBlocks(30)...)
	id := idOf(t, from)
	to := b.get(t, id)
	s := from.Subscribe()
	defer s.Close()
	connect(t, a, b)
	waitFor(t, to, to.Complete)
	for a.host.Uploading(id) { // until the last Have has arrived
		time.Sleep(time.Millisecond)
	}
	if e := s.Take(); e.Uploaded.Len() != 30 {
		t.Errorf("uploaded %v", e.Uploaded)
	}
}
