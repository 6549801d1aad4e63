package protocol

import (
	"errors"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// sent is a stream with n full packets in flight, at time now.
func sent(t *testing.T, n int) (s *Stream, now time.Duration) {
	t.Helper()
	now = time.Second
	s = New(config())
	s.Connect(now, Path{RemoteID: 9, Overhead: 28}, 0)
	s.Write(now, make([]byte, n*1152))
	for range n {
		if _, path := s.Poll(now, nil); path == nil {
			t.Fatal("it does not send")
		}
	}
	return s, now + 50*time.Millisecond
}

func receive(t *testing.T, s *Stream, now time.Duration, h wire.Header, blocks []byte, payload []byte) {
	t.Helper()
	s.Receive(now, &wire.Packet{Header: h, Blocks: blocks, Payload: payload})
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
}

func blocks(pairs ...uint32) (b []byte) {
	for i := 0; i < len(pairs); i += 2 {
		b = wire.AppendSackBlock(b, wire.SackBlock{Start: pairs[i], End: pairs[i+1]})
	}
	return b
}

// Acknowledgements of what was never sent, or of nonsense, move nothing.
func TestForgedAcks(t *testing.T) {
	for name, p := range map[string]wire.Packet{
		"ahead":             {Header: wire.Header{Ack: 6, Window: 1}},
		"far ahead":         {Header: wire.Header{Ack: 1 << 31, Window: 1}},
		"behind":            {Header: wire.Header{Ack: 0xffffffff, Window: 1}},
		"sack ahead":        {Header: wire.Header{Flags: wire.Sack, Window: 1 << 20}, Blocks: blocks(2, 6)},
		"sack beyond":       {Header: wire.Header{Flags: wire.Sack, Window: 1 << 20}, Blocks: blocks(5, 6)},
		"sack of all":       {Header: wire.Header{Flags: wire.Sack, Window: 1 << 20}, Blocks: blocks(0, 0xffffffff)},
		"sack backwards":    {Header: wire.Header{Flags: wire.Sack, Window: 1 << 20}, Blocks: blocks(3, 1)},
		"empty sack":        {Header: wire.Header{Flags: wire.Sack, Window: 1 << 20}, Blocks: blocks(2, 2)},
		"sack behind":       {Header: wire.Header{Flags: wire.Sack, Window: 1 << 20}, Blocks: blocks(0xfffffff0, 3)},
		"half a sack block": {Header: wire.Header{Flags: wire.Sack, Window: 1 << 20}},
	} {
		s, now := sent(t, 5)
		window := s.window
		receive(t, s, now, p.Header, p.Blocks, nil)
		if s.flight.npend != 5 || s.flight.una != 0 || s.rtt.smoothed != 0 {
			t.Errorf("%s: %d of 5 outstanding from %d, RTT %v", name, s.flight.npend, s.flight.una, s.rtt.smoothed)
		}
		if wire.SeqDiff(p.Ack, 5) > 0 && s.window != window {
			t.Errorf("%s: the window was taken from it", name)
		}
	}
}

// One valid block among nonsense counts.
func TestSackBlocksAreJudgedOneByOne(t *testing.T) {
	s, now := sent(t, 5)
	receive(t, s, now, wire.Header{Flags: wire.Sack, Window: 1 << 20}, blocks(7, 9, 2, 3, 3, 1, 4, 5), nil)
	if s.flight.npend != 3 || s.flight.at(2).state != delivered || s.flight.at(4).state != delivered {
		t.Errorf("%d outstanding", s.flight.npend)
	}
}

// A peer that acknowledges everything but the first packet, and offers the widest
// window, cannot make us remember without bound.
func TestOptimisticAcks(t *testing.T) {
	s, now := sent(t, 5)
	data := make([]byte, unsentLimit)
	for range 200_000 {
		now += 100 * time.Microsecond
		s.Write(now, data)
		for range 64 {
			if _, path := s.Poll(now, nil); path == nil {
				break
			}
		}
		h := wire.Header{Flags: wire.Sack, Window: 1<<32 - 1}
		s.Receive(now, &wire.Packet{Header: h, Blocks: blocks(1, s.flight.next)})
		if d := s.Deadline(); d != 0 && d <= now {
			s.Tick(now)
		}
		if s.closed {
			break
		}
	}
	if err := s.check(); err != nil {
		t.Error(err)
	}
	if s.sendable.len() > maxSendWindow+unsentLimit+MaxMTU || len(s.flight.ring) > maxSpan {
		t.Errorf("%d bytes and %d packets are kept", s.sendable.len(), len(s.flight.ring))
	}
}

// A peer that sends beyond its window, or tiny packets far apart, fills no more
// than the receive buffer.
func TestWindowOverrun(t *testing.T) {
	for name, seq := range map[string]func(i uint32) uint32{
		"in order":     func(i uint32) uint32 { return i },
		"with a hole":  func(i uint32) uint32 { return i + 1 },
		"every second": func(i uint32) uint32 { return 2*i + 1 },
		"backwards":    func(i uint32) uint32 { return 60000 - i },
	} {
		for _, size := range []int{0, 1, 1452} {
			s := New(config())
			s.Connect(time.Second, Path{RemoteID: 9, Overhead: 28}, 0)
			payload := make([]byte, size)
			for i := range uint32(20000) {
				h := wire.Header{Flags: wire.Data, Seq: seq(i)}
				s.Receive(time.Second, &wire.Packet{Header: h, Payload: payload})
				s.ackDue = false
			}
			if err := s.check(); err != nil {
				t.Errorf("%s, %d bytes each: %v", name, size, err)
			}
		}
	}
}

// Packets far ahead are not kept.
func TestFarAhead(t *testing.T) {
	s := New(config())
	s.Connect(time.Second, Path{RemoteID: 9, Overhead: 28}, 0)
	receive(t, s, time.Second, wire.Header{Flags: wire.Data, Seq: maxAhead + 1}, nil, []byte("x"))
	receive(t, s, time.Second, wire.Header{Flags: wire.Data, Seq: 1 << 30}, nil, []byte("x"))
	if len(s.early.packets) != 0 {
		t.Errorf("%d packets are kept", len(s.early.packets))
	}
	receive(t, s, time.Second, wire.Header{Flags: wire.Data, Seq: maxAhead}, nil, []byte("x"))
	if len(s.early.packets) != 1 {
		t.Error("the furthest packet that is allowed was dropped")
	}
}

// A hole at the front of a full buffer can always be filled.
func TestFullBufferDrains(t *testing.T) {
	s := New(config())
	s.Connect(time.Second, Path{RemoteID: 9, Overhead: 28}, 0)
	payload := make([]byte, 1452)
	for i := range uint32(4000) {
		receive(t, s, time.Second, wire.Header{Flags: wire.Data, Seq: i + 1}, nil, payload)
	}
	kept := len(s.early.packets)
	if s.receiveWindow() != 0 {
		t.Errorf("a full buffer offers %d bytes", s.receiveWindow())
	}
	receive(t, s, time.Second, wire.Header{Flags: wire.Data, Seq: 0}, nil, payload)
	if got := int(s.expected); got != kept+1 {
		t.Errorf("%d packets in order, want %d", got, kept+1)
	}
}

// Only the first END counts, and nothing behind it.
func TestContradictingEnds(t *testing.T) {
	s := New(config())
	s.Connect(time.Second, Path{RemoteID: 9, Overhead: 28}, 0)
	receive(t, s, time.Second, wire.Header{Flags: wire.End | wire.Data, Seq: 1}, nil, []byte("b"))
	receive(t, s, time.Second, wire.Header{Flags: wire.End, Seq: 5}, nil, nil)
	receive(t, s, time.Second, wire.Header{Flags: wire.Data, Seq: 2}, nil, []byte("c"))
	receive(t, s, time.Second, wire.Header{Flags: wire.Data | wire.End, Seq: 0}, nil, []byte("a"))
	buf := make([]byte, 10)
	if n := s.Read(buf); string(buf[:n]) != "ab" || !s.EOF() {
		t.Errorf("read %q, EOF %v", buf[:n], s.EOF())
	}
}

// Old, repeated and misplaced DESTROYs.
func TestDestroy(t *testing.T) {
	for seq, wantClosed := range map[uint32]bool{0: false, 1: true, 1000: true, 1<<31 + 1: false} {
		s := New(config())
		s.Connect(time.Second, Path{RemoteID: 9, Overhead: 28}, 0)
		receive(t, s, time.Second, wire.Header{Flags: wire.Data, Seq: 0}, nil, []byte("a"))
		receive(t, s, time.Second, wire.Header{Flags: wire.Destroy, Seq: seq}, nil, nil)
		if closed, err := s.Closed(); closed != wantClosed || closed && !errors.Is(err, ErrReset) {
			t.Errorf("seq %d: closed %v, %v", seq, closed, err)
		}
		buf := make([]byte, 10)
		if n := s.Read(buf); string(buf[:n]) != "a" {
			t.Errorf("seq %d: read %q", seq, buf[:n])
		}
	}
}

func TestMessagesAreBounded(t *testing.T) {
	s := New(config())
	for range 1000 {
		receive(t, s, time.Second, wire.Header{Flags: wire.Message}, nil, make([]byte, 1400))
	}
	got := 0
	for {
		if _, ok := s.Message(); !ok {
			break
		}
		got++
	}
	if want := maxMessageBytes / 1400; got != want {
		t.Errorf("%d messages, want %d", got, want)
	}
	for range 1000 {
		receive(t, s, time.Second, wire.Header{Flags: wire.Message}, nil, nil)
	}
	if s.Messages() != maxMessages {
		t.Errorf("%d empty messages", s.Messages())
	}
}

// A block that repeats what is known costs next to nothing: the worst packet, with
// as many blocks as fit, over the longest span.
func BenchmarkWorstSack(b *testing.B) {
	now := time.Second
	s := New(config())
	s.Connect(now, Path{RemoteID: 9, Overhead: 28}, 0)
	for s.flight.span() < maxSpan {
		now += time.Millisecond
		s.Write(now, make([]byte, 1))
		if _, path := s.Poll(now, nil); path == nil {
			s.Receive(now, &wire.Packet{Header: wire.Header{Flags: wire.Sack, Window: 1 << 30}, Blocks: blocks(1, s.flight.next)})
		}
	}
	var worst []byte
	for range 250 {
		worst = append(worst, blocks(1, s.flight.next)...)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Receive(now, &wire.Packet{Header: wire.Header{Flags: wire.Sack, Window: 1 << 30}, Blocks: worst})
	}
}
