package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// newPair makes a key pair that follows from a number.
func newPair(seed byte) tree.KeyPair {
	return tree.KeyPairFromSeed([32]byte(bytes.Repeat([]byte{seed}, 32)))
}

// testBlocks makes n blocks of different sizes, some of them empty.
func testBlocks(n int) [][]byte {
	blocks := make([][]byte, n)
	for i := range blocks {
		text := fmt.Appendf(nil, "block %d;", i)
		blocks[i] = bytes.Repeat(text, i%7)
	}
	return blocks
}

// writerAndReplica makes a feed with blocks and an empty sparse copy of it.
func writerAndReplica(t testing.TB, b backend, blocks [][]byte) (writer, replica *engine.Feed) {
	t.Helper()
	writer = b.create(t, newPair(1))
	if len(blocks) > 0 {
		mustAppend(t, writer, blocks...)
	}
	return writer, b.replica(t, writer.Key())
}

// whenWaiting returns when n items of demand wait, standing ranges not counted.
func whenWaiting(t testing.TB, f *engine.Feed, n int) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		changed := f.Demand().Changed()
		items := f.Demand().Ranges(f.Demand().Urgent(nil))
		waiting := 0
		for _, it := range items {
			if !it.Standing {
				waiting++
			}
		}
		if waiting >= n {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d items wait, not %d: %+v", waiting, n, items)
		}
	}
}

// outcome is what a call in a goroutine gave.
type outcome[T any] struct {
	value T
	err   error
}

// later runs a call in a goroutine.
func later[T any](call func() (T, error)) <-chan outcome[T] {
	c := make(chan outcome[T], 1)
	go func() {
		v, err := call()
		c <- outcome[T]{v, err}
	}()
	return c
}

// receive waits for the outcome of a call.
func receive[T any](t testing.TB, c <-chan outcome[T]) outcome[T] {
	t.Helper()
	select {
	case o := <-c:
		return o
	case <-time.After(20 * time.Second):
		t.Fatal("the call does not return")
		panic("unreachable")
	}
}

// mustBlock is a call that gave a block.
func mustBlock(t testing.TB, o outcome[[]byte], want []byte) {
	t.Helper()
	if o.err != nil || !bytes.Equal(o.value, want) {
		t.Errorf("got %q, %v, want %q", o.value, o.err, want)
	}
}

func mustFail(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

// TestGetWaits: a get of a missing block waits until it arrives, whether a peer
// brings it or the feed grows, and tells once that it waits.
func TestGetWaits(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		blocks := testBlocks(50)
		writer, replica := writerAndReplica(t, b, blocks)
		waits := 0
		got := later(func() ([]byte, error) {
			return replica.Get(t.Context(), 20, &engine.GetOptions{OnWait: func(index uint64) {
				if waits++; index != 20 {
					t.Errorf("waits for %d", index)
				}
			}})
		})
		whenWaiting(t, replica, 1)
		if it := replica.Demand().Urgent(nil)[0]; it.Kind != demand.Get || it.Index != 20 {
			t.Errorf("demand %+v", it)
		}
		transfer(t, writer, replica, 19, false)
		transfer(t, writer, replica, 20, true) // the hash is not the block
		if !replica.Demand().Waiting() {
			t.Error("the get has ended without its block")
		}
		transfer(t, writer, replica, 20, false)
		mustBlock(t, receive(t, got), blocks[20])
		if waits != 1 {
			t.Errorf("OnWait was called %d times", waits)
		}
		if !replica.Demand().Idle() {
			t.Error("the demand is not idle")
		}

		// A block behind the end waits for the feed to grow, on a writer's too.
		grown := later(func() ([]byte, error) { return writer.Get(t.Context(), 51, nil) })
		whenWaiting(t, writer, 1)
		mustAppend(t, writer, []byte("fifty"))
		mustAppend(t, writer, []byte("fifty-one"))
		mustBlock(t, receive(t, grown), []byte("fifty-one"))

		// What is here does not wait.
		present, err := replica.Get(t.Context(), 20, &engine.GetOptions{OnWait: func(uint64) { t.Error("waits for a block that is here") }})
		mustBlock(t, outcome[[]byte]{present, err}, blocks[20])
	})
}

// TestGetEnds: how a waiting get ends without its block.
func TestGetEnds(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		_, f := writerAndReplica(t, b, testBlocks(10))
		_, err := f.Get(t.Context(), 3, &engine.GetOptions{NoWait: true})
		mustFail(t, err, engine.ErrNotPresent)
		if e, ok := errors.AsType[*engine.BlockError](err); !ok || e.Block != 3 {
			t.Errorf("%v does not name the block", err)
		}
		if e, ok := errors.AsType[*engine.FeedError](err); !ok || e.Feed != f.DiscoveryKey() {
			t.Errorf("%v does not name the feed", err)
		}

		reason := errors.New("the user left")
		ctx, cancel := context.WithCancelCause(t.Context())
		got := later(func() ([]byte, error) { return f.Get(ctx, 3, nil) })
		whenWaiting(t, f, 1)
		cancel(reason)
		mustFail(t, receive(t, got).err, reason)
		if !f.Demand().Idle() {
			t.Error("the request stays after its context has ended")
		}
		_, err = f.Get(ctx, 3, nil)
		mustFail(t, err, reason)

		timed, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		_, err = f.Get(timed, 3, nil)
		mustFail(t, err, context.DeadlineExceeded)

		three := later(func() ([]byte, error) { return f.Get(t.Context(), 3, nil) })
		five := later(func() ([]byte, error) { return f.Get(t.Context(), 5, nil) })
		seek := later(func() (uint64, error) {
			_, offset, err := f.Seek(t.Context(), 1, &engine.SeekOptions{Start: 3, End: 4})
			return offset, err
		})
		whenWaiting(t, f, 3)
		if n := f.Cancel(4, 0); n != 0 {
			t.Errorf("Cancel(4) ended %d calls", n)
		}
		if n := f.Cancel(3, 0); n != 2 {
			t.Errorf("Cancel(3) ended %d calls, want the get and the seek", n)
		}
		mustFail(t, receive(t, three).err, engine.ErrCanceled)
		mustFail(t, receive(t, seek).err, engine.ErrCanceled)
		if n := f.Cancel(0, 10); n != 1 {
			t.Errorf("Cancel ended %d calls, want 1", n)
		}
		mustFail(t, receive(t, five).err, engine.ErrCanceled)

		last := later(func() ([]byte, error) { return f.Get(t.Context(), 3, nil) })
		update := later(func() (int, error) { return 0, f.Update(t.Context(), nil) })
		d := f.Download(engine.DownloadRange{Start: 1, End: 3})
		whenWaiting(t, f, 3)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		mustFail(t, receive(t, last).err, engine.ErrClosed)
		mustFail(t, receive(t, update).err, engine.ErrClosed)
		mustFail(t, d.Wait(t.Context()), engine.ErrClosed)
		_, err = f.Get(t.Context(), 3, nil)
		mustFail(t, err, engine.ErrClosed)
		_, err = f.Head(t.Context(), nil)
		mustFail(t, err, engine.ErrClosed)
		_, err = f.GetBatch(t.Context(), 0, 1, nil)
		mustFail(t, err, engine.ErrClosed)
	})
}

// TestIfAvailable: calls that ask for what nobody has fail as soon as that is known.
func TestIfAvailable(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		_, f := writerAndReplica(t, b, testBlocks(10))
		available := &engine.GetOptions{IfAvailable: true}
		_, err := f.Get(t.Context(), 3, available)
		mustFail(t, err, engine.ErrNotAvailable)
		mustFail(t, f.Update(t.Context(), &engine.UpdateOptions{IfAvailable: true}), engine.ErrNotAvailable)
		_, _, err = f.Seek(t.Context(), 7, &engine.SeekOptions{IfAvailable: true})
		mustFail(t, err, engine.ErrNotAvailable)
		_, err = f.GetBatch(t.Context(), 0, 2, available)
		mustFail(t, err, engine.ErrNotAvailable)
		mustFail(t, f.Download(engine.DownloadRange{Start: 0, End: 2, IfAvailable: true}).Wait(t.Context()), engine.ErrNotAvailable)

		// A peer that has not answered yet is hope, one that has block 4 hope for that.
		src := f.Demand().Attach(func(it demand.Item) bool { return it.Kind == demand.Get && it.Index == 4 })
		three := later(func() ([]byte, error) { return f.Get(t.Context(), 3, available) })
		four := later(func() ([]byte, error) { return f.Get(t.Context(), 4, available) })
		whenWaiting(t, f, 2)
		src.Answered()
		mustFail(t, receive(t, three).err, engine.ErrNotAvailable)
		if !f.Demand().Waiting() {
			t.Error("block 4 was given up")
		}
		src.Detach()
		mustFail(t, receive(t, four).err, engine.ErrNotAvailable)

		w := b.create(t, newPair(2))
		mustFail(t, w.Update(t.Context(), &engine.UpdateOptions{IfAvailable: true}), engine.ErrNotAvailable)
	})
}

// TestIfAvailableOption: the option of the handle is the default of its calls.
func TestIfAvailableOption(t *testing.T) {
	f, err := openStore(t, nil).Open(t.Context(), newPair(1).Public, &engine.FeedOptions{Sparse: true, IfAvailable: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.Get(t.Context(), 0, nil)
	mustFail(t, err, engine.ErrNotAvailable)
	mustFail(t, f.Update(t.Context(), nil), engine.ErrNotAvailable)
	for _, err := range f.Blocks(t.Context(), &engine.StreamOptions{End: 1}) {
		mustFail(t, err, engine.ErrNotAvailable)
	}
}

// TestUpdate: an update waits for a length, which an append or a proof brings.
func TestUpdate(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		writer, f := writerAndReplica(t, b, testBlocks(10))
		one := later(func() (int, error) { return 0, f.Update(t.Context(), nil) })
		ten := later(func() (int, error) { return 0, f.Update(t.Context(), &engine.UpdateOptions{MinLength: 10}) })
		eleven := later(func() (int, error) {
			return 0, f.Update(t.Context(), &engine.UpdateOptions{MinLength: 11, Blocks: true})
		})
		whenWaiting(t, f, 3)
		for _, it := range f.Demand().Urgent(nil) {
			if it.Kind != demand.Update || it.HashOnly == (it.Index == 10) {
				t.Errorf("demand %+v", it)
			}
		}
		transfer(t, writer, f, 9, true)
		mustFail(t, receive(t, one).err, nil)
		mustFail(t, receive(t, ten).err, nil)
		if f.Length() != 10 || f.Downloaded(0, 0) != 0 {
			t.Errorf("length %d, downloaded %d", f.Length(), f.Downloaded(0, 0))
		}
		if err := f.Update(t.Context(), &engine.UpdateOptions{MinLength: 10}); err != nil {
			t.Errorf("update to a length that is there: %v", err)
		}
		mustAppend(t, writer, []byte("eleven"))
		transfer(t, writer, f, 10, false)
		mustFail(t, receive(t, eleven).err, nil)

		grow := later(func() (int, error) { return 0, writer.Update(t.Context(), nil) })
		whenWaiting(t, writer, 1)
		mustAppend(t, writer, []byte("twelve"))
		mustFail(t, receive(t, grow).err, nil)
	})
}

// TestSeekWaits: a seek asks for the nodes that lead to a byte; one behind the end
// waits for the feed to grow.
func TestSeekWaits(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		var blocks [][]byte
		for i := range 20 {
			blocks = append(blocks, bytes.Repeat([]byte{byte(i)}, 10))
		}
		writer, f := writerAndReplica(t, b, blocks)
		_, _, err := f.Seek(t.Context(), 7, &engine.SeekOptions{NoWait: true})
		mustFail(t, err, tree.ErrOutOfBounds)
		transfer(t, writer, f, 0, false)
		_, _, err = f.Seek(t.Context(), 155, &engine.SeekOptions{NoWait: true})
		mustFail(t, err, engine.ErrNotPresent)
		type place struct{ block, offset uint64 }
		seek := func(f *engine.Feed, at uint64, o *engine.SeekOptions) <-chan outcome[place] {
			return later(func() (place, error) {
				block, offset, err := f.Seek(t.Context(), at, o)
				return place{block, offset}, err
			})
		}
		got := seek(f, 155, nil)
		whenWaiting(t, f, 1)
		it := f.Demand().Urgent(nil)[0]
		if it.Kind != demand.Seek || it.Bytes != 155 || !it.HashOnly || it.Start > 15 || it.End <= 15 {
			t.Errorf("demand %+v", it)
		}
		transfer(t, writer, f, 15, true)
		if o := receive(t, got); o.err != nil || o.value != (place{15, 5}) {
			t.Errorf("seek: %+v", o)
		}
		if f.Has(15) {
			t.Error("a seek has downloaded the block")
		}
		for at, want := range map[uint64]place{0: {0, 0}, 9: {0, 9}, 200: {20, 0}} {
			if o := receive(t, seek(f, at, nil)); o.err != nil || o.value != want {
				t.Errorf("seek %d: %+v, want %v", at, o, want)
			}
		}
		grown := seek(writer, 203, nil)
		whenWaiting(t, writer, 1)
		mustAppend(t, writer, []byte("ten bytes."))
		if o := receive(t, grown); o.err != nil || o.value != (place{20, 3}) {
			t.Errorf("seek behind the end: %+v", o)
		}
	})
}

// TestDownload: a download ends when its blocks are here, or when it is canceled.
func TestDownload(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		blocks := testBlocks(40)
		writer, f := writerAndReplica(t, b, blocks)
		wait := func(d *engine.Download) <-chan outcome[int] {
			return later(func() (int, error) { return 0, d.Wait(t.Context()) })
		}
		run := wait(f.Download(engine.DownloadRange{Start: 3, End: 6, Linear: true}))
		list := wait(f.Download(engine.DownloadRange{Blocks: []uint64{30, 5, 30}}))
		all := f.Download(engine.DownloadRange{})
		whenWaiting(t, f, 3)
		for _, it := range f.Demand().Ranges(nil) {
			switch {
			case it.Blocks != nil:
				if fmt.Sprint(it.Blocks) != "[5 30]" || it.Start != 5 || it.End != 31 {
					t.Errorf("demand %+v", it)
				}
			case it.End == demand.Unbounded:
				if it.Start != 0 || it.Linear {
					t.Errorf("demand %+v", it)
				}
			case it.Start != 3 || it.End != 6 || !it.Linear:
				t.Errorf("demand %+v", it)
			}
		}
		for _, i := range []uint64{5, 3, 4} {
			transfer(t, writer, f, i, false)
		}
		mustFail(t, receive(t, run).err, nil)
		transfer(t, writer, f, 30, false)
		mustFail(t, receive(t, list).err, nil)
		select {
		case <-all.Done():
			t.Error("a download without end has ended")
		default:
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		mustFail(t, all.Wait(ctx), context.Canceled)
		all.Cancel()
		mustFail(t, all.Wait(t.Context()), engine.ErrCanceled)
		all.Cancel()

		inside := f.Download(engine.DownloadRange{Start: 10, End: 12})
		across := f.Download(engine.DownloadRange{Start: 10, End: 13})
		if n := f.Cancel(10, 12); n != 1 {
			t.Errorf("Cancel ended %d downloads, want 1", n)
		}
		mustFail(t, inside.Wait(t.Context()), engine.ErrCanceled)
		across.Cancel()
		if err := f.Download(engine.DownloadRange{Start: 3, End: 6}).Wait(t.Context()); err != nil {
			t.Errorf("download of what is here: %v", err)
		}
		if err := f.Download(engine.DownloadRange{Blocks: []uint64{}}).Wait(t.Context()); err != nil {
			t.Errorf("download of nothing: %v", err)
		}
	})
}

// TestStandingDemand: a feed that is not sparse wants everything, a sparse one
// nothing, one with EagerUpdate to know the length, a writer nothing.
func TestStandingDemand(t *testing.T) {
	writer := createFeed(t, openStore(t, nil), nil)
	if !writer.Demand().Idle() {
		t.Errorf("a writer wants %+v", writer.Demand().Ranges(nil))
	}
	mustAppend(t, writer, testBlocks(5)...)
	s := openStore(t, nil)
	open := func(o engine.FeedOptions) *engine.Feed {
		f, err := s.Open(t.Context(), writer.Key(), &o)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	sparse := open(engine.FeedOptions{Sparse: true})
	if !sparse.Demand().Idle() || !sparse.Sparse() {
		t.Error("a sparse feed wants something")
	}
	full := open(engine.FeedOptions{})
	if r := full.Demand().Ranges(nil); len(r) != 1 || !r[0].Standing || r[0].End != demand.Unbounded {
		t.Errorf("a full feed wants %+v", r)
	}
	full.Close()
	if !sparse.Demand().Idle() {
		t.Error("a closed handle wants something")
	}
	eager := open(engine.FeedOptions{Sparse: true, EagerUpdate: true})
	whenWaiting(t, eager, 1)
	if it := eager.Demand().Urgent(nil)[0]; it.Kind != demand.Update || it.Index != 0 || !it.HashOnly {
		t.Errorf("demand %+v", it)
	}
	transfer(t, writer, eager, 4, true)
	for {
		changed := eager.Demand().Changed()
		if it := eager.Demand().Urgent(nil); len(it) == 1 && it[0].Index == 5 {
			break
		}
		<-changed
	}
	eager.Close()
	if !sparse.Demand().Idle() {
		t.Error("a closed handle still follows the length")
	}
	sparse.Close()
}
