package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/tools/internal/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collect runs the input through Run and returns copies of the batches.
func collect(ctx context.Context, r io.Reader, o ingest.Options) (batches [][]string, err error) {
	if o.MaxBlock == 0 {
		o.MaxBlock = 1000
	}
	err = ingest.Run(ctx, r, o, func(blocks [][]byte) error {
		var b []string
		for _, block := range blocks {
			b = append(b, string(block))
		}
		batches = append(batches, b)
		return nil
	})
	return batches, err
}

func TestModes(t *testing.T) {
	tests := []struct {
		name  string
		opts  ingest.Options
		input string
		want  []string
	}{
		{"lines", ingest.Options{Mode: ingest.Lines}, "a\n\nbc\n", []string{"a", "", "bc"}},
		{"a last line without newline", ingest.Options{Mode: ingest.Lines}, "a\nbc", []string{"a", "bc"}},
		{"carriage returns stay", ingest.Options{Mode: ingest.Lines}, "a\r\nb\r\n", []string{"a\r", "b\r"}},
		{"no lines", ingest.Options{Mode: ingest.Lines}, "", nil},
		{"one empty line", ingest.Options{Mode: ingest.Lines}, "\n", []string{""}},
		{"pieces", ingest.Options{Mode: ingest.Pieces, BlockSize: 3}, "abcdefgh", []string{"abc", "def", "gh"}},
		{"even pieces", ingest.Options{Mode: ingest.Pieces, BlockSize: 4}, "abcdefgh", []string{"abcd", "efgh"}},
		{"no pieces", ingest.Options{Mode: ingest.Pieces, BlockSize: 4}, "", nil},
		{"whole", ingest.Options{}, "a\nb\n", []string{"a\nb\n"}},
		{"whole of nothing", ingest.Options{}, "", []string{""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			readers := map[string]io.Reader{
				"at once": strings.NewReader(tt.input), "by bytes": iotest.OneByteReader(strings.NewReader(tt.input)),
				"end with the data": iotest.DataErrReader(strings.NewReader(tt.input)),
			}
			for how, r := range readers {
				batches, err := collect(t.Context(), r, tt.opts)
				if got := slices.Concat(batches...); err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("%s: %q, %v, want %q", how, got, err, tt.want)
				}
			}
		})
	}
}

// Whatever the sizes, the blocks are those that an obvious split makes, and no batch is larger than it may be.
func TestBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		input := rapid.SliceOfN(rapid.SampledFrom([]byte("ab\n")), 0, 300).Draw(t, "input")
		o := ingest.Options{
			Mode:        rapid.SampledFrom([]ingest.Mode{ingest.Lines, ingest.Pieces}).Draw(t, "mode"),
			BlockSize:   rapid.IntRange(1, 20).Draw(t, "blockSize"),
			BatchBytes:  rapid.IntRange(1, 50).Draw(t, "batchBytes"),
			BatchBlocks: rapid.IntRange(1, 10).Draw(t, "batchBlocks"),
			MaxBlock:    300,
		}
		var want []string
		switch rest := string(input); {
		case rest == "":
		case o.Mode == ingest.Lines:
			want = strings.Split(strings.TrimSuffix(rest, "\n"), "\n")
		default:
			for len(rest) > o.BlockSize {
				want, rest = append(want, rest[:o.BlockSize]), rest[o.BlockSize:]
			}
			want = append(want, rest)
		}
		batches, err := collect(t.Context(), iotest.HalfReader(bytes.NewReader(input)), o)
		if got := slices.Concat(batches...); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
		for _, b := range batches {
			last := len(b[len(b)-1])
			if size := len(strings.Join(b, "")); len(b) > o.BatchBlocks || size-last >= o.BatchBytes {
				t.Fatalf("a batch of %d blocks and %d bytes: %q", len(b), size, b)
			}
		}
	})
}

func TestTooLarge(t *testing.T) {
	for _, tt := range []struct {
		mode  ingest.Mode
		input string
		want  []string
		line  uint64
	}{
		{ingest.Lines, "a\nb\nmore than ten\nc\n", []string{"a", "b"}, 3},
		{ingest.Lines, "exactly 10\nand endless without a newline", []string{"exactly 10"}, 2},
		{ingest.Whole, "more than ten", nil, 0},
	} {
		batches, err := collect(t.Context(), iotest.HalfReader(strings.NewReader(tt.input)), ingest.Options{Mode: tt.mode, MaxBlock: 10})
		e, ok := errors.AsType[*ingest.TooLargeError](err)
		if got := slices.Concat(batches...); !ok || e.Line != tt.line || e.Max != 10 || !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, %v", tt.input, got, err)
		}
	}
	if _, err := collect(t.Context(), strings.NewReader("x"), ingest.Options{Mode: ingest.Pieces, BlockSize: 1001}); err == nil {
		t.Error("blocks larger than the largest were taken")
	}
}

func TestBrokenInput(t *testing.T) {
	broken := errors.New("disk on fire")
	batches, err := collect(t.Context(), io.MultiReader(strings.NewReader("a\nb\nc"), iotest.ErrReader(broken)), ingest.Options{Mode: ingest.Lines})
	if got := slices.Concat(batches...); !errors.Is(err, broken) || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFailedCommit(t *testing.T) {
	full := errors.New("disk full")
	endless := iotest.DataErrReader(readerFunc(func(p []byte) (int, error) { return copy(p, "line\n"), nil }))
	calls := 0
	err := ingest.Run(t.Context(), endless, ingest.Options{Mode: ingest.Lines, MaxBlock: 10}, func([][]byte) error { calls++; return full })
	if !errors.Is(err, full) || calls != 1 {
		t.Errorf("%d commits, %v", calls, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A line is committed at once when nothing follows, and soon when the input never pauses; what arrives during a commit
// waits for its end.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		type event struct {
			at     time.Duration
			blocks string
		}
		var got []event
		r, w := io.Pipe()
		go func() {
			io.WriteString(w, "one\n") // a short read: nothing follows
			time.Sleep(time.Second)
			// From here on every read fills the buffer, as if there were always more.
			full := bytes.Repeat([]byte("x"), 64<<10)
			full[10] = '\n'
			w.Write(full) // at 1 s: a complete line, and the beginning of another
			time.Sleep(15 * time.Millisecond)
			w.Write(full[:10]) // drained, though no block has ended
			time.Sleep(time.Second)
			io.WriteString(w, "\ntwo\n") // at 2.015 s, together
			time.Sleep(10 * time.Millisecond)
			io.WriteString(w, "three\n") // during the commit
			time.Sleep(10 * time.Millisecond)
			io.WriteString(w, "four\n")
			w.Close()
		}()
		err := ingest.Run(t.Context(), r, ingest.Options{Mode: ingest.Lines, MaxBlock: 1 << 20}, func(blocks [][]byte) error {
			e := event{at: time.Since(start)}
			for _, b := range blocks {
				e.blocks += string(b[:min(len(b), 5)]) + "."
			}
			got = append(got, e)
			time.Sleep(100 * time.Millisecond)
			return nil
		})
		want := []event{
			{0, "one."},
			{1015 * time.Millisecond, "xxxxx."},
			{2015 * time.Millisecond, "xxxxx.two."},
			{2115 * time.Millisecond, "three.four."},
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	})
}

// An input that always has more is committed after Linger.
func TestLingerWithoutPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		endless := readerFunc(func(p []byte) (int, error) {
			time.Sleep(time.Millisecond)
			for i := range p {
				p[i] = '\n'
			}
			return len(p), nil
		})
		var at []time.Duration
		err := ingest.Run(ctx, endless, ingest.Options{Mode: ingest.Lines, MaxBlock: 10, BatchBlocks: 1 << 30, BatchBytes: 1 << 30}, func([][]byte) error {
			if at = append(at, time.Since(start)); len(at) == 3 {
				cancel(stop)
			}
			return nil
		})
		if !errors.Is(err, stop) || at[0] != 21*time.Millisecond {
			t.Errorf("%v at %v", err, at)
		}
		time.Sleep(time.Second) // the last read ends
	})
}

// What is complete when the context ends is committed; the rest of it is not.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		r, w := io.Pipe()
		go func() {
			io.WriteString(w, "a\n")
			time.Sleep(time.Second)
			io.WriteString(w, "b\nhalf") // while a is being committed
			time.Sleep(time.Second)
			cancel(stop)
		}()
		var got []string
		err := ingest.Run(ctx, r, ingest.Options{Mode: ingest.Lines, MaxBlock: 10}, func(blocks [][]byte) error {
			for _, b := range blocks {
				got = append(got, string(b))
			}
			time.Sleep(5 * time.Second)
			return nil
		})
		if !errors.Is(err, stop) || !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("%q, %v", got, err)
		}
		r.Close() // lets the read end
	})
}

func BenchmarkLines(b *testing.B) {
	input := bytes.Repeat([]byte("a line of about sixty bytes, as logs have them by the million\n"), 1<<16)
	b.SetBytes(int64(len(input)))
	b.ReportAllocs()
	for b.Loop() {
		if err := ingest.Run(b.Context(), bytes.NewReader(input), ingest.Options{Mode: ingest.Lines, MaxBlock: 1000}, func([][]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
