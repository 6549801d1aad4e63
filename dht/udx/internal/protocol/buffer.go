package protocol

import "sync"

// Buffers are chains of chunks from two pools: small streams keep 4 KiB, busy
// ones use 64 KiB at a time, idle ones nothing.
const (
	smallChunk = 4 << 10
	largeChunk = 64 << 10
	// keepChunks is the longest chain whose slice is kept when it is empty.
	keepChunks = 8
)

var (
	smallChunks = sync.Pool{New: func() any { return new([smallChunk]byte) }}
	largeChunks = sync.Pool{New: func() any { return new([largeChunk]byte) }}
)

// chunk is a pooled array; the bytes [0, n) of it were written.
type chunk struct {
	b     []byte
	start uint64 // offset in the stream of b[0]
	n     int
}

func newChunk(start uint64, large bool) chunk {
	if large {
		return chunk{b: largeChunks.Get().(*[largeChunk]byte)[:], start: start}
	}
	return chunk{b: smallChunks.Get().(*[smallChunk]byte)[:], start: start}
}

func (c chunk) free() {
	if len(c.b) == largeChunk {
		largeChunks.Put((*[largeChunk]byte)(c.b))
	} else {
		smallChunks.Put((*[smallChunk]byte)(c.b))
	}
}

// buffer holds the bytes [first, last) of a stream of bytes. Its zero value is
// empty and ready to use. It copies in and out and never keeps a caller's slice.
type buffer struct {
	chunks      []chunk
	first, last uint64
}

func (b *buffer) len() int { return int(b.last - b.first) }

// append adds p at the end.
func (b *buffer) append(p []byte) {
	for len(p) > 0 {
		if len(b.chunks) == 0 || b.chunks[len(b.chunks)-1].full() {
			b.chunks = append(b.chunks, newChunk(b.last, b.len()+len(p) > smallChunk))
		}
		c := &b.chunks[len(b.chunks)-1]
		n := copy(c.b[c.n:], p)
		c.n += n
		b.last += uint64(n)
		p = p[n:]
	}
}

func (c *chunk) full() bool { return c.n == len(c.b) }

// appendTo appends the n bytes at offset off, which must be within the buffer,
// to dst.
func (b *buffer) appendTo(dst []byte, off uint64, n int) []byte {
	i := b.find(off)
	for n > 0 {
		c := &b.chunks[i]
		part := c.b[off-c.start : c.n]
		part = part[:min(n, len(part))]
		dst = append(dst, part...)
		off += uint64(len(part))
		n -= len(part)
		i++
	}
	return dst
}

// find returns the chunk that holds the byte at off.
func (b *buffer) find(off uint64) int {
	lo, hi := 0, len(b.chunks)-1
	for lo < hi {
		if mid := (lo + hi + 1) / 2; b.chunks[mid].start <= off {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// read moves bytes from the front to p and returns how many.
func (b *buffer) read(p []byte) int {
	n := min(len(p), b.len())
	b.appendTo(p[:0], b.first, n)
	b.release(b.first + uint64(n))
	return n
}

// release forgets everything before off.
func (b *buffer) release(off uint64) {
	b.first = off
	done := 0
	for done < len(b.chunks) {
		c := &b.chunks[done]
		if c.start+uint64(c.n) > off {
			break
		}
		c.free()
		done++
	}
	if done > 0 {
		n := copy(b.chunks, b.chunks[done:])
		clear(b.chunks[n:])
		b.chunks = b.chunks[:n]
		if n == 0 && cap(b.chunks) > keepChunks {
			b.chunks = nil
		}
	}
}

// reset releases everything.
func (b *buffer) reset() { b.release(b.last) }
