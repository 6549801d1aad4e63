package wire_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/replicate/wire"
)

// drawnFrame is a frame as a test makes it, and its bytes.
type drawnFrame struct {
	channel uint64
	typ     wire.Type
	body    []byte
	keep    bool
}

// drawStream draws frames of all sizes, with keep-alives between them, and
// their bytes, which are followed by the whole of a further head or a part of it.
func drawStream(t *rapid.T) (frames []drawnFrame, stream []byte) {
	keepAlives := func() {
		for range rapid.IntRange(0, 3).Draw(t, "keep-alives") {
			stream = append(stream, rapid.SampledFrom([]string{"\x00", "\x80\x00"}).Draw(t, "form")...)
		}
	}
	for i := range rapid.IntRange(0, 30).Draw(t, "frames") {
		keepAlives()
		f := drawnFrame{
			channel: rapid.OneOf(rapid.Uint64Range(0, 20), rapid.Uint64Range(0, wire.MaxChannel)).Draw(t, "channel"),
			typ:     wire.Type(rapid.IntRange(0, 15).Draw(t, "type")),
			keep:    rapid.Bool().Draw(t, "keep"),
		}
		size := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 10_000), rapid.IntRange(0, 600_000)).Draw(t, "size")
		f.body = bytes.Repeat([]byte{byte(i + 1)}, size)
		frames = append(frames, f)
		stream = appendFrame(stream, f.channel, f.typ, f.body)
	}
	keepAlives()
	return frames, stream
}

func appendFrame(dst []byte, channel uint64, typ wire.Type, body []byte) []byte {
	header := channel<<4 | uint64(typ)
	dst = protowire.AppendVarint(dst, uint64(protowire.SizeVarint(header)+len(body)))
	return append(protowire.AppendVarint(dst, header), body...)
}

// check compares the frames that next returns with those drawn. Those that are
// kept must also stay what they are until they are released.
func check(t *rapid.T, frames []drawnFrame, next func() (wire.Frame, bool), keep func() *wire.Buffer) {
	type kept struct {
		drawnFrame
		got    []byte
		buffer *wire.Buffer
	}
	var all []kept
	release := func(i int) {
		if k := all[i]; !bytes.Equal(k.got, k.body) {
			t.Fatalf("a frame of %d bytes, which was kept, has changed", len(k.body))
		}
		all[i].buffer.Release()
		all = slices.Delete(all, i, i+1)
	}
	for i, want := range frames {
		got, ok := next()
		if !ok {
			t.Fatalf("%d frames, want %d", i, len(frames))
		}
		if got.Channel != want.channel || got.Type != want.typ || !bytes.Equal(got.Body, want.body) {
			t.Fatalf("frame %d is %v on %d with %d bytes, want %v on %d with %d", i, got.Type, got.Channel, len(got.Body), want.typ, want.channel, len(want.body))
		}
		if want.keep {
			all = append(all, kept{want, got.Body, keep()})
		}
		if len(all) > 0 && rapid.Bool().Draw(t, "release") {
			release(rapid.IntRange(0, len(all)-1).Draw(t, "which"))
		}
	}
	for len(all) > 0 {
		release(0)
	}
}

func TestSplitter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frames, stream := drawStream(t)
		most := rapid.SampledFrom([]int{1000, 5000, 100_000}).Draw(t, "pieces up to")
		var s wire.Splitter
		next := func() (wire.Frame, bool) {
			for {
				f, ok, err := s.Next()
				if err != nil {
					t.Fatal(err)
				}
				if ok || len(stream) == 0 {
					return f, ok
				}
				n := min(len(stream), rapid.IntRange(1, most).Draw(t, "piece"))
				piece := bytes.Clone(stream[:n])
				s.Feed(piece)
				clear(piece) // Feed has copied it
				stream = stream[n:]
			}
		}
		check(t, frames, next, s.Keep)
		if f, ok := next(); ok || s.Buffered() != 0 {
			t.Fatalf("one frame too many: %+v, or %d bytes", f, s.Buffered())
		}
	})
}

// pieces is a reader whose reads return what rapid draws.
type pieces struct {
	t    *rapid.T
	rest []byte
	most int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), rapid.IntRange(0, p.most).Draw(p.t, "read"))], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func TestReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frames, stream := drawStream(t)
		src := &pieces{t, stream, rapid.SampledFrom([]int{1000, 5000, 100_000, 1 << 30}).Draw(t, "reads up to")}
		r := wire.NewReader(src)
		next := func() (wire.Frame, bool) {
			ready, unread := r.Ready(), len(src.rest)
			f, err := r.Next()
			if ready && len(src.rest) != unread {
				t.Fatal("ready, but it has read")
			}
			if err != nil && err != io.EOF {
				t.Fatal(err)
			}
			return f, err == nil
		}
		check(t, frames, next, r.Keep)
		if f, ok := next(); ok {
			t.Fatalf("one frame too many: %+v", f)
		}
		if !r.Ready() {
			t.Fatal("at the end and not ready to say so")
		}
	})
}

func TestReaderEnds(t *testing.T) {
	stream := appendFrame(nil, 1, wire.TypeStatus, []byte("body"))
	for n := range len(stream) + 1 {
		r := wire.NewReader(iotest.OneByteReader(bytes.NewReader(stream[:n])))
		want := io.ErrUnexpectedEOF
		switch n {
		case 0:
			want = io.EOF
		case len(stream):
			want = nil
		}
		if _, err := r.Next(); err != want {
			t.Errorf("after %d of %d bytes: %v, want %v", n, len(stream), err, want)
		}
	}

	// Frames that came before or with an error are returned before it.
	broken := errors.New("broken")
	for name, src := range map[string]io.Reader{
		"before": io.MultiReader(bytes.NewReader(stream), iotest.ErrReader(broken)),
		"with":   iotest.DataErrReader(io.MultiReader(bytes.NewReader(stream), iotest.ErrReader(broken))),
	} {
		r := wire.NewReader(src)
		if f, err := r.Next(); err != nil || string(f.Body) != "body" {
			t.Errorf("%s: %q, %v", name, f.Body, err)
		}
		for range 2 {
			if _, err := r.Next(); err != broken {
				t.Errorf("%s: %v", name, err)
			}
		}
	}

	if _, err := wire.NewReader(idle{}).Next(); err != io.ErrNoProgress {
		t.Errorf("a source without progress: %v", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestFrameErrors(t *testing.T) {
	size := func(n uint64) []byte { return protowire.AppendVarint(nil, n) }
	for _, c := range []struct {
		name   string
		stream []byte
		want   error
	}{
		{"largest body", append(size(wire.MaxBody+1), 0x19), nil},
		{"largest body behind a long header", append(size(wire.MaxBody+8), appendLong(0x19)...), nil},
		{"body too large", append(size(wire.MaxBody+2), 0x19), wire.ErrFrameSize},
		{"body too large behind a long header", append(size(wire.MaxBody+9), appendLong(0x19)...), wire.ErrFrameSize},
		{"too large for any header", size(wire.MaxBody + 9), wire.ErrFrameSize},
		{"2^53", size(1 << 53), wire.ErrFrameSize},
		{"header longer than the frame", []byte{1, 0x80, 1}, wire.ErrFrameSize},
		{"header unfinished at the end of the frame", []byte{2, 0x80, 0x80}, wire.ErrFrameSize},
		{"length of 8 bytes", appendLong(3), nil},
		{"length of 9 bytes", append(bytes.Repeat([]byte{0x80}, 8), 0), wire.ErrFrameVarint},
		{"length without end", bytes.Repeat([]byte{0xff}, 8), wire.ErrFrameVarint},
		{"header of 9 bytes", append([]byte{20}, append(bytes.Repeat([]byte{0x80}, 8), 1)...), wire.ErrFrameVarint},
		{"not this protocol", []byte("HTTP/1.1 400 Bad Request\r\n"), nil},
	} {
		for _, piece := range []int{1, len(c.stream)} {
			var s wire.Splitter
			var err error
			var ok bool
			for p := range slices.Chunk(c.stream, piece) {
				s.Feed(p)
				if _, ok, err = s.Next(); ok || err != nil {
					break
				}
			}
			if ok || !errors.Is(err, c.want) {
				t.Errorf("%s, in pieces of %d: %v, %v, want %v", c.name, piece, ok, err, c.want)
			}
			if err == nil {
				continue
			}
			s.Feed(make([]byte, 100))
			if _, _, again := s.Next(); again != err {
				t.Errorf("%s: %v, then %v", c.name, err, again)
			}
			r := wire.NewReader(bytes.NewReader(c.stream))
			if _, err := r.Next(); !errors.Is(err, c.want) {
				t.Errorf("%s, read: %v", c.name, err)
			}
		}
	}
}

// appendLong returns v as a varint of 8 bytes.
func appendLong(v byte) []byte {
	return append([]byte{v | 0x80}, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0)
}

// A whole body of the largest size passes.
func TestLargestFrame(t *testing.T) {
	want := []byte(strings.Repeat("cairn", wire.MaxBody/5+1))[:wire.MaxBody]
	stream := appendFrame(nil, 1, wire.TypeData, want)
	r := wire.NewReader(bytes.NewReader(stream))
	f, err := r.Next()
	if err != nil || !bytes.Equal(f.Body, want) {
		t.Errorf("%d bytes, %v", len(f.Body), err)
	}
}
