package secretstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/cairn-feeds/cairn/dht/secretstream"
)

func TestNetConn(t *testing.T) {
	for stream := range streams {
		for handshake := range handshakes {
			t.Run(stream+"/"+handshake, func(t *testing.T) {
				nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
					raw1, raw2 := streams[stream](t)
					o1, o2 := handshakes[handshake]()
					o1.Linger, o2.Linger = 100*time.Millisecond, 100*time.Millisecond
					x, y := mustNew(t, raw1, true, &o1), mustNew(t, raw2, false, &o2)
					return x, y, func() { x.Destroy(); y.Destroy() }, nil
				})
			})
		}
	}
}

func TestMessagesKeepTheirBounds(t *testing.T) {
	for handshake := range handshakes {
		t.Run(handshake, func(t *testing.T) {
			a, b := pair(t, "tcp", handshake)
			messages := [][]byte{[]byte("hello"), {}, pattern(1), pattern(4096), pattern(70_000), pattern(3_000_000), []byte("end")}
			go func() {
				for _, m := range messages {
					if err := a.WriteMessage(m); err != nil {
						t.Error(err)
					}
				}
			}()
			for i, want := range messages {
				got, err := b.ReadMessage()
				if err != nil || !bytes.Equal(got, want) || got == nil {
					t.Fatalf("message %d: %d bytes, want %d (%v)", i, len(got), len(want), err)
				}
			}
			if got, want := a.RawBytesWritten(), b.RawBytesRead()+3*uint64(len(messages)); got != want {
				t.Errorf("written %d, want %d", got, want)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	for handshake := range handshakes {
		t.Run(handshake, func(t *testing.T) {
			a, b := pair(t, "pipe", handshake)
			for _, c := range []*secretstream.Conn{a, b} {
				if err := c.Handshake(soon(t)); err != nil {
					t.Fatal(err)
				}
			}
			if !a.PublicKey().Equal(public(1)) || !a.RemotePublicKey().Equal(public(2)) {
				t.Errorf("initiator: %x to %x", a.PublicKey(), a.RemotePublicKey())
			}
			if !b.PublicKey().Equal(public(2)) || !b.RemotePublicKey().Equal(public(1)) {
				t.Errorf("responder: %x to %x", b.PublicKey(), b.RemotePublicKey())
			}
			if a.HandshakeHash() != b.HandshakeHash() || a.HandshakeHash() == [64]byte{} {
				t.Errorf("hashes %x and %x", a.HandshakeHash(), b.HandshakeHash())
			}
			if !a.Initiator() || b.Initiator() {
				t.Error("the sides are mixed up")
			}
		})
	}
}

func TestBeforeTheHandshake(t *testing.T) {
	raw, far := net.Pipe()
	defer far.Close()
	c := mustNew(t, plain{raw}, false, nil)
	if c.PublicKey() != nil || c.RemotePublicKey() != nil || c.HandshakeHash() != [64]byte{} || c.RemoteAddr().String() != "" {
		t.Error("something is known before the handshake")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.Handshake(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Handshake: %v", err)
	}
	if err := c.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v", err)
	}
	if _, err := c.Write(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := c.Handshake(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Handshake after Close: %v", err)
	}
}

// TestDeadlineDuringHandshake sets a read deadline before the stream is open: it
// must not disturb the handshake, and must hold after it.
func TestDeadlineDuringHandshake(t *testing.T) {
	raw, far := net.Pipe()
	a := mustNew(t, raw, true, nil)
	if err := a.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Millisecond)
	mustNew(t, far, false, nil)
	if err := a.Handshake(soon(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v", err)
	}
}

func TestBadOptions(t *testing.T) {
	for name, o := range map[string]secretstream.Options{
		"IK to nobody":        {Pattern: secretstream.IK},
		"unknown pattern":     {Pattern: 9},
		"short key":           {Key: key(1)[:5]},
		"MaxMessage":          {MaxMessage: secretstream.MaxMessage + 1},
		"negative MaxMessage": {MaxMessage: -1},
		"negative KeepAlive":  {KeepAlive: -1},
		"negative Timeout":    {Timeout: -1},
	} {
		if c, err := secretstream.New(plain{}, true, &o); c != nil || err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestWrongKey(t *testing.T) {
	for _, p := range []secretstream.Pattern{secretstream.XX, secretstream.IK, secretstream.XK} {
		t.Run(p.String(), func(t *testing.T) {
			raw, far := net.Pipe()
			a := mustNew(t, raw, true, &secretstream.Options{RemoteKey: public(2), Pattern: p})
			b := mustNew(t, far, false, &secretstream.Options{Key: key(3), Pattern: p})
			for _, c := range []*secretstream.Conn{a, b} {
				if err := c.Handshake(soon(t)); !errors.Is(err, secretstream.ErrHandshake) {
					t.Errorf("Handshake: %v", err)
				}
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, secretstream.ErrHandshake) {
					t.Errorf("Read: %v", err)
				}
				if _, err := c.Write(make([]byte, 1)); !errors.Is(err, secretstream.ErrHandshake) {
					t.Errorf("Write: %v", err)
				}
			}
		})
	}
}

func TestHalfClose(t *testing.T) {
	a, b := pair(t, "tcp", "XX")
	if _, err := a.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("more")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Write after CloseWrite: %v", err)
	}
	if err := a.CloseWrite(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("CloseWrite after CloseWrite: %v", err)
	}
	if got, err := io.ReadAll(b); err != nil || string(got) != "question" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the end does not last: %v", err)
	}
	answer := pattern(2_000_000)
	go func() {
		if _, err := b.Write(answer); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	if got, err := io.ReadAll(a); err != nil || !bytes.Equal(got, answer) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func TestHalfCloseUnsupported(t *testing.T) {
	a, b := pair(t, "pipe", "given")
	if err := a.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	go a.Write([]byte("still open"))
	if m, err := b.ReadMessage(); err != nil || string(m) != "still open" {
		t.Errorf("%q, %v", m, err)
	}
}

// TestCloseSendsEverything closes with batches in the queue.
func TestCloseSendsEverything(t *testing.T) {
	a, b := pair(t, "tcp", "XX")
	var got bytes.Buffer
	read := make(chan error)
	go func() {
		_, err := io.Copy(&got, b)
		read <- err
	}()
	var want bytes.Buffer
	for i := range 5000 {
		m := fmt.Appendf(nil, "message %d;", i)
		want.Write(m)
		if _, err := a.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%d bytes of %d, %v", got.Len(), want.Len(), err)
	}
	if _, err := a.Read(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
	if _, err := a.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if err := a.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetDeadline after Close: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// TestWriteDeadline fills the stream of a peer that does not read: the message
// that does not fit is not written in part, and the stream goes on.
func TestWriteDeadline(t *testing.T) {
	for stream := range streams {
		t.Run(stream, func(t *testing.T) {
			a, b := pair(t, stream, "given")
			message := pattern(60_000)
			if err := a.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			written := 0
			for {
				n, err := a.Write(message)
				if err != nil {
					if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Fatalf("%d, %v", n, err)
					}
					break
				}
				written++
			}
			if err := a.SetWriteDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			go func() {
				a.WriteMessage([]byte("last"))
			}()
			for range written {
				if m, err := b.ReadMessage(); err != nil || !bytes.Equal(m, message) {
					t.Fatalf("%d bytes, %v", len(m), err)
				}
			}
			if m, err := b.ReadMessage(); err != nil || string(m) != "last" {
				t.Fatalf("%q, %v", m, err)
			}
		})
	}
}

// TestReadDeadline interrupts reads in the middle of frames; nothing is lost.
func TestReadDeadline(t *testing.T) {
	for stream := range streams {
		t.Run(stream, func(t *testing.T) {
			raw, far := streams[stream](t)
			i, r := handshakes["given"]()
			slow, wire := net.Pipe() // a writes here, bytes trickle to far
			a := mustNew(t, slow, true, &i)
			b := mustNew(t, raw, false, &r)
			want := pattern(500)
			go func() {
				a.WriteMessage(want)
				a.Close()
			}()
			go io.Copy(io.Discard, far)
			go func() {
				for one := make([]byte, 1); ; time.Sleep(50 * time.Microsecond) {
					if _, err := wire.Read(one); err != nil {
						return
					}
					if _, err := far.Write(one); err != nil {
						return
					}
				}
			}()
			timeouts := 0
			for {
				if err := b.SetReadDeadline(time.Now().Add(2 * time.Millisecond)); err != nil {
					t.Fatal(err)
				}
				m, err := b.ReadMessage()
				if err == nil {
					if !bytes.Equal(m, want) {
						t.Errorf("%x", m)
					}
					break
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal(err)
				}
				timeouts++
			}
			if timeouts == 0 {
				t.Error("no deadline passed")
			}
		})
	}
}

func TestManyWritersAndReaders(t *testing.T) {
	a, b := pair(t, "tcp", "XX")
	const writers, each = 8, 500
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				if err := a.WriteMessage(fmt.Appendf(nil, "%d %d %s", w, i, pattern(i*7))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	next := make([]int, writers)
	for range writers * each {
		m, err := b.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		var w, i int
		if _, err := fmt.Sscanf(string(m), "%d %d", &w, &i); err != nil || next[w] != i {
			t.Fatalf("message %d of writer %d, want %d (%v)", i, w, next[w], err)
		}
		next[w]++
	}
	wait.Wait()
}

func TestFlush(t *testing.T) {
	a, b := pair(t, "pipe", "given")
	for range 3 {
		if _, err := a.Write(pattern(1000)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := a.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody reads, but Flush returned %v", err)
	}
	go io.Copy(io.Discard, b)
	if err := a.Flush(soon(t)); err != nil {
		t.Error(err)
	}
	a.Destroy()
	if err := a.Flush(t.Context()); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestTooLarge(t *testing.T) {
	a, b := pair(t, "tcp", "given")
	large := make([]byte, secretstream.MaxMessage+1)
	if err := a.WriteMessage(large); !errors.Is(err, secretstream.ErrTooLarge) {
		t.Errorf("WriteMessage: %v", err)
	}
	// Write cuts it in two.
	go a.Write(large)
	for _, want := range []int{secretstream.MaxMessage, 1} {
		if m, err := b.ReadMessage(); err != nil || len(m) != want {
			t.Fatalf("%d bytes, want %d (%v)", len(m), want, err)
		}
	}
}

func TestReadAndReadMessage(t *testing.T) {
	a, b := pair(t, "tcp", "given")
	for _, m := range []string{"first", "second", "third"} {
		if err := a.WriteMessage([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	two := make([]byte, 2)
	if n, err := b.Read(two); err != nil || string(two[:n]) != "fi" {
		t.Fatalf("%q, %v", two[:n], err)
	}
	for _, want := range []string{"rst", "second", "third"} {
		if m, err := b.ReadMessage(); err != nil || string(m) != want {
			t.Fatalf("%q, want %q (%v)", m, want, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	a, _ := pair(t, "tcp", "given")
	if a.RemoteAddr().Network() != "tcp" || a.LocalAddr().String() == "" {
		t.Errorf("%v to %v", a.LocalAddr(), a.RemoteAddr())
	}
	a, _ = pair(t, "plain", "given")
	if got, want := a.RemoteAddr().String(), fmt.Sprintf("%x", []byte(public(2))); got != want || a.RemoteAddr().Network() != "secretstream" {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := a.LocalAddr().String(), fmt.Sprintf("%x", []byte(public(1))); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
