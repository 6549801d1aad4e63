package udx

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// Runs hold the packets that were added, in order and to the right place, and can
// be cut apart again.
func TestBatchRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		routes := []*route{{remoteID: 1}, {remoteID: 2}}
		b := &batch{buf: make([]byte, 0, batchBytes)}
		type packet struct {
			via *route
			b   []byte
		}
		var want []packet
		for i := range rapid.IntRange(1, 150).Draw(t, "packets") {
			p := packet{routes[rapid.IntRange(0, 1).Draw(t, "route")], bytes.Repeat([]byte{byte(i)}, rapid.SampledFrom([]int{20, 1172, 1472}).Draw(t, "size"))}
			want = append(want, p)
			start := len(b.buf)
			b.buf = append(b.buf, p.b...)
			b.add(p.via, start)
		}
		var got []packet
		for _, r := range b.runs {
			n := 0
			for p := range r.packets {
				got = append(got, packet{r.via, p})
				n++
			}
			if n != r.count || n > maxTurn {
				t.Fatalf("a run of %d packets counts %d", n, r.count)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d packets, want %d", len(got), len(want))
		}
		for i := range got {
			if got[i].via != want[i].via || !bytes.Equal(got[i].b, want[i].b) {
				t.Fatalf("packet %d is another one", i)
			}
		}
	})
}

// The queue gives back every stream once for each time that it was put there, in
// order, and does not grow while it is never empty.
func TestSenderQueue(t *testing.T) {
	var q sender
	q.init()
	streams := make([]*Stream, 10)
	for i := range streams {
		streams[i] = new(Stream)
		q.push(streams[i])
		q.push(streams[i])
	}
	for i := range 10_000 {
		s := q.pop(false)
		if s != streams[i%10] {
			t.Fatalf("step %d: another stream", i)
		}
		q.push(s)
	}
	if len(q.queue) > 4*compactAt {
		t.Errorf("ten streams take %d places", len(q.queue))
	}
	for range streams {
		q.pop(false)
	}
	if s := q.pop(false); s != nil {
		t.Error("a stream was queued twice")
	}
	q.stop()
	if q.pop(true) != nil {
		t.Error("a stream after the end")
	}
}
