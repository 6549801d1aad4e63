package protocol

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// datagram is one of a recorded session between two native ends, a and b.
type datagram struct {
	T       int // milliseconds
	From    string
	Hex     string
	Dropped bool
}

func sessions(t testing.TB) map[string][]datagram {
	t.Helper()
	b, err := os.ReadFile("../../testdata/udx-packets.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Sessions []struct {
			Name      string
			Datagrams []datagram
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]datagram)
	for _, s := range file.Sessions {
		all[s.Name] = s.Datagrams
	}
	return all
}

// act is something that the application did at a time.
type act struct {
	t  int // milliseconds
	do func(s *Stream, now time.Duration)
}

func write(text string) func(*Stream, time.Duration) {
	return func(s *Stream, now time.Duration) { s.Write(now, []byte(text)) }
}

func finish(s *Stream, now time.Duration)    { s.CloseWrite(now) }
func destroy(s *Stream, _ time.Duration)     { s.Destroy(nil) }
func keepAlive(s *Stream, now time.Duration) { s.SetKeepAlive(now, 100*time.Millisecond) }

// replay puts our stream in the place of one end of a recorded session: it gets
// what that end got, when it got it, and must send the very bytes that the native
// end sent, at about the time it did.
type replay struct {
	session string
	role    string // a or b
	seq     uint32
	ack     uint32
	delay   int         // of the link, in ms
	held    map[int]int // datagrams, by their index, that the forwarder held for longer
	batch   bool        // the native end read all that arrived at a time before it sent
	acts    []act
}

// The notes of the sessions say what the applications did. The first packet of a
// native stream is 20 bytes smaller than it could be, so the larger writes are cut
// in two to make ours the same.
var replays = []replay{
	{session: "connect-data-ack-message-end", role: "a", acts: []act{
		{58, write("hello")},
		{159, func(s *Stream, now time.Duration) { s.Write(now, []byte("one")); s.Write(now, []byte("two")) }},
		{260, func(s *Stream, now time.Duration) { s.Write(now, []byte("last")); s.CloseWrite(now) }},
	}},
	{session: "connect-data-ack-message-end", role: "b", acts: []act{{108, write("world")}, {261, finish}}},
	{session: "end-empty", role: "a", acts: []act{{1, finish}}},
	{session: "end-empty", role: "b", acts: []act{{2, finish}}},
	{session: "destroy", role: "a", acts: []act{{1, write("x")}, {52, destroy}}},
	{session: "destroy", role: "b"},
	{session: "keepalive", role: "a", acts: []act{{0, keepAlive}, {351, destroy}}},
	{session: "keepalive", role: "b"},
	{session: "seq-ack-options", role: "a", seq: 1000, acts: []act{{1, write("seq")}, {52, destroy}}},
	{session: "seq-ack-options", role: "b", ack: 1000},
	{session: "loss-sack-fast-recovery", role: "a", delay: 20, batch: true, acts: []act{
		{0, write(strings.Repeat("x", 1132))}, {1, write(strings.Repeat("x", 12000-1132))}, {502, destroy},
	}},
	{session: "loss-sack-fast-recovery", role: "b", delay: 20},
	{session: "tail-loss-probe", role: "a", delay: 30, acts: []act{{1, write("x")}, {151, write("x")}, {301, write("x")}, {702, destroy}}},
	{session: "tail-loss-probe", role: "b", delay: 30},
	{session: "mtu-probing", role: "a", acts: paced(0, 15, 30, 45, 60, 75, 91, 105, 120, 135, 151, 165, 180, 196)},
	{session: "mtu-probing", role: "b"},
	{session: "reorder", role: "a", delay: 10, held: map[int]int{1: 40}, acts: []act{
		{1, write(strings.Repeat("x", 1132))}, {1, write(strings.Repeat("x", 6000-1132))}, {301, destroy},
	}},
	{session: "reorder", role: "b", delay: 10, held: map[int]int{1: 40}},
}

// paced writes 1,000 bytes at each time, and destroys the stream in the end.
func paced(at ...int) (acts []act) {
	for _, t := range at {
		acts = append(acts, act{t, write(strings.Repeat("x", 1000))})
	}
	return append(acts, act{261, destroy})
}

func TestSessions(t *testing.T) {
	all := sessions(t)
	for _, r := range replays {
		t.Run(r.session+"/"+r.role, func(t *testing.T) { r.run(t, all[r.session]) })
	}
}

// happening is an act or an arrival.
type happening struct {
	at time.Duration
	do func(s *Stream, now time.Duration)
}

func (r *replay) run(t *testing.T, recorded []datagram) {
	const epoch = time.Second
	ms := func(n int) time.Duration { return epoch + time.Duration(n)*time.Millisecond }

	cfg := config()
	cfg.Seq = r.seq
	s := New(cfg)
	remote := uint32(1)
	if r.role == "a" {
		remote = 2
	}
	s.Connect(epoch, Path{RemoteID: remote, Overhead: 28}, r.ack)

	var todo []happening
	for _, a := range r.acts {
		todo = append(todo, happening{ms(a.t), a.do})
	}
	var want []datagram
	var last time.Duration
	for i, d := range recorded {
		b, err := hex.DecodeString(d.Hex)
		if err != nil {
			t.Fatal(err)
		}
		p, err := wire.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if d.From == r.role {
			if !p.Flags.Has(wire.Message) { // those are packed by AppendMessage, not by Poll
				want = append(want, d)
			}
			last = ms(d.T)
		} else if !d.Dropped {
			todo = append(todo, happening{ms(d.T + r.delay + r.held[i]), func(s *Stream, now time.Duration) { s.Receive(now, &p) }})
		}
	}
	slices.SortStableFunc(todo, func(x, y happening) int { return int(x.at - y.at) })

	check := func(now time.Duration) {
		for s.Read(make([]byte, 4096)) > 0 {
		}
		for {
			b, path := s.Poll(now, nil)
			if path == nil {
				return
			}
			if len(want) == 0 {
				t.Fatalf("at %v: sent %s behind the end of the session", now-epoch, describe(b))
			}
			w := want[0]
			want = want[1:]
			wb, _ := hex.DecodeString(w.Hex)
			if p, _ := wire.Parse(b); p.Flags.Has(wire.Sack) {
				// The reference does not count what came before its turn.
				if early := 4<<20 - int(p.Window); early <= 0 || early > 10*packetBuffer {
					t.Errorf("a window of %d", p.Window)
				}
				copy(b[8:12], wb[8:12])
			}
			if got, exp := describe(b), describe(wb); got != exp {
				t.Errorf("at %v: sent %s, want %s", now-epoch, got, exp)
			}
			if late := now - ms(w.T); late.Abs() > 12*time.Millisecond {
				t.Errorf("sent %s at %v, want %d ms", describe(b), now-epoch, w.T)
			}
		}
	}
	for len(todo) > 0 || s.Deadline() != 0 && s.Deadline() <= last+20*time.Millisecond {
		now := s.Deadline()
		if len(todo) > 0 && (now == 0 || todo[0].at <= now) {
			now = todo[0].at
			todo[0].do(s, now)
			todo = todo[1:]
		} else {
			s.Tick(now)
		}
		if !r.batch || len(todo) == 0 || todo[0].at > now {
			check(now)
		}
	}
	if len(want) > 0 {
		t.Errorf("%d datagrams were not sent, first %s at %d ms", len(want), want[0].Hex[:40], want[0].T)
	}
}

// describe prints a packet with all that it says; constant payloads, which the
// recording filled with whatever, by their length.
func describe(b []byte) string {
	p, err := wire.Parse(b)
	if err != nil {
		return err.Error()
	}
	text := fmt.Sprintf("%v offset=%d stream=%d window=%d seq=%d ack=%d", p.Flags, p.Offset, p.Stream, p.Window, p.Seq, p.Ack)
	for i := range p.SackBlocks() {
		text += fmt.Sprint(" ", p.SackBlock(i))
	}
	switch {
	case !p.Flags.Has(wire.Data):
	case len(p.Payload) > 3 && len(p.Payload) < 100:
		text += fmt.Sprintf(" %q", p.Payload)
	default:
		text += fmt.Sprintf(" %d bytes", len(p.Payload))
	}
	return text
}
