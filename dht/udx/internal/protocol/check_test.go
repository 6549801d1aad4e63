package protocol

import (
	"fmt"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// check compares what a stream keeps count of with a recount, and everything that
// a remote can make grow with its bound.
func (s *Stream) check() error {
	if err := s.flight.check(); err != nil {
		return err
	}
	if err := s.early.check(s.expected); err != nil {
		return err
	}
	if n, most := s.readable.len(), 2*(s.cfg.ReceiveBuffer+overrun); n > most {
		return fmt.Errorf("%d bytes are readable, at most %d", n, most)
	}
	if n, most := s.early.bytes, s.cfg.ReceiveBuffer+overrun+earlyCost; n > most {
		return fmt.Errorf("%d bytes are early, at most %d", n, most)
	}
	if n, most := s.sendable.len(), maxSendWindow+unsentLimit+MaxMTU; n > most {
		return fmt.Errorf("%d bytes are to be sent, at most %d", n, most)
	}
	if len(s.messages) > maxMessages || s.messageBytes > maxMessageBytes {
		return fmt.Errorf("%d messages of %d bytes wait", len(s.messages), s.messageBytes)
	}
	if s.unsent < s.sendable.first || s.unsent > s.sendable.last {
		if !s.destroying && !s.closed {
			return fmt.Errorf("unsent bytes begin at %d, outside of [%d, %d]", s.unsent, s.sendable.first, s.sendable.last)
		}
	}
	if !s.closed && !s.destroying && s.connected && s.flight.npend > 0 && s.timers.rto == 0 {
		return fmt.Errorf("%d packets are outstanding and nothing watches them", s.flight.npend)
	}
	return nil
}

func (f *flight) check() error {
	if f.span() > maxSpan {
		return fmt.Errorf("a span of %d packets", f.span())
	}
	var sent, lost, bytes, payload int
	for seq := f.una; seq != f.next && len(f.ring) > 0; seq++ {
		p := f.at(seq)
		i := seq & uint32(len(f.ring)-1)
		if pending := f.pending[i/64]>>(i%64)&1 == 1; pending != (p.state != delivered) {
			return fmt.Errorf("packet %d: bit %v in state %d", seq, pending, p.state)
		}
		switch p.state {
		case inFlight:
			sent++
			bytes += int(p.wire)
			payload += int(p.size)
		case lost_:
			lost++
		case delivered:
		}
	}
	if sent != f.sent.n || lost != f.lost.n || sent+lost != f.npend || bytes != f.bytes || payload != f.payload {
		return fmt.Errorf("counted %d in flight (%d bytes, %d payload), %d lost; kept %d (%d, %d), %d, %d pending",
			sent, bytes, payload, lost, f.sent.n, f.bytes, f.payload, f.lost.n, f.npend)
	}
	for _, l := range []*seqList{&f.sent, &f.lost} {
		for n, seq := l.n, l.head; n > 0; n-- {
			if n == 1 && seq != l.tail {
				return fmt.Errorf("a list ends with %d, not %d", seq, l.tail)
			}
			seq = f.at(seq).next
		}
	}
	return nil
}

const lost_ = lost // the variables above have the better name

func (r *reassembly) check(expected uint32) error {
	packets, bytes := 0, 0
	for i, run := range r.runs {
		if wire.SeqDiff(run.End, run.Start) <= 0 || wire.SeqDiff(run.Start, expected) <= 0 {
			return fmt.Errorf("run %v while %d is expected", run, expected)
		}
		if i > 0 && wire.SeqDiff(run.Start, r.runs[i-1].End) <= 0 {
			return fmt.Errorf("runs %v and %v", r.runs[i-1], run)
		}
		for seq := run.Start; seq != run.End; seq++ {
			e, ok := r.packets[seq]
			if !ok {
				return fmt.Errorf("packet %d of run %v is not there", seq, run)
			}
			packets++
			bytes += len(e.payload) + earlyCost
		}
	}
	if packets != len(r.packets) || bytes != r.bytes || len(r.runs) > maxRuns {
		return fmt.Errorf("%d packets of %d bytes in %d runs, kept %d of %d", packets, bytes, len(r.runs), len(r.packets), r.bytes)
	}
	return nil
}
