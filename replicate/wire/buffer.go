package wire

import (
	"sync"
	"sync/atomic"
)

const (
	// minBuffer is the capacity in bytes of the smallest buffer for frames.
	minBuffer = 4 << 10

	// maxBuffer is the capacity in bytes of the buffer of a busy Reader, unless
	// a frame needs more. Buffers of this capacity are used again.
	maxBuffer = 256 << 10
)

// Buffer is the memory that the bodies of frames are in, once it has been asked
// for by Keep. It is in use until each who kept something in it has released
// it. Then it is used again, by the same Splitter or another one. To forget
// a release costs only that; to release too early or twice lets others write
// over what somebody reads.
type Buffer struct {
	bytes []byte       // empty; its capacity is what counts
	users atomic.Int32 // the Splitter that fills it, and each Keep
}

// Release ends the use that one call of Keep began. It may be called from any
// goroutine, and on nil.
func (b *Buffer) Release() {
	if b == nil {
		return
	}
	switch users := b.users.Add(-1); {
	case users < 0:
		panic("wire: Buffer released more often than kept")
	case users == 0 && cap(b.bytes) == maxBuffer:
		buffers.Put(b)
	}
}

// kept says whether anybody but the Splitter that fills it uses b. Only that
// Splitter adds users, so its own false stays true.
func (b *Buffer) kept() bool { return b != nil && b.users.Load() > 1 }

// buffers are those of capacity maxBuffer that nobody uses.
var buffers sync.Pool

// newBuffer returns a buffer for the Splitter that asks for it.
func newBuffer(capacity int) *Buffer {
	var b *Buffer
	if capacity == maxBuffer {
		b, _ = buffers.Get().(*Buffer)
	}
	if b == nil {
		b = &Buffer{bytes: make([]byte, 0, capacity)}
	}
	b.users.Store(1)
	return b
}
