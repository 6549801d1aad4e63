package udx_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/simnet"
	"github.com/cairn-feeds/cairn/dht/udx"
)

// exchangeVector is one step of a scripted peer: what it sends to a native end,
// what comes back, and what the application there sees.
type exchangeVector struct {
	Note    string
	Tx      []struct{ Hex string }
	Replies []struct {
		T   int
		Hex string
	}
	Events []string
}

// TestHandcrafted lets the scripted peer of the recording talk to our end, which
// must answer with the same bytes and see the same events. The one difference is
// the last step: we remember the finished stream and acknowledge what is repeated.
func TestHandcrafted(t *testing.T) {
	b, err := os.ReadFile("testdata/udx-packets.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Handcrafted []exchangeVector }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	simulate(t, 1, simnet.Link{}, func(t *testing.T, n *simnet.Network) {
		peer := newRecorder(t, n, hosts[1])
		var events eventLog
		h := newHost(t, n, hosts[0], &udx.SocketOptions{Handler: func(_ *udx.Socket, b []byte, _ netip.AddrPort) {
			events.add("socket message %x", b)
		}})
		s := h.stream(t, &udx.StreamOptions{ID: 7})
		if err := s.Connect(h.socket, udx.Remote{ID: 99, Addr: hosts[1]}); err != nil {
			t.Fatal(err)
		}
		go events.follow(s)

		start := time.Now()
		for i, step := range file.Handcrafted {
			switch i { // the application's part
			case 0:
				s.Write([]byte("x"))
			case 1:
				time.Sleep(100*time.Millisecond - time.Since(start))
				s.Write([]byte(strings.Repeat("\xdd", 3000)))
			}
			if strings.Contains(step.Note, "endpoint ends") {
				s.CloseWrite()
			}
			synctest.Wait()
			if i == 1 { // heartbeats up to the last one recorded
				time.Sleep(3110*time.Millisecond - time.Since(start))
			}
			for _, tx := range step.Tx {
				b, err := hex.DecodeString(tx.Hex)
				if err != nil {
					t.Fatal(err)
				}
				peer.WriteTo(b, netAddr(hosts[0]))
				time.Sleep(time.Millisecond)
			}
			var want []string
			for _, r := range step.Replies {
				want = append(want, r.Hex)
			}
			if step.Note == "after close a retransmitted END is not UDX any more (no TIME_WAIT)" {
				want, step.Events = []string{"ff01000063000000000040000500000007000000"}, nil
			}
			got, at := peer.take()
			for j := range got { // ours is less by what waits for its turn or its reader
				if w, err := hex.DecodeString(got[j][16:24]); err == nil && w[2] == 0x3f && w[1] >= 0xf0 {
					got[j] = got[j][:16] + "00004000" + got[j][24:]
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\nsent %s\nwant %s", step.Note, got, want)
				continue
			}
			if i == 1 { // the clocks of the recording and of the test differ by what a machine needs
				for j, r := range step.Replies {
					if d := at[j].Sub(start) - time.Duration(r.T)*time.Millisecond; d.Abs() > 10*time.Millisecond {
						t.Errorf("%s: packet %d at %v, want %d ms", step.Note, j, at[j].Sub(start), r.T)
					}
				}
			}
			for j, e := range step.Events {
				if e == "data " { // an empty piece of a stream is nothing to a reader
					step.Events = append(step.Events[:j:j], step.Events[j+1:]...)
				}
			}
			if got, want := strings.Join(merge(events.take()), ", "), strings.Join(merge(step.Events), ", "); got != want {
				t.Errorf("%s: events %q, want %q", step.Note, got, want)
			}
		}
	})
}

// merge joins data events: a reader sees no packet boundaries.
func merge(events []string) (merged []string) {
	for _, e := range events {
		if n := len(merged); n > 0 && strings.HasPrefix(merged[n-1], "data ") && strings.HasPrefix(e, "data ") {
			merged[n-1] += strings.TrimPrefix(e, "data ")
		} else {
			merged = append(merged, e)
		}
	}
	return merged
}

// eventLog is what an application sees, in the words of the recording.
type eventLog struct {
	mu     sync.Mutex
	events []string
}

func (l *eventLog) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, fmt.Sprintf(format, args...))
}

func (l *eventLog) take() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	events := l.events
	l.events = nil
	return events
}

func (l *eventLog) follow(s *udx.Stream) {
	go func() {
		for {
			m, err := s.Receive(context.Background())
			if err != nil {
				return
			}
			l.add("message %x", m)
		}
	}()
	buf := make([]byte, 4096)
	for {
		n, err := s.Read(buf)
		if n > 0 {
			l.add("data %x", buf[:n])
		}
		if errors.Is(err, io.EOF) {
			l.add("end")
		}
		if err != nil {
			break
		}
	}
	<-s.Done()
	l.add("close")
}

// recorder is a scripted peer that keeps what it gets.
type recorder struct {
	*simnet.Conn
	mu  sync.Mutex
	got []string
	at  []time.Time
}

func newRecorder(t testing.TB, n *simnet.Network, addr netip.AddrPort) *recorder {
	r := &recorder{Conn: raw(t, n, addr)}
	go func() {
		buf := make([]byte, 2048)
		for {
			k, _, err := r.ReadFrom(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.got = append(r.got, hex.EncodeToString(buf[:k]))
			r.at = append(r.at, time.Now())
			r.mu.Unlock()
		}
	}()
	return r
}

func (r *recorder) take() ([]string, []time.Time) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	got, at := r.got, r.at
	r.got, r.at = nil, nil
	return got, at
}
