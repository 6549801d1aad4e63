package engine_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// take returns what is pending, and checks that the signal agrees with it.
func take(t testing.TB, s *engine.Subscription) engine.Events {
	t.Helper()
	signaled := false
	select {
	case <-s.Signal():
		signaled = true
	default:
	}
	e := s.Take()
	if pending := fmt.Sprint(e) != fmt.Sprint(engine.Events{}); pending != signaled {
		t.Errorf("signal %v, events %+v", signaled, e)
	}
	return e
}

func wantEvents(t testing.TB, s *engine.Subscription, want engine.Events) {
	t.Helper()
	if got := take(t, s); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("events %+v, want %+v", got, want)
	}
}

func run(start, end uint64) bitmap.Run { return bitmap.Run{Start: start, End: end} }

// TestEvents: each kind of event, merged until it is taken.
func TestEvents(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		writer, replica := writerAndReplica(t, b, nil)
		w, r := writer.Subscribe(), replica.Subscribe()
		wantEvents(t, w, engine.Events{Ready: true})
		wantEvents(t, w, engine.Events{})
		mustAppend(t, writer, numbered(5)...)
		mustAppend(t, writer, numbered(5)...)
		wantEvents(t, w, engine.Events{Appended: true, Offered: true})
		mustAppend(t, writer)
		wantEvents(t, w, engine.Events{})

		wantEvents(t, r, engine.Events{Ready: true})
		transfer(t, writer, replica, 9, true)
		wantEvents(t, r, engine.Events{Appended: true})
		for _, i := range []uint64{3, 1, 2, 7} {
			transfer(t, writer, replica, i, false)
		}
		transfer(t, writer, replica, 7, false)
		wantEvents(t, r, engine.Events{Downloaded: []bitmap.Run{run(1, 4), run(7, 8)}})
		for _, i := range []uint64{0, 4, 5, 6, 8} {
			transfer(t, writer, replica, i, false)
		}
		wantEvents(t, r, engine.Events{Downloaded: []bitmap.Run{run(0, 1), run(4, 7), run(8, 9)}})
		transfer(t, writer, replica, 9, false)
		wantEvents(t, r, engine.Events{Downloaded: []bitmap.Run{run(9, 10)}, Synced: true})

		writer.Uploaded(4, 2)
		writer.Uploaded(5, 3)
		wantEvents(t, w, engine.Events{Uploaded: []bitmap.Run{run(4, 6)}})
		if s := writer.Stats(); s != (engine.Stats{UploadedBlocks: 2, UploadedBytes: 5}) {
			t.Errorf("stats %+v", s)
		}

		for _, f := range []*engine.Feed{writer, replica} {
			if _, err := f.Clear(t.Context(), 2, 4); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Clear(t.Context(), 3, 5); err != nil {
				t.Fatal(err)
			}
		}
		wantEvents(t, w, engine.Events{Cleared: []bitmap.Run{run(2, 5)}})
		wantEvents(t, r, engine.Events{Cleared: []bitmap.Run{run(2, 5)}})
		// A writer that gets cleared blocks back is not synced by that.
		for i := uint64(2); i < 5; i++ {
			transfer(t, replica, replica, i, true)
			d := tree.Delivery{Block: i, Data: numbered(5)[i], HasData: true}
			var err error
			if d.Proof, err = writer.Proof(i, 0, false); err != nil {
				t.Fatal(err)
			}
			if _, err := writer.Deliver(t.Context(), nil, []tree.Delivery{d}); err != nil {
				t.Fatal(err)
			}
		}
		wantEvents(t, w, engine.Events{Downloaded: []bitmap.Run{run(2, 5)}})

		second := writer.Subscribe()
		second.Close()
		wantEvents(t, second, engine.Events{Ready: true, Closed: true})
		mustAppend(t, writer, []byte("x"))
		wantEvents(t, second, engine.Events{})
		writer.Close()
		wantEvents(t, w, engine.Events{Appended: true, Offered: true, Closed: true})
		wantEvents(t, writer.Subscribe(), engine.Events{Ready: true, Closed: true})
		w.Close()
		wantEvents(t, w, engine.Events{})
	})
}

// TestEventsAreBounded: a subscriber that never looks costs no more and more
// memory, and misses nothing.
func TestEventsAreBounded(t *testing.T) {
	f := createFeed(t, openStore(t, nil), nil)
	s := f.Subscribe()
	const n = 20_000
	for i := uint64(0); i < n; i++ {
		f.Uploaded(i*7919%(2*n)*2, 1)
	}
	e := s.Take()
	if len(e.Uploaded) > 1024 {
		t.Errorf("%d runs are kept", len(e.Uploaded))
	}
	told := bitmap.NewSet()
	for i, r := range e.Uploaded {
		if r.Start >= r.End || i > 0 && r.Start <= e.Uploaded[i-1].End {
			t.Fatalf("run %v after %v", r, e.Uploaded[i-1])
		}
		told.Add(r.Start, r.End)
	}
	for i := uint64(0); i < n; i++ {
		if !told.Has(i * 7919 % (2 * n) * 2) {
			t.Fatalf("block %d was uploaded and is not told", i*7919%(2*n)*2)
		}
	}
}

// TestHandlesAreApart: subscriptions and what waits end with their handle, the
// feed with its last one.
func TestHandlesAreApart(t *testing.T) {
	s := openStore(t, nil)
	f := createFeed(t, s, nil)
	g, err := s.Open(t.Context(), f.Key(), nil)
	if err != nil {
		t.Fatal(err)
	}
	fs, gs := f.Subscribe(), g.Subscribe()
	take(t, fs)
	take(t, gs)
	waiting := later(func() ([]byte, error) { return g.Get(t.Context(), 5, nil) })
	whenWaiting(t, f, 1)
	other := later(func() ([]byte, error) { return f.Get(t.Context(), 0, nil) })
	whenWaiting(t, f, 2)
	g.Close()
	mustFail(t, receive(t, waiting).err, engine.ErrClosed)
	wantEvents(t, gs, engine.Events{Closed: true})
	mustAppend(t, f, []byte("x"))
	mustBlock(t, receive(t, other), []byte("x"))
	wantEvents(t, fs, engine.Events{Appended: true, Offered: true})
	wantEvents(t, gs, engine.Events{})
	if m, err := s.Metrics(); err != nil || m.OpenFeeds != 1 {
		t.Errorf("%d feeds are open, %v", m.OpenFeeds, err)
	}
	f.Close()
	if m, err := s.Metrics(); err != nil || m.OpenFeeds != 0 {
		t.Errorf("%d feeds are open, %v", m.OpenFeeds, err)
	}
	if f.Readable() || f.Writable() {
		t.Error("a closed feed looks open")
	}
	if err := f.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

// TestWatch: the signature that replication uses.
func TestWatch(t *testing.T) {
	writer, f := writerAndReplica(t, backends()[0], numbered(3))
	signal, take, stop := f.Watch()
	<-signal
	take()
	transfer(t, writer, f, 1, false)
	<-signal
	if arrived, cleared, closed := take(); fmt.Sprint(arrived) != fmt.Sprint([]bitmap.Run{run(1, 2)}) || cleared != nil || closed {
		t.Errorf("%v, %v, %v", arrived, cleared, closed)
	}
	stop()
	<-signal
	if _, _, closed := take(); !closed {
		t.Error("the end is not told")
	}
}

// TestOnWrite: the hook sees every block before it is written and may refuse it.
func TestOnWrite(t *testing.T) {
	type call struct {
		index uint64
		data  string
		from  any
	}
	refuse := errors.New("not this one")
	var calls []call
	hook := func(index uint64, data []byte, from any) error {
		calls = append(calls, call{index, string(data), from})
		if string(data) == "bad" {
			return refuse
		}
		return nil
	}
	s := openStore(t, nil)
	o := &engine.CreateOptions{}
	o.OnWrite = hook
	f := createFeed(t, s, o)
	mustAppend(t, f, []byte("a"), []byte("b"))
	_, err := f.Append(t.Context(), []byte("c"), []byte("bad"))
	mustFail(t, err, refuse)
	if e, ok := errors.AsType[*engine.BlockError](err); !ok || e.Block != 3 {
		t.Errorf("%v does not name block 3", err)
	}
	if f.Length() != 2 {
		t.Errorf("length %d after a refused append", f.Length())
	}
	mustAppend(t, f, []byte("good"))
	want := []call{{0, "a", nil}, {1, "b", nil}, {2, "c", nil}, {3, "bad", nil}, {2, "good", nil}}
	if fmt.Sprint(calls) != fmt.Sprint(want) {
		t.Errorf("calls %v, want %v", calls, want)
	}

	// Deliveries are shown after they were verified, with who brought them.
	calls = nil
	other := openStore(t, nil)
	g, err := other.Open(t.Context(), f.Key(), &engine.FeedOptions{Sparse: true, OnWrite: hook})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	put := func(index uint64, data string, hash bool) error {
		p, err := f.Proof(index, 0, hash)
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.Deliver(t.Context(), "peer", []tree.Delivery{{Block: index, Data: []byte(data), HasData: !hash, Proof: p}})
		return err
	}
	if err := put(0, "forged", false); err == nil {
		t.Error("a forged block was accepted")
	}
	for _, err := range []error{put(2, "", true), put(0, "a", false), put(0, "a", false)} {
		if err != nil {
			t.Error(err)
		}
	}
	if want := []call{{2, "", "peer"}, {0, "a", "peer"}}; fmt.Sprint(calls) != fmt.Sprint(want) {
		t.Errorf("calls %v, want %v", calls, want)
	}
	o = &engine.CreateOptions{}
	bad := createFeed(t, s, o)
	mustAppend(t, bad, []byte("bad"))
	h, err := other.Open(t.Context(), bad.Key(), &engine.FeedOptions{Sparse: true, OnWrite: hook})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	err = deliver(t, bad, h, 0, false)
	mustFail(t, err, refuse)
	if h.Has(0) || h.Stats() != (engine.Stats{}) {
		t.Error("a refused block was written")
	}
}

// TestOnWriteBothBackends: an append that the hook refuses leaves nothing, and
// takes no number, on files too.
func TestOnWriteBothBackends(t *testing.T) {
	refuse := errors.New("no")
	eachOption(t, engine.FeedOptions{OnWrite: func(i uint64, data []byte, _ any) error {
		if len(data) == 0 {
			return refuse
		}
		return nil
	}}, func(t *testing.T, f *engine.Feed) {
		mustAppend(t, f, []byte("x"))
		_, err := f.Append(t.Context(), []byte("y"), nil)
		mustFail(t, err, refuse)
		if seq := mustAppend(t, f, []byte("z")); seq != 1 {
			t.Errorf("the next append got number %d", seq)
		}
	})
}
