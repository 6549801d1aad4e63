package wire_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

// block is a Data as it travels: a block with the nodes of a path and a
// signature.
func block(size, nodes int) *wire.Data {
	d := &wire.Data{Index: 123_456, Value: make([]byte, size), HasValue: true}
	for i := range nodes {
		d.Proof.Nodes = append(d.Proof.Nodes, tree.Node{Index: tree.Index(1000 * i), Size: 1 << (10 + i)})
	}
	d.Proof.HasSignature = true
	return d
}

func TestDataDoesNotAllocate(t *testing.T) {
	d := block(1024, 10)
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { buf = d.AppendFrame(buf[:0], 1) }); n != 0 {
		t.Errorf("%v allocations to encode", n)
	}
	f := parseOne(t, buf)
	if n := testing.AllocsPerRun(100, func() {
		if err := d.Decode(f.Body); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations to decode", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		h := wire.Have{Start: 1, Length: 2}
		r := wire.Request{Index: 1}
		buf = r.AppendFrame(h.AppendFrame(buf[:0], 1), 1)
	}); n != 0 {
		t.Errorf("%v allocations to encode small messages", n)
	}
}

func BenchmarkDataEncode(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			d := block(size, 10)
			buf := d.AppendFrame(nil, 1)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf = d.AppendFrame(buf[:0], 1)
			}
		})
	}
}

func BenchmarkDataDecode(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			f := parseOne(b, block(size, 10).AppendFrame(nil, 1))
			var d wire.Data
			b.SetBytes(int64(len(f.Body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Decode(f.Body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	var buf []byte
	m := wire.Request{Index: 123_456, Nodes: 1<<40 + 1}
	b.ReportAllocs()
	for b.Loop() {
		buf = m.AppendFrame(buf[:0], 1)
		if err := m.Decode(buf[2:]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReader reads frames from a stream that is always ready, as from a
// socket with a full receive buffer.
func BenchmarkReader(b *testing.B) {
	for _, keep := range []bool{false, true} {
		for _, size := range []int{1 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("keep=%v/size=%d", keep, size), func(b *testing.B) {
				frame := block(size, 10).AppendFrame(nil, 1)
				r := wire.NewReader(&endless{data: bytes.Repeat(frame, max(1, 1<<20/len(frame)))})
				held, i := make([]*wire.Buffer, 256), 0
				b.SetBytes(int64(len(frame)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := r.Next(); err != nil {
						b.Fatal(err)
					}
					if keep { // as a batch of 256 frames at most would
						held[i%len(held)].Release()
						held[i%len(held)] = r.Keep()
						i++
					}
				}
			})
		}
	}
}

// endless reads data again and again.
type endless struct {
	data []byte
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.data[e.at:])
	e.at = (e.at + n) % len(e.data)
	return n, nil
}
