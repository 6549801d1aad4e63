package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/codec"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/replicate"
	"github.com/cairn-feeds/cairn/replicate/noise"
	"github.com/cairn-feeds/cairn/tools/peers"
)

// TestReferenceSparse fetches single blocks, a range, a byte offset and a length.
func TestReferenceSparse(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	roles(t, func(t *testing.T, initiator bool) {
		id := fmt.Sprint(initiator)
		p.Do(t, "open", peers.Args{"id": id, "quiet": true})
		m := p.Do(t, "fill", peers.Args{"id": id, "count": 1000, "size": 50})
		f := theirs(t, openStore(t), m, true)
		h := newHost(t, nil, &replicate.Options{Live: true})
		connect(t, p, h, initiator, peers.Args{"feeds": []string{id}, "live": true}, f)
		ctx := t.Context()
		if err := f.Update(ctx, nil); err != nil || f.Length() != 1000 || f.Downloaded(0, 0) != 0 {
			t.Fatalf("update: length %d, %d blocks, %v", f.Length(), f.Downloaded(0, 0), err)
		}
		for _, i := range []uint64{500, 0, 999, 501} {
			if b, err := f.Get(ctx, i, nil); err != nil || !slices.Equal(b, peers.Pattern(i, 50)) {
				t.Fatalf("get %d: %v", i, err)
			}
		}
		for _, at := range []uint64{12345, 1, 49999, 25050} {
			block, offset, err := f.Seek(ctx, at, nil)
			if err != nil || block != at/50 || offset != at%50 {
				t.Errorf("seek %d: %d+%d, %v", at, block, offset, err)
			}
		}
		if got := f.Downloaded(0, 0); got != 4 {
			t.Errorf("%d blocks after 4 gets", got)
		}
		if err := f.Download(engine.DownloadRange{Start: 100, End: 110}).Wait(ctx); err != nil {
			t.Fatal(err)
		}
		if err := f.Download(engine.DownloadRange{Blocks: []uint64{7, 300, 301, 800}}).Wait(ctx); err != nil {
			t.Fatal(err)
		}
		checkBlocks(t, f, 100, 110, 50)
		if got := f.Downloaded(0, 0); got != 18 {
			t.Errorf("%d blocks, want 18", got)
		}
		_, err := f.Get(ctx, 5000, &engine.GetOptions{IfAvailable: true})
		if !errors.Is(err, engine.ErrNotAvailable) {
			t.Errorf("get of a block that nobody has: %v", err)
		}
	})
}

// TestReferenceReadsSparse lets a real peer fetch a block, a range, a byte offset.
func TestReferenceReadsSparse(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	roles(t, func(t *testing.T, initiator bool) {
		f := createFeed(t, openStore(t), 1000, 50)
		id := fmt.Sprint(initiator)
		p.Do(t, "open", peers.Args{"id": id, "key": f.Key().String(), "opts": peers.Args{"sparse": true}})
		h := newHost(t, nil, &replicate.Options{Live: true})
		connect(t, p, h, initiator, peers.Args{"feeds": []string{id}, "live": true}, f)
		if got := p.Do(t, "get", peers.Args{"id": id, "index": 500}).Text("value"); got != peers.Hex(peers.Pattern(500, 50)) {
			t.Errorf("get: %s", got)
		}
		if m := p.Do(t, "seek", peers.Args{"id": id, "bytes": 12345}); m.Int("index") != 246 || m.Int("offset") != 45 {
			t.Errorf("seek: %v", m)
		}
		m := p.Do(t, "download", peers.Args{"id": id, "range": peers.Args{"start": 100, "end": 110}})
		if m.Int("downloaded") != 11 {
			t.Errorf("%d blocks, want 11", m.Int("downloaded"))
		}
		// A cleared block is taken back.
		if _, err := f.Clear(t.Context(), 600, 700); err != nil {
			t.Fatal(err)
		}
		fill(t, f, 1, 50) // its announcement comes behind the Unhave
		p.Do(t, "get", peers.Args{"id": id, "index": 1000})
		_, err := p.Call(t.Context(), "get", peers.Args{"id": id, "index": 650, "opts": peers.Args{"ifAvailable": true}})
		if _, ok := errors.AsType[*peers.CallError](err); !ok {
			t.Errorf("get of a cleared block: %v", err)
		}
	})
}

// TestReferenceUnhave has a real peer clear blocks while it is connected.
func TestReferenceUnhave(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	p.Do(t, "open", peers.Args{"id": "a"})
	m := p.Do(t, "fill", peers.Args{"id": "a", "count": 10, "size": 5})
	f := theirs(t, openStore(t), m, true)
	s := connect(t, p, newHost(t, nil, &replicate.Options{Live: true}), true, peers.Args{"feeds": []string{"a"}, "live": true}, f)
	peer, err := s.Add(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "have", func() bool { return peer.RemoteHas(5) })
	p.Do(t, "clear", peers.Args{"id": "a", "start": 4, "end": 8})
	waitFor(t, "unhave", func() bool { return !peer.RemoteHas(5) })
	if !peer.RemoteHas(3) || !peer.RemoteHas(8) {
		t.Error("too much was taken back")
	}
}

// TestReferenceHalves exchanges complementary halves; both sides end.
func TestReferenceHalves(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	roles(t, func(t *testing.T, initiator bool) {
		const count = 400
		from := createFeed(t, openStore(t), count, 20)
		f := openFeed(t, openStore(t), from, false)
		id := fmt.Sprint(initiator)
		p.Do(t, "open", peers.Args{"id": id, "key": from.Key().String(), "quiet": true})
		feeder := newHost(t, nil, &replicate.Options{Live: true})
		s := connect(t, p, feeder, initiator, peers.Args{"feeds": []string{id}, "live": true}, from)
		waitFor(t, "all there", func() bool { return p.Do(t, "info", peers.Args{"id": id}).Int("downloaded") == count })
		s.Close(nil)
		s.Wait()
		p.Do(t, "clear", peers.Args{"id": id, "start": 0, "end": count / 2})
		copyBlocks(t, from, f, 0, count/2)

		h := newHost(t, nil, nil)
		s = connect(t, p, h, initiator, peers.Args{"feeds": []string{id}}, f)
		if err := s.Wait(); err != nil {
			t.Fatal(err)
		}
		checkBlocks(t, f, 0, count, 20)
		if got := p.Do(t, "info", peers.Args{"id": id}).Int("downloaded"); got != count {
			t.Errorf("the peer has %d of %d", got, count)
		}
		if got := h.Stats(); got.DownloadedBlocks != count/2 || got.UploadedBlocks != count/2 {
			t.Errorf("exchanged %+v", got)
		}
	})
}

// copyBlocks gives a feed blocks of another one.
func copyBlocks(t testing.TB, from, to *engine.Feed, start, end uint64) {
	t.Helper()
	for i := start; i < end; i++ {
		digest, err := to.Digest(i)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := from.Proof(i, digest, false)
		if err != nil {
			t.Fatal(err)
		}
		block, _, err := from.Block(nil, i)
		if err != nil {
			t.Fatal(err)
		}
		if err := to.Put(t.Context(), i, block, proof); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReferenceThirds downloads from three peers with different thirds.
func TestReferenceThirds(t *testing.T) {
	const count = 900
	p := peers.Start(t, peers.Hypercore9)
	from := createFeed(t, openStore(t), count, 20)
	f := openFeed(t, openStore(t), from, false)
	h := newHost(t, nil, &replicate.Options{Live: true})
	for third := range 3 {
		id := fmt.Sprint(third)
		p.Do(t, "open", peers.Args{"id": id, "key": from.Key().String(), "quiet": true})
		feeder := newHost(t, nil, &replicate.Options{Live: true})
		s := connect(t, p, feeder, true, peers.Args{"feeds": []string{id}, "live": true}, from)
		waitFor(t, "all there", func() bool { return p.Do(t, "info", peers.Args{"id": id}).Int("downloaded") == count })
		s.Close(nil)
		s.Wait()
		for other := range 3 {
			if other != third {
				p.Do(t, "clear", peers.Args{"id": id, "start": other * count / 3, "end": (other + 1) * count / 3})
			}
		}
	}
	for third := range 3 {
		connect(t, p, h, third > 0, peers.Args{"feeds": []string{fmt.Sprint(third)}, "live": true}, f)
	}
	waitFor(t, "everything", func() bool { return f.Downloaded(0, 0) == count })
	checkBlocks(t, f, 0, count, 20)
	if got := h.Stats().DownloadedBlocks; got > count*102/100 {
		t.Errorf("%d blocks arrived for %d", got, count)
	}
}

// TestReferenceExtensions sends extension messages both ways.
func TestReferenceExtensions(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	roles(t, func(t *testing.T, initiator bool) {
		f := createFeed(t, openStore(t), 1, 5)
		id := fmt.Sprint(initiator)
		p.Do(t, "open", peers.Args{"id": id, "key": f.Key().String()})
		p.Do(t, "extension", peers.Args{"id": id, "name": "mid", "encoding": "utf-8"})
		p.Do(t, "extension", peers.Args{"id": id, "name": "alpha", "encoding": "utf-8"})
		h := newHost(t, nil, &replicate.Options{Live: true})
		got := make(chan string, 10)
		handler := replicate.ExtensionHandler[string]{Message: func(_ *replicate.Session, p *replicate.Peer, m string) {
			if p.DiscoveryKey() != f.DiscoveryKey() {
				t.Error("wrong feed")
			}
			got <- m
		}}
		zebra, err := replicate.RegisterExtension(h, f.DiscoveryKey(), "zebra", codec.UTF8, handler)
		if err != nil {
			t.Fatal(err)
		}
		alpha, err := replicate.RegisterExtension(h, f.DiscoveryKey(), "alpha", codec.UTF8, handler)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := replicate.RegisterExtension(h, f.DiscoveryKey(), "alpha", codec.UTF8, handler); !errors.Is(err, replicate.ErrExtensionName) {
			t.Errorf("second alpha: %v", err)
		}
		connect(t, p, h, initiator, peers.Args{"feeds": []string{id}, "live": true}, f)
		p.Await(t, "peer-open", peers.Args{"id": id})
		waitFor(t, "open", func() bool { return alpha.Broadcast("ours") })
		if m := p.Await(t, "extension", peers.Args{"id": id, "name": "alpha"}); m.Text("data") != "ours" {
			t.Errorf("they got %v", m)
		}
		zebra.Broadcast("nobody knows it")
		p.Do(t, "broadcast", peers.Args{"id": id, "name": "mid", "text": "nobody knows it"})
		p.Do(t, "broadcast", peers.Args{"id": id, "name": "alpha", "text": "theirs"})
		if m := <-got; m != "theirs" {
			t.Errorf("we got %q", m)
		}
		// Later ones renumber those that are there.
		if _, err := replicate.RegisterExtension(h, f.DiscoveryKey(), "aaa", codec.UTF8, handler); err != nil {
			t.Fatal(err)
		}
		alpha.Broadcast("again")
		if m := p.Await(t, "extension", peers.Args{"id": id, "name": "alpha"}); m.Text("data") != "again" {
			t.Errorf("they got %v", m)
		}
	})
}

// TestReferenceAcks asks for acks and gives them.
func TestReferenceAcks(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	roles(t, func(t *testing.T, initiator bool) {
		const count = 20
		store := openStore(t)
		ours := createFeed(t, store, count, 5)
		a, b := fmt.Sprint("a", initiator), fmt.Sprint("b", initiator)
		p.Do(t, "open", peers.Args{"id": a})
		m := p.Do(t, "fill", peers.Args{"id": a, "count": count, "size": 5})
		p.Do(t, "open", peers.Args{"id": b, "key": ours.Key().String()})
		f := theirs(t, store, m, false)
		var mu sync.Mutex
		var acked bitmap.Set
		h := newHost(t, nil, &replicate.Options{Live: true, Ack: true, Events: replicate.Events{
			Ack: func(_ *replicate.Peer, r bitmap.Run) {
				mu.Lock()
				defer mu.Unlock()
				acked.Add(r.Start, r.End)
			},
		}})
		connect(t, p, h, initiator, peers.Args{"feeds": []string{a, b}, "live": true, "ack": true}, ours, f)
		for range count {
			p.Await(t, "ack", nil)
		}
		waitFor(t, "acks", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return acked.Len() == count
		})
	})
}

// TestReferenceModes replicates without encryption, and without a handshake.
func TestReferenceModes(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	roles(t, func(t *testing.T, initiator bool) {
		for mode, opts := range map[noise.Mode]peers.Args{
			noise.Plain:     {"encrypted": false, "noise": false},
			noise.NoiseOnly: {"encrypted": false},
		} {
			id := fmt.Sprint(mode, initiator)
			p.Do(t, "open", peers.Args{"id": id, "quiet": true})
			m := p.Do(t, "fill", peers.Args{"id": id, "count": 30, "size": 5})
			f := theirs(t, openStore(t), m, false)
			h := newHost(t, nil, &replicate.Options{Mode: mode})
			if err := connect(t, p, h, initiator, peers.Args{"feeds": []string{id}, "opts": opts}, f).Wait(); err != nil {
				t.Fatal(err)
			}
			checkBlocks(t, f, 0, 30, 5)
		}
	})
}

// TestReferenceRefusals is about keys: ours refused, theirs refused, a feed refused
// by either side, and a feed that one side does not have.
func TestReferenceRefusals(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	roles(t, func(t *testing.T, initiator bool) {
		f := createFeed(t, openStore(t), 3, 5)
		id := fmt.Sprint(initiator)
		p.Do(t, "open", peers.Args{"id": id, "key": f.Key().String()})
		refused := errors.New("refused by the test")

		s := connect(t, p, newHost(t, nil, nil), initiator, peers.Args{"feeds": []string{id}, "refuse": true}, f)
		if err := s.Wait(); err == nil {
			t.Error("refused, and no error")
		}
		h := newHost(t, nil, &replicate.Options{Authenticate: func(noise.PublicKey) error { return refused }})
		s = connect(t, p, h, initiator, peers.Args{"feeds": []string{id}}, f)
		if err := s.Wait(); !errors.Is(err, refused) || !errors.Is(err, noise.ErrRefused) {
			t.Errorf("we refused: %v", err)
		}

		reasons := make(chan error, 1)
		events := replicate.Events{PeerRemove: func(_ *replicate.Peer, reason error) { reasons <- reason }}
		h = newHost(t, nil, &replicate.Options{Events: events})
		s = connect(t, p, h, initiator, peers.Args{"feeds": []string{id}, "refuseFeeds": []string{id}}, f)
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
		if err := <-reasons; !errors.Is(err, replicate.ErrRefused) {
			t.Errorf("they refused the feed: %v", err)
		}
		h = newHost(t, nil, &replicate.Options{Events: events, AuthenticateFeed: func(replicate.Feed, noise.PublicKey) error { return refused }})
		s = connect(t, p, h, initiator, peers.Args{"feeds": []string{id}}, f)
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
		if err := <-reasons; !errors.Is(err, refused) {
			t.Errorf("we refused the feed: %v", err)
		}
		// A store that does not have the feed.
		h = newHost(t, replicate.StoreOf(openStore(t)), nil)
		s = connect(t, p, h, initiator, peers.Args{"feeds": []string{id}})
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestReferenceEndComplete ends against a live peer when there is nothing left to do.
func TestReferenceEndComplete(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	roles(t, func(t *testing.T, initiator bool) {
		ours := createFeed(t, openStore(t), 300, 5)
		a, b := fmt.Sprint("a", initiator), fmt.Sprint("b", initiator)
		p.Do(t, "open", peers.Args{"id": a, "quiet": true})
		m := p.Do(t, "fill", peers.Args{"id": a, "count": 200, "size": 5})
		p.Do(t, "open", peers.Args{"id": b, "key": ours.Key().String(), "quiet": true})
		f := theirs(t, openStore(t), m, false)
		h := newHost(t, nil, &replicate.Options{EndComplete: true})
		s := connect(t, p, h, initiator, peers.Args{"feeds": []string{a}, "live": true}, f)
		if err := s.Wait(); err != nil {
			t.Fatal(err)
		}
		checkBlocks(t, f, 0, 200, 5)
		s = connect(t, p, h, initiator, peers.Args{"feeds": []string{b}, "live": true}, ours)
		if err := s.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := p.Do(t, "info", peers.Args{"id": b}).Int("downloaded"); got != 300 {
			t.Errorf("the peer has %d", got)
		}
	})
}

// TestReferenceManyFeeds serves 1,000 feeds of a store on one session.
func TestReferenceManyFeeds(t *testing.T) {
	count := 1000
	if testing.Short() {
		count = 50
	}
	p := peers.Start(t, peers.Hypercore9)
	store := openStore(t)
	var ids []string
	for i := range count {
		f, err := store.Create(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Append(t.Context(), peers.Pattern(uint64(i), 20)); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprint(i)
		ids = append(ids, id)
		p.Do(t, "open", peers.Args{"id": id, "key": f.Key().String(), "quiet": true})
		f.Close()
	}
	h := newHost(t, replicate.StoreOf(store), &replicate.Options{Live: true})
	connect(t, p, h, true, peers.Args{"feeds": ids, "live": true})
	for _, id := range ids {
		waitFor(t, "feed "+id, func() bool { return p.Do(t, "info", peers.Args{"id": id}).Int("downloaded") == 1 })
	}
}

// TestReferenceLong moves 50,000 blocks both ways.
func TestReferenceLong(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some ten seconds")
	}
	const count = 50_000
	p := peers.Start(t, peers.Hypercore9)
	p.Do(t, "open", peers.Args{"id": "a", "quiet": true})
	m := p.Do(t, "fill", peers.Args{"id": "a", "count": count, "size": 100})
	f := theirs(t, openStore(t), m, false)
	h := newHost(t, nil, nil)
	if err := connect(t, p, h, true, peers.Args{"feeds": []string{"a"}}, f).Wait(); err != nil {
		t.Fatal(err)
	}
	checkBlocks(t, f, 0, count, 100)
	if got := h.Stats().DownloadedBlocks; got != count {
		t.Errorf("%d blocks arrived", got)
	}
	from := createFeed(t, openStore(t), count, 100)
	p.Do(t, "open", peers.Args{"id": "b", "key": from.Key().String(), "quiet": true})
	if err := connect(t, p, h, false, peers.Args{"feeds": []string{"b"}}, from).Wait(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if m, err := p.Call(ctx, "info", peers.Args{"id": "b"}); err != nil || m.Int("downloaded") != count {
		t.Errorf("%v, %v", m, err)
	}
}
