package udx_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"github.com/cairn-feeds/cairn/dht/internal/simnet"
	"github.com/cairn-feeds/cairn/dht/udx"
)

// The suite for every net.Conn, over real sockets.
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		x, y := loopback(t)
		return x, y, func() { x.Destroy(); y.Destroy() }, nil
	})
}

func TestHalfClose(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := open(t, a, b, udx.StreamOptions{})
		x.Write([]byte("question"))
		x.CloseWrite()
		if got, err := io.ReadAll(y); string(got) != "question" || err != nil {
			t.Fatalf("read %q, %v", got, err)
		}
		if _, err := x.Write([]byte("more")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing behind the end: %v", err)
		}
		if err := x.CloseWrite(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ending twice: %v", err)
		}
		time.Sleep(time.Minute) // half a stream lives as long as it wants
		y.Write([]byte("answer"))
		y.CloseWrite()
		if got, err := io.ReadAll(x); string(got) != "answer" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		<-x.Done()
		<-y.Done()
		if x.Err() != nil || y.Err() != nil {
			t.Errorf("ended with %v and %v", x.Err(), y.Err())
		}
		if _, err := x.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("reading behind the end: %v", err)
		}
		if _, err := y.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing behind the end: %v", err)
		}
	})
}

// Close delivers what was written, does not wait, and is over when the other side
// has closed too.
func TestClose(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: 10 * time.Millisecond, Loss: 0.1}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := open(t, a, b, udx.StreamOptions{})
		text := content(1, 200_000)
		start := time.Now()
		x.Write(text)
		x.Close()
		if d := time.Since(start); d > 0 {
			t.Errorf("Close took %v", d)
		}
		if _, err := x.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading after Close: %v", err)
		}
		if _, err := x.Write(text); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing after Close: %v", err)
		}
		if _, err := x.Receive(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("receiving after Close: %v", err)
		}
		if got, err := io.ReadAll(y); !bytes.Equal(got, text) || err != nil {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
		y.Close()
		<-x.Done()
		<-y.Done()
		if x.Err() != nil || y.Err() != nil {
			t.Errorf("ended with %v and %v", x.Err(), y.Err())
		}
	})
}

// A remote that does not close is cut off after the linger time.
func TestCloseAlone(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := open(t, a, b, udx.StreamOptions{Linger: 3 * time.Second})
		start := time.Now()
		x.Close()
		<-x.Done()
		if d := time.Since(start); d < 3*time.Second || d > 4*time.Second {
			t.Errorf("it lingered for %v, want 3 s", d)
		}
		<-y.Done()
		if err := y.Err(); !errors.Is(err, udx.ErrReset) || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the remote ended with %v", err)
		}
	})
}

func TestDestroy(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := open(t, a, b, udx.StreamOptions{})
		x.Write([]byte("famous last words"))
		time.Sleep(100 * time.Millisecond)
		x.Destroy()
		x.Destroy()
		<-x.Done()
		if err := x.Err(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the end that destroyed: %v", err)
		}
		<-y.Done()
		buf := make([]byte, 100)
		k, err := y.Read(buf)
		if string(buf[:k]) != "famous last words" || err != nil {
			t.Errorf("read %q, %v", buf[:k], err)
		}
		if _, err := y.Read(buf); !errors.Is(err, udx.ErrReset) {
			t.Errorf("behind it: %v", err)
		}
		if _, err := y.Write(buf); !errors.Is(err, udx.ErrReset) {
			t.Errorf("writing: %v", err)
		}
		if err := y.Close(); err != nil {
			t.Errorf("closing what is over: %v", err)
		}
	})
}

// Those who wait when a stream ends are told.
func TestDestroyWakes(t *testing.T) {
	for name, end := range map[string]func(x, y *udx.Stream){
		"destroy here":  func(x, _ *udx.Stream) { x.Destroy() },
		"destroy there": func(_, y *udx.Stream) { y.Destroy() },
		"close":         func(x, _ *udx.Stream) { x.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 1, simnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, n *simnet.Network) {
				a, b := twoHosts(t, n)
				x, y := open(t, a, b, udx.StreamOptions{})
				results := make(chan error, 3)
				go func() { _, err := x.Read(make([]byte, 1)); results <- err }()
				go func() { _, err := x.Write(make([]byte, 20<<20)); results <- err }()
				go func() { _, err := x.Receive(context.Background()); results <- err }()
				time.Sleep(time.Second)
				end(x, y)
				for range 3 {
					if err := <-results; !errors.Is(err, net.ErrClosed) && !errors.Is(err, udx.ErrReset) {
						t.Errorf("woken with %v", err)
					}
				}
			})
		})
	}
}

func TestTimedOut(t *testing.T) {
	simulate(t, 1, simnet.Link{Loss: 1}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, _ := open(t, a, b, udx.StreamOptions{})
		start := time.Now()
		x.Write([]byte("anybody?"))
		<-x.Done()
		if d := time.Since(start); d < 13*time.Second || d > 15*time.Second {
			t.Errorf("it gave up after %v", d)
		}
		if err := x.Err(); !errors.Is(err, udx.ErrTimedOut) || !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestDeadlines(t *testing.T) {
	simulate(t, 1, simnet.Link{}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := open(t, a, b, udx.StreamOptions{ReceiveBuffer: 100_000})
		buf := make([]byte, 1<<20)

		start := time.Now()
		x.SetReadDeadline(start.Add(time.Second))
		if _, err := x.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Read: %v after %v", err, time.Since(start))
		}
		// The window of the remote and our buffer fill, then the deadline comes.
		x.SetWriteDeadline(time.Now().Add(time.Second))
		k, err := x.Write(buf)
		if !errors.Is(err, os.ErrDeadlineExceeded) || k < 256<<10 || k > 500_000 {
			t.Errorf("Write: %d bytes, %v", k, err)
		}
		// What was counted arrives, and a new deadline revives the stream.
		x.SetDeadline(time.Time{})
		x.CloseWrite()
		if got, err := io.ReadAll(y); len(got) != k || err != nil {
			t.Errorf("received %d bytes of %d, %v", len(got), k, err)
		}
		y.Write([]byte("x"))
		if k, err := x.Read(buf); k != 1 || err != nil {
			t.Errorf("Read: %d, %v", k, err)
		}
	})
}

func TestFlush(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: 50 * time.Millisecond}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := open(t, a, b, udx.StreamOptions{})
		if err := x.Flush(t.Context()); err != nil {
			t.Errorf("with nothing to do: %v", err)
		}
		start := time.Now()
		x.Write([]byte("hello"))
		if err := x.Flush(t.Context()); err != nil || time.Since(start) != 100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		n.SetLink(simnet.Link{Loss: 1})
		x.Write([]byte("lost"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := x.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while nothing passes: %v", err)
		}
		go func() { time.Sleep(time.Second); x.Destroy() }()
		if err := x.Flush(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("of a stream that is destroyed: %v", err)
		}
		_ = y
	})
}

func TestNotConnected(t *testing.T) {
	simulate(t, 1, simnet.Link{}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x := a.stream(t, nil)
		if x.ID() == 0 {
			t.Error("no id")
		}
		_, writeErr := x.Write([]byte("x"))
		_, changeErr := x.ChangeRemote(a.socket, udx.Remote{Addr: b.addr})
		for what, err := range map[string]error{
			"Write": writeErr, "CloseWrite": x.CloseWrite(), "Send": x.Send(nil), "ChangeRemote": changeErr,
		} {
			if !errors.Is(err, udx.ErrNotConnected) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if x.LocalAddr() == nil || x.RemoteAddr() == nil || x.Socket() != nil || x.Remote() != (udx.Remote{}) {
			t.Error("addresses before Connect")
		}
		if _, err := a.NewStream(&udx.StreamOptions{ID: x.ID()}); !errors.Is(err, udx.ErrIDInUse) {
			t.Errorf("the same id twice: %v", err)
		}
		for _, r := range []udx.Remote{{}, {Addr: netip.AddrPortFrom(hosts[1].Addr(), 0)}} {
			if err := x.Connect(a.socket, r); !errors.Is(err, udx.ErrAddress) {
				t.Errorf("connected to %v: %v", r, err)
			}
		}
		if err := x.Connect(b.socket, udx.Remote{Addr: b.addr}); !errors.Is(err, udx.ErrForeignSocket) {
			t.Errorf("through another mux: %v", err)
		}
		if err := x.Connect(a.socket, udx.Remote{ID: 5, Addr: b.addr}); err != nil {
			t.Fatal(err)
		}
		if err := x.Connect(a.socket, udx.Remote{ID: 5, Addr: b.addr}); !errors.Is(err, udx.ErrConnected) {
			t.Errorf("connected twice: %v", err)
		}
		if x.RemoteAddr().String() != b.addr.String() || x.LocalAddr().String() != a.addr.String() || x.Remote().ID != 5 || x.Socket() != a.socket {
			t.Errorf("connected from %v to %v", x.LocalAddr(), x.RemoteAddr())
		}
		if got := a.socket.Streams(); got != 1 {
			t.Errorf("%d streams on the socket", got)
		}
		y := b.stream(t, nil)
		y.Close()
		<-y.Done()
		if err := y.Connect(b.socket, udx.Remote{Addr: a.addr}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("connected after Close: %v", err)
		}
		if got := b.socket.Streams(); got != 0 {
			t.Errorf("%d streams on the socket", got)
		}
	})
}

func TestMessages(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: time.Millisecond}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := open(t, a, b, udx.StreamOptions{})
		for _, m := range []string{"one", "", strings.Repeat("x", 1452)} {
			if err := x.Send([]byte(m)); err != nil {
				t.Fatal(err)
			}
			if got, err := y.Receive(t.Context()); string(got) != m || err != nil {
				t.Errorf("received %q, %v; want %q", got, err, m)
			}
		}
		if err := x.Send(make([]byte, 1453)); !errors.Is(err, udx.ErrMessageTooLarge) {
			t.Errorf("a message of 1453 bytes: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := y.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing to receive: %v", err)
		}
		// Messages that nobody fetches are dropped when they are too many.
		for range 1000 {
			x.Send([]byte("spam"))
		}
		synctest.Wait()
		time.Sleep(time.Second)
		x.Close()
		y.Close()
		<-y.Done()
	})
}

// A keep-alive is seen by the remote's NAT only: as a packet and its answer.
func TestKeepAlive(t *testing.T) {
	simulate(t, 1, simnet.Link{}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := open(t, a, b, udx.StreamOptions{})
		x.SetKeepAlive(time.Second)
		time.Sleep(10*time.Second + time.Millisecond)
		if got := y.Stats().PacketsReceived; got != 10 {
			t.Errorf("%d packets in 10 s of a keep-alive of 1 s", got)
		}
		if got := x.Stats().PacketsReceived; got != 10 {
			t.Errorf("%d answers", got)
		}
		x.SetKeepAlive(0)
		time.Sleep(10 * time.Second)
		if got := y.Stats().PacketsReceived; got != 10 {
			t.Errorf("%d packets after it was ended", got)
		}
	})
}
