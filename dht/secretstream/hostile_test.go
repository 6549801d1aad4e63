package secretstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/cairn-feeds/cairn/dht/secretstream"
)

// capture returns the frames that the initiator of keys sends for messages, the
// header first.
func capture(tb testing.TB, messages ...[]byte) (frames [][]byte) {
	tb.Helper()
	raw, far := net.Pipe()
	i, _ := keys()
	c := mustNew(tb, raw, true, &secretstream.Options{Keys: i})
	defer c.Destroy()
	sizes := []int{56}
	for _, m := range messages {
		if err := c.WriteMessage(m); err != nil {
			tb.Fatal(err)
		}
		sizes = append(sizes, 17+len(m))
	}
	for _, n := range sizes {
		f := make([]byte, 3+n)
		if _, err := io.ReadFull(far, f); err != nil {
			tb.Fatal(err)
		}
		frames = append(frames, f)
	}
	return frames
}

// wire is a raw stream that was recorded. What is written to it is dropped.
type wire struct {
	io.Reader
	closed bool
}

func (*wire) Write(b []byte) (int, error) { return len(b), nil }
func (w *wire) Close() error              { w.closed = true; return nil }

// receive has a responder of keys read what an initiator is said to have sent.
func receive(tb testing.TB, o secretstream.Options, sent ...[]byte) (messages [][]byte, err error) {
	tb.Helper()
	_, o.Keys = keys()
	w := &wire{Reader: bytes.NewReader(bytes.Join(sent, nil))}
	c := mustNew(tb, w, false, &o)
	for {
		m, err := c.ReadMessage()
		if err != nil {
			if _, again := c.ReadMessage(); !errors.Is(again, err) {
				tb.Errorf("%v, then %v", err, again)
			}
			c.Close()
			if !w.closed {
				tb.Error("the raw stream is open")
			}
			return messages, err
		}
		messages = append(messages, bytes.Clone(m))
	}
}

func flip(b []byte, bit int) []byte {
	b = bytes.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

func TestDamagedStreams(t *testing.T) {
	first, second, third := []byte("first"), []byte("second!!"), []byte("third")
	f := capture(t, first, second, third)
	frame := func(body ...byte) []byte { return append([]byte{byte(len(body)), byte(len(body) >> 8), 0}, body...) }
	for _, c := range []struct {
		name string
		sent [][]byte
		n    int // messages before the error
		err  error
	}{
		{"intact", f, 3, io.EOF},
		{"nothing", nil, 0, io.ErrUnexpectedEOF},
		{"cut in a length", [][]byte{f[0], f[1], f[2][:2]}, 1, io.ErrUnexpectedEOF},
		{"cut after a length", [][]byte{f[0], f[1], f[2][:3]}, 1, io.ErrUnexpectedEOF},
		{"cut in a body", [][]byte{f[0], f[1], f[2][:len(f[2])-1]}, 1, io.ErrUnexpectedEOF},
		{"cut in the header", [][]byte{f[0][:30]}, 0, io.ErrUnexpectedEOF},
		{"cut between messages", f[:2], 1, io.EOF},
		{"repeated", [][]byte{f[0], f[1], f[1]}, 1, secretstream.ErrAuth},
		{"swapped", [][]byte{f[0], f[2], f[1]}, 0, secretstream.ErrAuth},
		{"dropped", [][]byte{f[0], f[1], f[3]}, 1, secretstream.ErrAuth},
		{"another cipher header", [][]byte{flip(f[0], 8*40), f[1]}, 0, secretstream.ErrAuth},
		{"another stream", [][]byte{flip(f[0], 8*20), f[1]}, 0, secretstream.ErrHeader},
		{"header too short", [][]byte{frame(f[0][3:58]...)}, 0, secretstream.ErrHeader},
		{"header too long", [][]byte{frame(append(bytes.Clone(f[0][3:]), 0)...)}, 0, secretstream.ErrHeader},
		{"header twice", [][]byte{f[0], f[0]}, 0, secretstream.ErrAuth},
		{"no header", f[1:], 0, secretstream.ErrHeader},
		{"empty header", [][]byte{frame()}, 0, secretstream.ErrHeader},
		{"empty frame", [][]byte{f[0], f[1], frame()}, 1, secretstream.ErrFrame},
		{"short frame", [][]byte{f[0], f[1], frame(make([]byte, 16)...)}, 1, secretstream.ErrFrame},
		{"made up", [][]byte{f[0], frame(make([]byte, 17)...)}, 0, secretstream.ErrAuth},
		{"cut shorter", [][]byte{f[0], frame(f[1][3 : len(f[1])-1]...)}, 0, secretstream.ErrAuth},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := receive(t, secretstream.Options{}, c.sent...)
			if !errors.Is(err, c.err) {
				t.Errorf("%v, want %v", err, c.err)
			}
			want := [][]byte{first, second, third}[:c.n]
			if !bytes.Equal(bytes.Join(got, []byte{0}), bytes.Join(want, []byte{0})) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
	for bit := range 8 * (len(f[2]) - 3) {
		if got, err := receive(t, secretstream.Options{}, f[0], f[1], flip(f[2], 24+bit)); !errors.Is(err, secretstream.ErrAuth) || len(got) != 1 {
			t.Errorf("bit %d: %d messages, %v", bit, len(got), err)
		}
	}
}

// TestProtocolErrorEndsWriting: a stream that was tampered with is over.
func TestProtocolErrorEndsWriting(t *testing.T) {
	f := capture(t, []byte("x"))
	raw, far := net.Pipe()
	_, r := keys()
	c := mustNew(t, raw, false, &secretstream.Options{Keys: r})
	go io.Copy(io.Discard, far)
	go far.Write(bytes.Join([][]byte{f[0], flip(f[1], 50)}, nil))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, secretstream.ErrAuth) {
		t.Errorf("Read: %v", err)
	}
	if _, err := c.Write([]byte{1}); !errors.Is(err, secretstream.ErrAuth) {
		t.Errorf("Write: %v", err)
	}
	if err := c.Flush(t.Context()); err != nil && !errors.Is(err, secretstream.ErrAuth) {
		t.Errorf("Flush: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestMaxMessage(t *testing.T) {
	f := capture(t, make([]byte, 1000), make([]byte, 1001))
	got, err := receive(t, secretstream.Options{MaxMessage: 1000}, f...)
	if !errors.Is(err, secretstream.ErrFrame) || len(got) != 1 {
		t.Errorf("%d messages, %v", len(got), err)
	}
}

// TestLengthIsNotAllocated announces 16 MiB, sends little, and many times.
func TestLengthIsNotAllocated(t *testing.T) {
	f := capture(t)
	const streams = 200
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range streams {
		if _, err := receive(t, secretstream.Options{}, f[0], []byte{0xff, 0xff, 0xff}, make([]byte, 100)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / streams; each > 64<<10 {
		t.Errorf("a stream allocates %d bytes", each)
	}
}

func TestHostileHandshakes(t *testing.T) {
	frame := func(n int, fill byte) []byte {
		return append([]byte{byte(n), byte(n >> 8), byte(n >> 16)}, bytes.Repeat([]byte{fill}, n)...)
	}
	identity := frame(32, 0)
	identity[3] = 1
	for name, sent := range map[string][]byte{
		"nothing":                  nil,
		"half a length":            {32},
		"half a message":           frame(32, 7)[:20],
		"empty":                    frame(0, 0),
		"short":                    frame(31, 7),
		"not a point":              frame(32, 2),
		"small order":              identity,
		"zero":                     frame(32, 0),
		"longer than Noise allows": frame(65536, 7),
		"longer than sent":         {0xff, 0xff, 0xff, 1, 2, 3},
		"text":                     []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
	} {
		for _, initiator := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/initiator=%v", name, initiator), func(t *testing.T) {
				w := &wire{Reader: bytes.NewReader(sent)}
				c := mustNew(t, w, initiator, &secretstream.Options{Key: key(1)})
				if err := c.Handshake(soon(t)); !errors.Is(err, secretstream.ErrHandshake) {
					t.Error(err)
				}
				c.Close()
				if !w.closed {
					t.Error("the raw stream is open")
				}
			})
		}
	}
}

func FuzzReceive(f *testing.F) {
	frames := capture(f, []byte("hello"), nil, bytes.Repeat([]byte{7}, 300))
	f.Add(bytes.Join(frames, nil), 7)
	for i := range frames {
		f.Add(bytes.Join(frames[:i], nil), 1)
	}
	f.Add(append(bytes.Clone(frames[0]), 0xff, 0xff, 0xff, 1, 2, 3), 2)
	f.Add(append(bytes.Clone(frames[0]), 0, 0, 0), 100)
	f.Fuzz(func(t *testing.T, sent []byte, chunk int) {
		_, r := keys()
		c := mustNew(t, &wire{Reader: &chunked{sent, 1 + max(0, chunk)%4096}}, false, &secretstream.Options{Keys: r})
		n := 0
		for {
			m, err := c.ReadMessage()
			if err != nil {
				if m != nil {
					t.Errorf("%x with error %v", m, err)
				}
				break
			}
			n += 3 + 17 + len(m)
		}
		if n > len(sent) {
			t.Errorf("messages of %d bytes from %d", n, len(sent))
		}
		c.Destroy()
	})
}

// chunked returns at most n bytes a read.
type chunked struct {
	b []byte
	n int
}

func (c *chunked) Read(b []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), c.n)], c.b)
	c.b = c.b[n:]
	return n, nil
}

func FuzzHandshake(f *testing.F) {
	f.Add([]byte("\x20\x00\x00aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), uint8(0), true)
	f.Add([]byte("\x60\x00\x00aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), uint8(1), false)
	f.Add([]byte{}, uint8(2), false)
	f.Fuzz(func(t *testing.T, sent []byte, pattern uint8, initiator bool) {
		o := secretstream.Options{Key: key(1), RemoteKey: public(2), Pattern: secretstream.Pattern(pattern % 3)}
		c := mustNew(t, &wire{Reader: bytes.NewReader(sent)}, initiator, &o)
		if err := c.Handshake(soon(t)); !errors.Is(err, secretstream.ErrHandshake) {
			t.Errorf("a handshake with made up bytes: %v", err)
		}
		c.Destroy()
	})
}
