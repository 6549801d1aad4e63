package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/engine"
)

// numbered makes blocks that are their own numbers.
func numbered(n int) [][]byte {
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = fmt.Appendf(nil, "%d ", i)
	}
	return blocks
}

// readStream reads a stream to its end and checks that the numbers are in order.
func readStream(t testing.TB, f *engine.Feed, o *engine.StreamOptions) (string, error) {
	t.Helper()
	var text []byte
	for b, err := range f.Blocks(t.Context(), o) {
		if err != nil {
			return string(text), err
		}
		if got := fmt.Sprintf("%d ", b.Index); got != string(b.Data) {
			t.Errorf("block %d is %q", b.Index, b.Data)
		}
		text = append(text, b.Data...)
	}
	return string(text), nil
}

func TestStreamBounds(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		f := b.create(t, newPair(1))
		mustAppend(t, f, numbered(6)...)
		for name, c := range map[string]struct {
			o    *engine.StreamOptions
			want string
		}{
			"all":              {nil, "0 1 2 3 4 5 "},
			"start":            {&engine.StreamOptions{Start: 4}, "4 5 "},
			"end":              {&engine.StreamOptions{End: 2}, "0 1 "},
			"start, end":       {&engine.StreamOptions{Start: 2, End: 4}, "2 3 "},
			"empty":            {&engine.StreamOptions{Start: 3, End: 3}, ""},
			"backwards":        {&engine.StreamOptions{Start: 4, End: 3}, ""},
			"start behind end": {&engine.StreamOptions{Start: 9}, ""},
			"tail":             {&engine.StreamOptions{Tail: true}, ""},
			"no wait":          {&engine.StreamOptions{NoWait: true}, "0 1 2 3 4 5 "},
		} {
			got, err := readStream(t, f, c.o)
			if err != nil || got != c.want {
				t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
			}
		}
		got, err := readStream(t, f, &engine.StreamOptions{Start: 4, End: 9, NoWait: true})
		if got != "4 5 " || !errors.Is(err, engine.ErrNotPresent) {
			t.Errorf("stream past the end: %q, %v", got, err)
		}
		// The consumer may stop, and read again.
		for b, err := range f.Blocks(t.Context(), nil) {
			if err != nil {
				t.Error(err)
			}
			if b.Index == 2 {
				break
			}
		}
	})
}

// TestStreamSnapshot: by default the end is where the feed ended; without a
// snapshot it moves; an end further on is waited for.
func TestStreamSnapshot(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		read := func(o *engine.StreamOptions) string {
			f := b.create(t, newPair(1))
			mustAppend(t, f, numbered(2)...)
			var text []byte
			for b, err := range f.Blocks(t.Context(), o) {
				if err != nil {
					t.Fatal(err)
				}
				text = append(text, b.Data...)
				if n := f.Length(); n < 5 {
					mustAppend(t, f, fmt.Appendf(nil, "%d ", n))
				}
			}
			return string(text)
		}
		if got := read(nil); got != "0 1 " {
			t.Errorf("snapshot: %q", got)
		}
		if got := read(&engine.StreamOptions{NoSnapshot: true}); got != "0 1 2 3 4 " {
			t.Errorf("no snapshot: %q", got)
		}
		if got := read(&engine.StreamOptions{NoSnapshot: true, End: 3}); got != "0 1 2 " {
			t.Errorf("no snapshot, but an end: %q", got)
		}
	})
}

// TestStreamLive: a live stream follows the feed until its context or the feed ends.
func TestStreamLive(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		f := b.create(t, newPair(1))
		mustAppend(t, f, numbered(2)...)
		ctx, cancel := context.WithCancel(t.Context())
		follow := func(ctx context.Context, o engine.StreamOptions) <-chan outcome[string] {
			return later(func() (string, error) {
				var text []byte
				for b, err := range f.Blocks(ctx, &o) {
					if err != nil {
						return string(text), err
					}
					text = append(text, b.Data...)
				}
				return string(text), nil
			})
		}
		live := follow(ctx, engine.StreamOptions{Live: true, Start: 1})
		tail := follow(t.Context(), engine.StreamOptions{Live: true, Tail: true})
		further := follow(t.Context(), engine.StreamOptions{End: 4})
		for i := 2; i < 4; i++ {
			whenWaiting(t, f, 3)
			mustAppend(t, f, numbered(i + 1)[i])
		}
		if o := receive(t, further); o.err != nil || o.value != "0 1 2 3 " {
			t.Errorf("end behind the length: %+v", o)
		}
		whenWaiting(t, f, 2)
		cancel()
		if o := receive(t, live); !errors.Is(o.err, context.Canceled) || o.value != "1 2 3 " {
			t.Errorf("live: %+v", o)
		}
		f.Close()
		if o := receive(t, tail); !errors.Is(o.err, engine.ErrClosed) || o.value != "2 3 " {
			t.Errorf("live tail: %+v", o)
		}
	})
}

// TestStreamTimeout: the timeout is per block, by the clock.
func TestStreamTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := createFeed(t, openStore(t, nil), nil)
		mustAppend(t, f, numbered(1)...)
		start := time.Now()
		go func() {
			time.Sleep(3 * time.Second)
			mustAppend(t, f, []byte("1 "))
		}()
		got, err := readStream(t, f, &engine.StreamOptions{Live: true, Timeout: 4 * time.Second})
		if got != "0 1 " || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%q, %v", got, err)
		}
		if d := time.Since(start); d != 7*time.Second {
			t.Errorf("ended after %v, want 7s", d)
		}
	})
}

// TestStreamBatch: with a batch a missing block asks for those behind it too.
func TestStreamBatch(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		writer, f := writerAndReplica(t, b, numbered(20))
		transfer(t, writer, f, 0, false)
		got := later(func() (string, error) {
			return readStream(t, f, &engine.StreamOptions{End: 7, Batch: 4})
		})
		whenWaiting(t, f, 2)
		if r := f.Demand().Ranges(nil); len(r) != 1 || r[0].Start != 1 || r[0].End != 5 || !r[0].Linear {
			t.Errorf("demand %+v", r)
		}
		for i := uint64(1); i < 5; i++ {
			transfer(t, writer, f, i, false)
		}
		for {
			changed := f.Demand().Changed()
			if r := f.Demand().Ranges(nil); len(r) == 1 && r[0].Start == 5 {
				if r[0].End != 7 {
					t.Errorf("demand %+v, want it to end with the stream", r)
				}
				break
			}
			<-changed
		}
		transfer(t, writer, f, 5, false)
		transfer(t, writer, f, 6, false)
		if o := receive(t, got); o.err != nil || o.value != "0 1 2 3 4 5 6 " {
			t.Errorf("stream %+v", o)
		}
		if !f.Demand().Idle() {
			t.Errorf("the stream left %+v", f.Demand().Ranges(nil))
		}

		// A consumer that stops withdraws what it asked for ahead.
		for range f.Blocks(t.Context(), &engine.StreamOptions{Start: 6, End: 9, Batch: 2}) {
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := later(func() (int, error) {
			n := 0
			for _, err := range f.Blocks(ctx, &engine.StreamOptions{Start: 6, End: 9, Batch: 2}) {
				if err != nil {
					return n, err
				}
				n++
			}
			return n, nil
		})
		whenWaiting(t, f, 2)
		if it := f.Demand().Urgent(nil); len(it) != 1 || it[0].Kind != demand.Get || it[0].Index != 7 {
			t.Errorf("demand %+v", it)
		}
		cancel()
		mustFail(t, receive(t, ended).err, context.Canceled)
		if !f.Demand().Idle() {
			t.Error("the stream left something that waits")
		}
	})
}

func TestReader(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		f := b.create(t, newPair(1))
		blocks := testBlocks(60)
		mustAppend(t, f, blocks...)
		if err := iotest.TestReader(f.NewReader(t.Context(), nil), bytes.Join(blocks, nil)); err != nil {
			t.Error(err)
		}
		r := f.NewReader(t.Context(), &engine.StreamOptions{Start: 58, End: 61, NoWait: true})
		got, err := io.ReadAll(r)
		if !errors.Is(err, engine.ErrNotPresent) || !bytes.Equal(got, bytes.Join(blocks[58:], nil)) {
			t.Errorf("read %q, %v", got, err)
		}
		if _, again := r.Read(make([]byte, 1)); !errors.Is(again, engine.ErrNotPresent) {
			t.Errorf("the error does not stick: %v", again)
		}
		early := f.NewReader(t.Context(), nil)
		if _, err := io.ReadFull(early, make([]byte, 5)); err != nil {
			t.Error(err)
		}
		if err := early.Close(); err != nil {
			t.Error(err)
		}
		if n, err := early.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, io.EOF) {
			t.Errorf("read after close: %d, %v", n, err)
		}
	})
}

func TestWriter(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		f := b.create(t, newPair(1))
		w := f.NewWriter(t.Context(), &engine.WriterOptions{MaxBlockSize: 4})
		for _, p := range []string{"abcdefghij", "kl", "", "mnop"} {
			if n, err := io.WriteString(w, p); err != nil || n != len(p) {
				t.Fatalf("write %q: %d, %v", p, n, err)
			}
		}
		if f.Length() != 0 {
			t.Error("appended before it was flushed")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		blocks, err := f.GetBatch(t.Context(), 0, f.Length(), nil)
		if got := fmt.Sprintf("%q", blocks); err != nil || got != `["abcd" "efgh" "ij" "kl" "" "mnop"]` {
			t.Errorf("blocks %s, %v", got, err)
		}
		if at, _, err := f.Signature(0); err != nil || at != 5 {
			t.Errorf("the first batch ends with %d, %v, want one batch", at, err)
		}
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("write after close")
		}
		if w.Close() == nil {
			t.Error("the second close says nothing")
		}

		single := f.NewWriter(t.Context(), &engine.WriterOptions{BatchBytes: -1})
		for range 3 {
			if _, err := single.Write([]byte("y")); err != nil {
				t.Fatal(err)
			}
		}
		if at, _, err := f.Signature(6); err != nil || f.Length() != 9 || at != 6 {
			t.Errorf("unbuffered writes: length %d, signature at %d, %v", f.Length(), at, err)
		}

		// A batch of 1 MiB is appended without being asked for.
		big := f.NewWriter(t.Context(), nil)
		for range 3 {
			if _, err := big.Write(make([]byte, 400<<10)); err != nil {
				t.Fatal(err)
			}
		}
		if f.Length() != 12 {
			t.Errorf("length %d, want 12", f.Length())
		}
		if _, err := big.Write(make([]byte, engine.MaxSendable+1)); !errors.Is(err, engine.ErrBlockTooLarge) {
			t.Errorf("write of a block that is too large: %v", err)
		}
		if _, err := big.Write([]byte("fits")); err != nil {
			t.Errorf("the writer is stuck: %v", err)
		}
		if err := big.Flush(); err != nil || f.Length() != 13 {
			t.Errorf("flush: %v, length %d", err, f.Length())
		}
	})
}

// TestWriterError: an error of the append sticks.
func TestWriterError(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		_, replica := writerAndReplica(t, b, nil)
		w := replica.NewWriter(t.Context(), nil)
		if _, err := w.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		mustFail(t, w.Flush(), engine.ErrNotWritable)
		_, err := w.Write([]byte("x"))
		mustFail(t, err, engine.ErrNotWritable)
		mustFail(t, w.Close(), engine.ErrNotWritable)
	})
}
