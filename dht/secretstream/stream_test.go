package secretstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/dht/secretstream"
)

// TestStreamIsAPipe does random things to both ends of a stream over a wire that
// cuts bytes anywhere, and compares with two queues of messages.
func TestStreamIsAPipe(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		near, wire1 := net.Pipe()
		wire2, far := net.Pipe()
		chunk := rapid.SampledFrom([]int{1, 59, 4096, 100_000}).Draw(r, "chunk")
		go copyChunks(wire1, wire2, chunk)
		go copyChunks(wire2, wire1, chunk)
		i, o := handshakes[rapid.SampledFrom([]string{"XX", "IK", "given"}).Draw(r, "handshake")]()
		ends := []*secretstream.Conn{mustNew(t, near, true, &i), mustNew(t, far, false, &o)}
		defer ends[0].Destroy()
		defer ends[1].Destroy()

		queues := [2][][]byte{} // queues[i] is what end i can read
		longest := 20_000
		if chunk < 59 {
			longest = 100
		}
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			end := rapid.IntRange(0, 1).Draw(r, "end")
			conn, queue := ends[end], &queues[end]
			switch what := rapid.SampledFrom([]string{"write", "write", "read", "read message"}).Draw(r, "what"); {
			case what == "write":
				n := rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(0, longest)).Draw(r, "length")
				m := bytes.Repeat([]byte{rapid.Byte().Draw(r, "fill")}, n)
				if err := conn.WriteMessage(m); err != nil {
					r.Fatal(err)
				}
				queues[1-end] = append(queues[1-end], m)
			case len(*queue) == 0:
			case what == "read message":
				got, err := conn.ReadMessage()
				if err != nil || !bytes.Equal(got, (*queue)[0]) {
					r.Fatalf("message of %d bytes, want %d (%v)", len(got), len((*queue)[0]), err)
				}
				*queue = (*queue)[1:]
			default:
				// Read passes over empty messages, and would wait after them.
				i := slices.IndexFunc(*queue, func(m []byte) bool { return len(m) > 0 })
				if i < 0 {
					continue
				}
				*queue = (*queue)[i:]
				b := make([]byte, rapid.IntRange(1, 300).Draw(r, "buffer"))
				n, err := conn.Read(b)
				first := &(*queue)[0]
				if want := min(len(b), len(*first)); err != nil || n != want || !bytes.Equal(b[:n], (*first)[:n]) {
					r.Fatalf("read %d bytes, want %d (%v)", n, want, err)
				}
				if *first = (*first)[n:]; len(*first) == 0 {
					*queue = (*queue)[1:]
				}
			}
		}
	})
}

func copyChunks(dst io.WriteCloser, src io.Reader, n int) {
	defer dst.Close()
	for buf := make([]byte, n); ; {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}

// TestNoAllocations is the hot path: nothing is allocated for a message.
func TestNoAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector has pools forget things")
	}
	for _, size := range []int{0, 10, 1000, 60_000} {
		t.Run(fmt.Sprint("size=", size), func(t *testing.T) {
			a, b := pair(t, "tcp", "given")
			message := pattern(size)
			exchange := func() {
				if err := a.WriteMessage(message); err != nil {
					t.Fatal(err)
				}
				if _, err := b.ReadMessage(); err != nil {
					t.Fatal(err)
				}
			}
			for range 20 {
				exchange() // buffers grow
			}
			// Now and then the pool of batches is emptied.
			if n := testing.AllocsPerRun(500, exchange); n >= 1 {
				t.Errorf("%v allocations a message", n)
			}
		})
	}
}

// TestSmallWritesGoTogether counts the writes of the raw stream.
func TestSmallWritesGoTogether(t *testing.T) {
	raw, far := net.Pipe()
	i, _ := keys()
	counter := &countWrites{Conn: raw}
	c := mustNew(t, counter, true, &secretstream.Options{Keys: i})
	const messages = 1000
	for range messages {
		if err := c.WriteMessage([]byte("small")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(far, make([]byte, 59+messages*25)); err != nil {
		t.Fatal(err)
	}
	c.Destroy()
	// The header, which nobody took, is at most one more.
	if counter.n > 3 {
		t.Errorf("%d writes", counter.n)
	}
}

type countWrites struct {
	net.Conn
	n int
}

func (c *countWrites) Write(b []byte) (int, error) {
	c.n++
	return c.Conn.Write(b)
}

// faulty fails its writes after some bytes.
type faulty struct {
	net.Conn
	left int
}

var errFault = errors.New("fault")

func (f *faulty) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errFault
	}
	return f.Conn.Write(b)
}

// TestFailedWrite: writes, Flush and Close report it, and what the peer has sent
// can still be read.
func TestFailedWrite(t *testing.T) {
	raw, far := net.Pipe()
	i, r := keys()
	c := mustNew(t, &faulty{raw, 100}, true, &secretstream.Options{Keys: i})
	peer := mustNew(t, far, false, &secretstream.Options{Keys: r})
	go io.Copy(io.Discard, peer)
	if err := peer.WriteMessage([]byte("read me")); err != nil {
		t.Fatal(err)
	}
	for {
		if err := c.WriteMessage(pattern(100)); err != nil {
			if !errors.Is(err, errFault) {
				t.Error(err)
			}
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := c.Flush(t.Context()); !errors.Is(err, errFault) {
		t.Errorf("Flush: %v", err)
	}
	if m, err := c.ReadMessage(); err != nil || string(m) != "read me" {
		t.Errorf("%q, %v", m, err)
	}
	if err := c.Close(); !errors.Is(err, errFault) {
		t.Errorf("Close: %v", err)
	}
}

func TestWriteTo(t *testing.T) {
	a, b := pair(t, "tcp", "XX")
	want := pattern(1_000_000)
	go func() {
		io.Copy(a, bytes.NewReader(want))
		a.CloseWrite()
	}()
	var got bytes.Buffer
	if n, err := io.Copy(&got, b); err != nil || n != int64(len(want)) || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
