package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/codec"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/replicate"
	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

// TestStore serves feeds that only the remote names.
func TestStore(t *testing.T) {
	from, to := openStore(t), openStore(t)
	server := newHost(t, replicate.StoreOf(from), &replicate.Options{Live: true})
	client := newHost(t, nil, &replicate.Options{Live: true})
	ca, cb := net.Pipe()
	server.Start(context.Background(), ca, false)
	s := client.Start(context.Background(), cb, true)
	var feeds []*engine.Feed
	for i := range 50 {
		a, err := from.Create(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		fill(t, a, i+1, 10)
		f := openFeed(t, to, a, false)
		add(t, s, f)
		feeds = append(feeds, f)
		a.Close()
	}
	for i, f := range feeds {
		waitFor(t, "feed", func() bool { return f.Downloaded(0, 0) == uint64(i+1) })
		checkBlocks(t, f, 0, uint64(i+1), 10)
	}
}

// TestMesh has five peers, each with a fifth, exchange everything. Few blocks arrive
// twice.
func TestMesh(t *testing.T) {
	const n, count = 5, 1000
	from := createFeed(t, openStore(t), count, 30)
	var feeds []*engine.Feed
	var hosts []*replicate.Host
	for i := range n {
		f := openFeed(t, openStore(t), from, false)
		copyBlocks(t, from, f, uint64(i*count/n), uint64((i+1)*count/n))
		feeds = append(feeds, f)
		hosts = append(hosts, newHost(t, nil, &replicate.Options{Live: true}))
	}
	for i := range n {
		for j := range i {
			link(t, hosts[i], hosts[j], feeds[i:i+1], feeds[j:j+1])
		}
	}
	for i, f := range feeds {
		waitFor(t, fmt.Sprint("peer ", i), func() bool { return f.Downloaded(0, 0) == count })
		checkBlocks(t, f, 0, count, 30)
		if got := hosts[i].Stats().DownloadedBlocks; got > (count-count/n)*102/100 {
			t.Errorf("%d blocks arrived for %d", got, count-count/n)
		}
	}
}

// TestChain passes blocks on: they are announced when they are stored.
func TestChain(t *testing.T) {
	from := createFeed(t, openStore(t), 100, 30)
	feed, host := from, newHost(t, nil, &replicate.Options{Live: true})
	for range 4 {
		next := openFeed(t, openStore(t), from, false)
		h := newHost(t, nil, &replicate.Options{Live: true})
		link(t, host, h, []*engine.Feed{feed}, []*engine.Feed{next})
		feed, host = next, h
	}
	waitFor(t, "the end of the chain", func() bool { return feed.Downloaded(0, 0) == 100 })
	fill(t, from, 100, 30)
	waitFor(t, "the end of the chain", func() bool { return feed.Downloaded(0, 0) == 200 })
	checkBlocks(t, feed, 0, 200, 30)
}

// TestLiar has one of two peers lie: it is dropped, the other one brings everything.
func TestLiar(t *testing.T) {
	a := createFeed(t, openStore(t), 500, 30)
	f := openFeed(t, openStore(t), a, false)
	host := newHost(t, nil, &replicate.Options{Live: true})
	v := newVillain(t, host, f, a)
	opened := make(chan struct{})
	go func() { defer close(opened); v.open() }()
	v.until(wire.TypeOpen)
	<-opened
	done := make(chan struct{})
	go func() {
		defer close(done)
		lie(func(_ *villain, d *wire.Data) {
			if d.Index%10 == 3 {
				d.Value = []byte("lie")
			}
		})(v)
	}()
	link(t, host, newHost(t, nil, &replicate.Options{Live: true}), []*engine.Feed{f}, []*engine.Feed{a})
	waitFor(t, "everything", func() bool { return f.Downloaded(0, 0) == 500 })
	checkBlocks(t, f, 0, 500, 30)
	v.session.Close(errors.New("not caught"))
	if _, ok := errors.AsType[*tree.ProofError](v.session.Wait()); !ok {
		t.Error(v.session.Wait())
	}
	<-done
}

// TestGuard lets the guard of a feed fall when a remote proves that it is not longer.
func TestGuard(t *testing.T) {
	from := openStore(t)
	a, err := from.Create(t.Context(), &engine.CreateOptions{Seed: &[32]byte{7}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	fill(t, a, 12, 10)
	to := openStore(t)
	b := openFeed(t, to, a, false)
	link(t, newHost(t, nil, &replicate.Options{Live: true}), newHost(t, nil, &replicate.Options{Live: true}), []*engine.Feed{a}, []*engine.Feed{b})
	waitFor(t, "everything", func() bool { return b.Downloaded(0, 0) == 12 })

	restored := openStore(t)
	sk := tree.KeyPairFromSeed([32]byte{7}).Secret
	if err := restored.ImportSecret(t.Context(), sk); err != nil {
		t.Fatal(err)
	}
	c, err := restored.Open(t.Context(), a.Key(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !c.Guarded() {
		t.Skip("an imported secret key does not guard a feed that is not there")
	}
	h := newHost(t, nil, &replicate.Options{Live: true})
	ca, cb := net.Pipe()
	s := h.Start(t.Context(), ca, true)
	if _, err := s.Add(c, &replicate.AddOptions{Download: true}); err != nil {
		t.Fatal(err)
	}
	other := newHost(t, nil, &replicate.Options{Live: true}).Start(t.Context(), cb, false)
	add(t, other, b)
	waitFor(t, "the guard to fall", func() bool { return !c.Guarded() })
	if c.Length() != 12 {
		t.Errorf("length %d", c.Length())
	}
}

// TestSessionExtension sends messages that belong to no feed.
func TestSessionExtension(t *testing.T) {
	ca, cb := net.Pipe()
	a := newHost(t, nil, &replicate.Options{Live: true}).Start(t.Context(), ca, true)
	b := newHost(t, nil, &replicate.Options{Live: true}).Start(t.Context(), cb, false)
	got := make(chan string, 3)
	bad := make(chan error, 3)
	register := func(s *replicate.Session, name string) *replicate.Extension[string] {
		x, err := replicate.RegisterSessionExtension(s, name, codec.UTF8, replicate.ExtensionHandler[string]{
			Message: func(_ *replicate.Session, _ *replicate.Peer, m string) { got <- name + m },
			Error:   func(_ *replicate.Session, _ *replicate.Peer, err error) { bad <- err },
		})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	register(b, "y")
	register(b, "z")
	raw, err := replicate.RegisterSessionExtension(a, "z", codec.Binary, replicate.ExtensionHandler[[]byte]{})
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Send(nil, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if m := <-got; m != "zone" {
		t.Errorf("got %q", m)
	}
	raw.Send(nil, []byte{0xff})
	if err := <-bad; !errors.Is(err, codec.ErrUTF8) {
		t.Errorf("error %v", err)
	}
	register(a, "y").Send(nil, "two")
	if m := <-got; m != "ytwo" {
		t.Errorf("got %q", m)
	}
}

// slowStream delays what is written, and now and then loses a piece, which is sent
// again later, as TCP does: nothing overtakes.
type slowStream struct {
	io.ReadWriteCloser
	out  chan []byte
	done chan struct{}
	once sync.Once
}

func newSlowStream(c io.ReadWriteCloser, delay time.Duration, loss float64) *slowStream {
	s := &slowStream{ReadWriteCloser: c, out: make(chan []byte, 1000), done: make(chan struct{})}
	type piece struct {
		b  []byte
		at time.Time
	}
	queue := make(chan piece, 1000)
	go func() {
		defer close(queue)
		for {
			select {
			case b := <-s.out:
				wait := delay
				if rand.Float64() < loss {
					wait += 200 * time.Millisecond
				}
				select {
				case queue <- piece{b, time.Now().Add(wait)}:
				case <-s.done:
					return
				}
			case <-s.done:
				return
			}
		}
	}()
	go func() {
		for p := range queue {
			time.Sleep(time.Until(p.at))
			if _, err := c.Write(p.b); err != nil {
				return
			}
		}
	}()
	return s
}

// Write implements io.Writer.
func (s *slowStream) Write(p []byte) (int, error) {
	for n := 0; n < len(p); n += 1400 {
		select {
		case s.out <- append([]byte(nil), p[n:min(n+1400, len(p))]...):
		case <-s.done:
			return 0, io.ErrClosedPipe
		}
	}
	return len(p), nil
}

// Close implements io.Closer.
func (s *slowStream) Close() error {
	s.once.Do(func() { close(s.done) })
	return s.ReadWriteCloser.Close()
}

// TestSlow replicates over a line of 200 ms and 1% loss. The number of requests
// under way adapts: a window of 64 would take over nine seconds.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := createFeed(t, openStore(t), 3000, 100)
		b := openFeed(t, openStore(t), a, false)
		ca, cb := net.Pipe()
		ha, hb := newHost(t, nil, &replicate.Options{Live: true}), newHost(t, nil, &replicate.Options{Live: true})
		defer ha.Close()
		defer hb.Close()
		start := time.Now()
		add(t, ha.Start(t.Context(), newSlowStream(ca, 100*time.Millisecond, 0.01), true), a)
		add(t, hb.Start(t.Context(), newSlowStream(cb, 100*time.Millisecond, 0.01), false), b)
		waitFor(t, "everything", func() bool { return b.Downloaded(0, 0) == 3000 })
		if spent := time.Since(start); spent > 6*time.Second {
			t.Errorf("took %v", spent)
		}
	})
}

// TestKeepAlive lets a session be idle for an hour.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := createFeed(t, openStore(t), 10, 100)
		b := openFeed(t, openStore(t), a, false)
		ha, hb := newHost(t, nil, &replicate.Options{Live: true}), newHost(t, nil, &replicate.Options{Live: true})
		defer ha.Close()
		defer hb.Close()
		link(t, ha, hb, []*engine.Feed{a}, []*engine.Feed{b})
		time.Sleep(time.Hour)
		fill(t, a, 1, 100)
		time.Sleep(time.Second)
		checkBlocks(t, b, 0, 11, 100)
	})
}

// TestFair has 99 feeds of few blocks beside one of many on one session. They must
// not wait for it: together they take no longer than twice what they take alone.
func TestFair(t *testing.T) {
	from, to := openStoreSynced(t), openStore(t)
	busy := createFeed(t, from, 4000, 16<<10)
	var quiet, copies []*engine.Feed
	for range 99 {
		f := createFeed(t, from, 5, 100)
		quiet = append(quiet, f)
		copies = append(copies, openFeed(t, to, f, false))
	}
	all := openFeed(t, to, busy, false)
	a, b := newHost(t, nil, &replicate.Options{Live: true}), newHost(t, nil, &replicate.Options{Live: true})
	link(t, a, b, append([]*engine.Feed{busy}, quiet...), append([]*engine.Feed{all}, copies...))
	for _, f := range copies {
		waitFor(t, "a quiet feed", func() bool { return f.Downloaded(0, 0) == 5 })
	}
	if n := all.Downloaded(0, 0); n == 4000 {
		t.Error("the quiet feeds came after the busy one")
	}
	waitFor(t, "the busy feed", func() bool { return all.Downloaded(0, 0) == 4000 })
}

// TestIdleMemory reports what an idle open feed costs on both sides together.
func TestIdleMemory(t *testing.T) {
	const count = 2000
	from, to := openStore(t), openStore(t)
	a, b := newHost(t, nil, &replicate.Options{Live: true}), newHost(t, nil, &replicate.Options{Live: true})
	var feeds, copies []*engine.Feed
	for range count {
		f, err := from.Create(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		feeds = append(feeds, f)
		copies = append(copies, openFeed(t, to, f, false))
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := heap()
	link(t, a, b, feeds, copies)
	for _, f := range copies {
		waitFor(t, "peers", func() bool {
			p := b.Peers(f.DiscoveryKey())
			return len(p) == 1 && p[0].State().Answered
		})
	}
	each := int64(heap()-before) / count / 2
	t.Logf("%d bytes for each feed and side", each)
	if each > 16<<10 {
		t.Errorf("%d bytes for each feed and side", each)
	}
}
