package wire

import (
	"bytes"
	"io"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// dataHead is the head of a frame with a body of n bytes.
func dataHead(n int) []byte {
	return append(protowire.AppendVarint(nil, uint64(n+1)), 1<<4|byte(TypeData))
}

// A frame that promises much takes memory as it arrives.
func TestBufferFollowsBytes(t *testing.T) {
	most := func(arrived int) int { return max(2*minBuffer, 2*arrived+2000) }

	var s Splitter
	s.Feed(dataHead(MaxBody))
	for fed := 0; fed < MaxBody/2; fed += 1000 {
		if _, ok, err := s.Next(); ok || err != nil {
			t.Fatal(ok, err)
		}
		s.Feed(make([]byte, 1000))
		if got := cap(s.buf); got > most(fed) {
			t.Fatalf("splitter: buffer of %d after %d bytes", got, fed)
		}
	}

	src := &zeros{piece: 1000}
	r := NewReader(src)
	r.split.Feed(dataHead(MaxBody))
	for src.read < MaxBody/2 {
		if _, ok, err := r.split.Next(); ok || err != nil {
			t.Fatal(ok, err)
		}
		r.fill()
		if got := cap(r.split.buf); got > most(src.read) {
			t.Fatalf("reader: buffer of %d after %d bytes", got, src.read)
		}
	}
}

// zeros reads zeros, a piece at a time.
type zeros struct{ piece, read int }

func (r *zeros) Read(p []byte) (int, error) {
	n := min(len(p), r.piece)
	clear(p[:n])
	r.read += n
	return n, nil
}

// A stream of small frames is buffered in a bounded buffer however long it is
// and however it is cut, and costs no allocation per frame.
func TestBufferIsBounded(t *testing.T) {
	frame := (&Request{Index: 3}).AppendFrame(nil, 1)
	var s Splitter
	for range 100_000 {
		s.Feed(frame[:3])
		for range 2 {
			if _, _, err := s.Next(); err != nil {
				t.Fatal(err)
			}
		}
		s.Feed(frame[3:])
		if s.Feed(frame[:0]); cap(s.buf) > minBuffer {
			t.Fatalf("buffer of %d", cap(s.buf))
		}
	}
	if n := testing.AllocsPerRun(1000, func() {
		s.Feed(frame)
		if _, ok, err := s.Next(); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

// The reader's buffer grows with the stream's pace, is given back after a large
// frame, and becomes small again when little arrives.
func TestReaderPace(t *testing.T) {
	near, far := io.Pipe()
	go func() {
		busy := bytes.Repeat((&Data{Value: make([]byte, 1000), HasValue: true}).AppendFrame(nil, 1), 4000)
		far.Write(busy)
		far.Write((&Data{Value: make([]byte, 5<<20), HasValue: true}).AppendFrame(nil, 1))
		for range 2 * quietReads {
			far.Write((&Status{}).AppendFrame(nil, 1))
		}
		far.Close()
	}()
	r := NewReader(near)
	largest := 0
	for i := 0; ; i++ {
		f, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		size := cap(r.split.buf)
		largest = max(largest, size)
		if i < 4000 && size > maxBuffer {
			t.Fatalf("buffer of %d for small frames", size)
		}
		if f.Type == TypeStatus && i > 4001 && size > maxBuffer {
			t.Fatalf("buffer of %d after the large frame", size)
		}
	}
	if largest < 5<<20 {
		t.Errorf("buffer of %d for a frame of 5 MiB", largest)
	}
	if got := cap(r.split.buf); got != minBuffer {
		t.Errorf("buffer of %d when quiet", got)
	}
}

// A buffer whose frames were all released is filled again; one of a frame that
// is still kept is not.
func TestBufferReuse(t *testing.T) {
	frame := (&Data{Value: make([]byte, 60_000), HasValue: true}).AppendFrame(nil, 1)
	src := &repeat{data: frame}
	r := NewReader(src)
	r.size = maxBuffer
	next := func() Frame {
		f, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}

	next()
	first := r.split.memory
	for range 100 {
		next()
		r.Keep().Release()
	}
	if r.split.memory != first {
		t.Error("released, but the buffer was left")
	}

	kept := next()
	b := r.Keep()
	want := bytes.Clone(kept.Body)
	for range 100 {
		next()
	}
	if r.split.memory == b || !bytes.Equal(kept.Body, want) {
		t.Error("kept, but the buffer was filled again")
	}
	b.Release()

	defer func() {
		if recover() == nil {
			t.Error("released twice without a word")
		}
	}()
	b.Release()
}

// repeat reads its data over and over.
type repeat struct {
	data []byte
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.data[r.at:])
	r.at = (r.at + n) % len(r.data)
	return n, nil
}

// Whoever keeps frames may release them elsewhere while the reader goes on.
func TestBufferReleaseElsewhere(t *testing.T) {
	type item struct {
		body []byte
		b    *Buffer
	}
	queue := make(chan item, 20)
	done := make(chan int)
	go func() {
		bad := 0
		for it := range queue {
			if bytes.Count(it.body, it.body[:1]) != len(it.body) {
				bad++
			}
			it.b.Release()
		}
		done <- bad
	}()
	var stream []byte
	for i := range 200 {
		body := bytes.Repeat([]byte{byte(i)}, 20_000)
		stream = append(append(stream, dataHead(len(body))...), body...)
	}
	r := NewReader(&repeat{data: stream})
	for range 2000 {
		f, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		queue <- item{f.Body, r.Keep()}
	}
	close(queue)
	if bad := <-done; bad > 0 {
		t.Errorf("%d frames changed while they were kept", bad)
	}
}
