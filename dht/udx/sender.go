package udx

import (
	"sync"

	"github.com/cairn-feeds/cairn/dht/udx/internal/protocol"
)

const (
	// maxTurn is how many packets a stream may send before it is another one's
	// turn. A run of that many full packets still is one message of the system's
	// segmentation offload.
	maxTurn = 44
	// batchBytes and batchRuns bound what is gathered before it is sent.
	batchBytes = 4 * maxTurn * protocol.MaxDatagram
	batchRuns  = 64
	// compactAt is how many places at the front of the queue may be empty.
	compactAt = 64
)

// sender is the goroutine that sends the packets of all streams of a Mux.
// Streams that may have something to send queue up; it takes turns among them
// and gathers packets into batches, across streams and sockets. Writes that are
// made together, and acknowledgements that fall due together, so leave together.
type sender struct {
	mu    sync.Mutex
	wake  sync.Cond
	queue []*Stream // in order; each at most once, see Stream.queued
	next  int       // the first of queue that was not taken
	done  bool
}

func (q *sender) init() { q.wake.L = &q.mu }

// push queues a stream. The stream's lock may be held.
func (q *sender) push(s *Stream) {
	q.mu.Lock()
	if !s.queued {
		s.queued = true
		q.queue = append(q.queue, s)
		q.wake.Signal()
	}
	q.mu.Unlock()
}

// pop takes the next stream. It returns nil when there is none, or, with wait,
// when the sender is to stop.
func (q *sender) pop(wait bool) *Stream {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.next == len(q.queue) {
		q.queue, q.next = q.queue[:0], 0
		if !wait || q.done {
			return nil
		}
		q.wake.Wait()
	}
	s := q.queue[q.next]
	q.queue[q.next] = nil
	q.next++
	if q.next >= compactAt && 2*q.next >= len(q.queue) {
		n := copy(q.queue, q.queue[q.next:])
		clear(q.queue[n:])
		q.queue, q.next = q.queue[:n], 0
	}
	s.queued = false
	return s
}

// stop ends run when the queue is empty.
func (q *sender) stop() {
	q.mu.Lock()
	q.done = true
	q.wake.Broadcast()
	q.mu.Unlock()
}

func (q *sender) run() {
	for {
		s := q.pop(true)
		if s == nil {
			return
		}
		b := batches.Get().(*batch)
		for ; s != nil; s = q.pop(false) {
			if s.fill(b) {
				q.push(s)
			}
			if b.full() {
				b.flush()
			}
		}
		b.flush()
		batches.Put(b)
	}
}

var batches = sync.Pool{New: func() any {
	return &batch{buf: make([]byte, 0, batchBytes+maxTurn*protocol.MaxDatagram)}
}}

// batch is packets that are about to be sent.
type batch struct {
	buf    []byte
	runs   []run
	closed []*Stream // streams that are over once this is sent
}

// run is packets of one size, but for the last, which may be shorter, in a row
// and to one place.
type run struct {
	via   *route
	b     []byte
	size  int // of each packet but the last
	count int
}

// full reports whether there might be no room for another turn.
func (b *batch) full() bool { return len(b.buf) > batchBytes || len(b.runs) > batchRuns }

// add enters the packet that was appended to buf at start.
func (b *batch) add(via *route, start int) {
	p := b.buf[start:]
	if n := len(b.runs); n > 0 {
		r := &b.runs[n-1]
		if r.via == via && len(p) <= r.size && len(r.b) == r.size*r.count && r.count < maxTurn {
			r.b = r.b[:len(r.b)+len(p)]
			r.count++
			return
		}
	}
	b.runs = append(b.runs, run{via: via, b: p, size: len(p), count: 1})
}

// flush sends everything, a socket at a time.
func (b *batch) flush() {
	for i := 0; i < len(b.runs); {
		j := i + 1
		for j < len(b.runs) && b.runs[j].via.socket == b.runs[i].via.socket {
			j++
		}
		b.runs[i].via.socket.writeRuns(b.runs[i:j])
		i = j
	}
	clear(b.runs)
	b.runs, b.buf = b.runs[:0], b.buf[:0]
	for i, s := range b.closed {
		s.finish()
		b.closed[i] = nil
	}
	b.closed = b.closed[:0]
}

func (s *Socket) writeRuns(runs []run) {
	s.low.RLock()
	defer s.low.RUnlock()
	s.io.writeRuns(runs)
}

// fill packs a turn of the stream and reports whether it has more to send.
func (s *Stream) fill(b *batch) (more bool) {
	now := s.mux.now()
	s.mu.Lock()
	for range maxTurn {
		start := len(b.buf)
		var path *protocol.Path
		if b.buf, path = s.proto.Poll(now, b.buf); path == nil {
			break
		}
		b.add(path.Via.(*route), start)
	}
	more = s.proto.Ready(now)
	if over := s.publish(now); over {
		b.closed = append(b.closed, s)
	}
	s.mu.Unlock()
	return more
}
