package protocol

import (
	"slices"
	"sync"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

const (
	// maxAhead is how far beyond the expected packet one is kept. The reference
	// has no limit but reports no more than this many as selective acks.
	maxAhead = 65536
	// maxRuns bounds the separate runs of packets kept, and the work of keeping
	// them sorted.
	maxRuns = 4096
	// earlyCost is what remembering a packet costs besides its payload.
	earlyCost = 64
	// packetBuffer is the size of pooled payload buffers. Payloads of less than
	// half of it get a buffer of their own size.
	packetBuffer = 2048
)

var packetBuffers = sync.Pool{New: func() any { return new([packetBuffer]byte) }}

// early is a packet that came before its turn.
type early struct {
	payload []byte
	data    bool // it has the DATA flag; otherwise it is a bare END
}

// reassembly keeps packets that came before their turn, and which ones they are
// as sorted runs, which are the selective acks.
type reassembly struct {
	packets map[uint32]early
	runs    []wire.SackBlock
	bytes   int    // payloads and what remembering them costs
	newest  uint32 // the packet that came last
	turn    int    // the first run to report next, when there are too many
}

// add keeps a copy of payload under seq, which must not be there yet. It reports
// false when the runs are too many.
func (r *reassembly) add(seq uint32, payload []byte, data bool) bool {
	if !r.addRun(seq) {
		return false
	}
	r.newest = seq
	if r.packets == nil {
		r.packets = make(map[uint32]early)
	}
	r.packets[seq] = early{copyPayload(payload), data}
	r.bytes += len(payload) + earlyCost
	return true
}

// addRun enters seq into the runs. Sequence numbers wrap, but all of them lie
// within maxAhead of each other, so their signed differences order them.
func (r *reassembly) addRun(seq uint32) bool {
	// The first run that begins after seq.
	i, _ := slices.BinarySearchFunc(r.runs, seq, func(b wire.SackBlock, seq uint32) int {
		if wire.SeqDiff(b.Start, seq) <= 0 {
			return -1
		}
		return 1
	})
	joinsLeft := i > 0 && r.runs[i-1].End == seq
	joinsRight := i < len(r.runs) && r.runs[i].Start == seq+1
	switch {
	case joinsLeft && joinsRight:
		r.runs[i-1].End = r.runs[i].End
		r.runs = slices.Delete(r.runs, i, i+1)
	case joinsLeft:
		r.runs[i-1].End = seq + 1
	case joinsRight:
		r.runs[i].Start = seq
	case len(r.runs) >= maxRuns:
		return false
	default:
		r.runs = slices.Insert(r.runs, i, wire.SackBlock{Start: seq, End: seq + 1})
	}
	return true
}

func (r *reassembly) has(seq uint32) bool {
	_, ok := r.packets[seq]
	return ok
}

// take removes the packet seq, which must be the lowest one, and returns it. The
// caller frees its payload with freePayload.
func (r *reassembly) take(seq uint32) (early, bool) {
	e, ok := r.packets[seq]
	if !ok {
		return early{}, false
	}
	delete(r.packets, seq)
	r.bytes -= len(e.payload) + earlyCost
	if r.runs[0].Start++; r.runs[0].Start == r.runs[0].End {
		r.runs = slices.Delete(r.runs, 0, 1)
	}
	if len(r.packets) == 0 {
		r.packets, r.runs = nil, nil // give back what they grew to
	}
	return e, true
}

// appendSacks appends the selective acks. When the runs are too many for one
// packet they take turns, but for the one that grew last: it tells the sender the
// time.
func (r *reassembly) appendSacks(b []byte) []byte {
	const most = wire.MaxSackBlocks
	if len(r.runs) <= most {
		return appendRuns(b, r.runs)
	}
	if r.turn+most-1 > len(r.runs) {
		r.turn = 0
	}
	runs := r.runs[r.turn : r.turn+most-1]
	r.turn += most - 1
	newest := r.runOf(r.newest)
	first, last := runs[0], runs[len(runs)-1]
	if wire.SeqDiff(newest.Start, first.Start) < 0 {
		b = wire.AppendSackBlock(b, newest)
	}
	b = appendRuns(b, runs)
	if wire.SeqDiff(newest.Start, last.Start) > 0 {
		b = wire.AppendSackBlock(b, newest)
	}
	return b
}

func appendRuns(b []byte, runs []wire.SackBlock) []byte {
	for _, run := range runs {
		b = wire.AppendSackBlock(b, run)
	}
	return b
}

func (r *reassembly) runOf(seq uint32) wire.SackBlock {
	i, found := slices.BinarySearchFunc(r.runs, seq, func(b wire.SackBlock, seq uint32) int {
		switch {
		case wire.SeqDiff(b.End, seq) <= 0:
			return -1
		case wire.SeqDiff(b.Start, seq) > 0:
			return 1
		}
		return 0
	})
	if !found { // it was taken meanwhile
		i = len(r.runs) - 1
	}
	return r.runs[i]
}

// reset forgets everything.
func (r *reassembly) reset() {
	for _, e := range r.packets {
		freePayload(e.payload)
	}
	*r = reassembly{}
}

func copyPayload(p []byte) []byte {
	if len(p) <= packetBuffer/2 || len(p) > packetBuffer {
		return append([]byte(nil), p...)
	}
	b := packetBuffers.Get().(*[packetBuffer]byte)[:]
	return b[:copy(b, p)]
}

func freePayload(p []byte) {
	if cap(p) == packetBuffer {
		packetBuffers.Put((*[packetBuffer]byte)(p[:packetBuffer]))
	}
}
