package protocol

import (
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// FuzzStream plays a program of calls, packets and time on one stream whose
// remote is the fuzzer, and checks all counts after every step.
func FuzzStream(f *testing.F) {
	f.Add([]byte("\x00w\x10\x02\x05p\x03ack"), true)
	f.Add([]byte("\x01\x00\x00\x01\x01\x05\x02\x01\x05\x05\x07\x08\x09"), false)
	for name, s := range sessions(f) {
		var program []byte
		for _, d := range s {
			program = append(program, 10, byte(d.T))
		}
		f.Add(append(program, name...), true)
	}
	f.Fuzz(func(t *testing.T, program []byte, connected bool) {
		cfg := config()
		cfg.ReceiveBuffer = 64 << 10
		s, now := New(cfg), time.Second
		if connected {
			s.Connect(now, Path{RemoteID: 1, Overhead: 28}, 0)
		}
		take := func() byte {
			if len(program) == 0 {
				return 0
			}
			b := program[0]
			program = program[1:]
			return b
		}
		// near is a sequence number about one that means something.
		near := func(base uint32) uint32 {
			if d := take(); d != 0x80 {
				return base + uint32(int8(d))
			}
			return uint32(take()) << 24
		}
		buf := make([]byte, 4096)
		for len(program) > 0 {
			switch take() % 14 {
			case 0:
				s.Write(now, buf[:int(take())*16])
			case 1:
				s.Read(buf[:int(take())*16])
			case 2:
				now += time.Duration(take()) * time.Millisecond
			case 3:
				now += time.Duration(take()) * 50 * time.Millisecond
			case 4:
				if d := s.Deadline(); d > now {
					now = d
				}
				s.Tick(now)
			case 5:
				for range take() {
					b, path := s.Poll(now, nil)
					if path == nil {
						break
					}
					if _, err := wire.Parse(b); err != nil || len(b) > MaxDatagram {
						t.Fatalf("sent %x: %v", b, err)
					}
				}
			case 6:
				s.CloseWrite(now)
			case 7:
				s.Message()
			case 8:
				s.SetKeepAlive(now, time.Duration(take())*time.Millisecond)
			case 9:
				if take() == 1 {
					s.Abandon(now)
				} else if take() == 2 {
					s.Destroy(nil)
				} else if s.Connected() {
					s.ChangeRemote(Path{RemoteID: uint32(take()), Overhead: 48})
				} else {
					s.Connect(now, Path{RemoteID: 1, Overhead: 28}, uint32(take()))
				}
			default:
				p := wire.Packet{Header: wire.Header{
					Flags:  wire.Flags(take()),
					Window: uint32(take()) << (take() % 32),
					Seq:    near(s.expected),
					Ack:    near(s.flight.next),
				}}
				if p.Flags.Has(wire.Destroy) && take() > 4 {
					p.Flags &^= wire.Destroy // or most programs end here
				}
				if p.Flags.Has(wire.Sack) {
					for range take() % 8 {
						start := near(s.flight.una)
						p.Blocks = wire.AppendSackBlock(p.Blocks, wire.SackBlock{Start: start, End: start + uint32(take())})
					}
				}
				p.Payload = buf[:int(take())*8]
				s.Receive(now, &p)
			}
			if err := s.check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzPair puts a fuzzer between two streams, that drops, holds back, repeats and
// changes packets. Both ends may fail; what is read must be what was written, as
// long as no payload was changed.
func FuzzPair(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, uint16(3000))
	f.Add([]byte{200, 7, 0, 255, 31, 7, 6}, uint16(60000))
	f.Fuzz(func(t *testing.T, fates []byte, size uint16) {
		n := newPair(t, 5*time.Millisecond)
		i := 0
		n.fate = func(_ int, p wire.Packet, b []byte) time.Duration {
			if len(fates) == 0 {
				return 0
			}
			c := fates[i%len(fates)]
			i++
			switch {
			case c < 40:
				return -1
			case c < 80:
				return time.Duration(c) * time.Millisecond
			case c < 90:
				b[8+int(c)%4] = c // the window
			case c < 100:
				b[16+int(c)%4] ^= c // the acknowledgement
			case c < 105 && p.Flags.Has(wire.Sack) && len(b) > wire.HeaderSize:
				b[wire.HeaderSize+int(c)%(len(b)-wire.HeaderSize)] ^= c
			}
			return 0
		}
		data := randomBytes(int(size))
		got, rest := 0, data
		buf := make([]byte, 1000)
		n.run(30*time.Second, func() bool {
			rest = rest[n.end[0].Write(n.now, rest):]
			if len(rest) == 0 {
				n.end[0].CloseWrite(n.now)
			}
			for {
				k := n.end[1].Read(buf)
				if k == 0 {
					break
				}
				if got+k > len(data) || string(buf[:k]) != string(data[got:got+k]) {
					t.Fatalf("read other bytes at %d", got)
				}
				got += k
			}
			if n.end[1].EOF() {
				if got != len(data) {
					t.Fatalf("the end after %d bytes of %d", got, len(data))
				}
				return true
			}
			closed, _ := n.end[0].Closed()
			return closed
		})
	})
}
