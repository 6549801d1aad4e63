package udx_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/simnet"
	"github.com/cairn-feeds/cairn/dht/udx"
)

// Raw datagrams and streams share the socket.
func TestSharedSocket(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: time.Millisecond}, func(t *testing.T, n *simnet.Network) {
		var mu sync.Mutex
		var got []string
		handler := func(_ *udx.Socket, b []byte, from netip.AddrPort) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprintf("%s from %v", b, from))
		}
		a := newHost(t, n, hosts[0], nil)
		b := newHost(t, n, hosts[1], &udx.SocketOptions{Handler: handler})
		x, y := open(t, a, b, udx.StreamOptions{})
		go func() {
			for i := range 10 {
				if err := a.socket.WriteTo(fmt.Appendf(nil, "datagram %d", i), b.addr); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
			}
		}()
		exchange(t, x, y, content(1, 500_000), nil)
		time.Sleep(time.Second)
		if len(got) != 10 || got[9] != fmt.Sprintf("datagram 9 from %v", a.addr) {
			t.Errorf("handled %q", got)
		}
	})
}

// One mux, many streams over one pair of sockets, some of them on a second socket.
func TestManyStreams(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: 5 * time.Millisecond, Loss: 0.01, Bandwidth: 20_000_000}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		var wg sync.WaitGroup
		for i := range uint64(100) {
			x, y := open(t, a, b, udx.StreamOptions{})
			wg.Go(func() { exchange(t, x, y, content(i, 30_000), content(i+1000, 20_000)) })
		}
		wg.Wait()
		synctest.Wait()
		if got := a.socket.Streams() + b.socket.Streams(); got != 0 {
			t.Errorf("%d streams are left", got)
		}
	})
}

func TestBusyIdle(t *testing.T) {
	simulate(t, 1, simnet.Link{}, func(t *testing.T, n *simnet.Network) {
		var events eventLog
		a := newHost(t, n, hosts[0], &udx.SocketOptions{
			OnBusy: func() { events.add("busy") },
			OnIdle: func() { events.add("idle") },
		})
		b := newHost(t, n, hosts[1], nil)
		x1, _ := open(t, a, b, udx.StreamOptions{})
		x2, _ := open(t, a, b, udx.StreamOptions{})
		x1.Destroy()
		<-x1.Done()
		if got := fmt.Sprint(events.take()); got != "[busy]" {
			t.Errorf("with one stream of two: %s", got)
		}
		x2.Destroy()
		<-x2.Done()
		open(t, a, b, udx.StreamOptions{})
		if got := fmt.Sprint(events.take()); got != "[idle busy]" {
			t.Errorf("after the second and with a third: %s", got)
		}
	})
}

func TestShutdown(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := open(t, a, b, udx.StreamOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.socket.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a stream that lives: %v", err)
		}
		if err := a.stream(t, nil).Connect(a.socket, udx.Remote{Addr: b.addr}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("connecting through a socket that is shut down: %v", err)
		}
		text := content(1, 100_000)
		x.Write(text)
		x.Close()
		go func() {
			if got, err := io.ReadAll(y); !bytes.Equal(got, text) || err != nil {
				t.Errorf("received %d bytes, %v", len(got), err)
			}
			y.Close()
		}()
		if err := a.socket.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-x.Done()
		if x.Err() != nil {
			t.Errorf("the stream ended with %v", x.Err())
		}
		if err := a.socket.WriteTo(nil, b.addr); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the socket is open: %v", err)
		}
	})
}

func TestMuxClose(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := open(t, a, b, udx.StreamOptions{})
		lonely := a.stream(t, nil)
		x.Write([]byte("x"))
		a.Close()
		a.Close()
		for _, s := range []*udx.Stream{x, lonely} {
			<-s.Done()
			if err := s.Err(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		}
		<-y.Done()
		if err := y.Err(); !errors.Is(err, udx.ErrReset) {
			t.Errorf("the remote ended with %v", err)
		}
		if _, err := a.NewStream(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a new stream: %v", err)
		}
		if _, err := a.Attach(raw(t, n, hosts[2]), nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a new socket: %v", err)
		}
	})
}

// A probe with a low time to live opens a NAT and reaches nobody; all else does.
func TestTTL(t *testing.T) {
	simulate(t, 1, simnet.Link{Hops: 10}, func(t *testing.T, n *simnet.Network) {
		a := newHost(t, n, hosts[0], nil)
		peer := newRecorder(t, n, hosts[1])
		if err := a.socket.WriteToTTL([]byte{0}, hosts[1], 5); err != nil {
			t.Fatal(err)
		}
		a.socket.WriteTo([]byte{1}, hosts[1])
		if got, _ := peer.take(); len(got) != 1 || got[0] != "01" {
			t.Errorf("arrived %v", got)
		}
	})
}

// The same on a socket of the system, where the option must be restored.
func TestTTLOfSystemSocket(t *testing.T) {
	m := udx.New(nil)
	defer m.Close()
	var got [2]chan string
	var socks [2]*udx.Socket
	for i := range socks {
		got[i] = make(chan string, 10)
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		socks[i], err = m.Attach(conn, &udx.SocketOptions{Handler: func(_ *udx.Socket, b []byte, _ netip.AddrPort) { got[i] <- string(b) }})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, ttl := range []int{1, 5, 64} {
		if err := socks[0].WriteToTTL([]byte("probe"), socks[1].AddrPort(), ttl); err != nil {
			t.Fatal(err)
		}
		if b := <-got[1]; b != "probe" {
			t.Errorf("received %q", b)
		}
	}
	if err := socks[0].WriteTo([]byte("plain"), socks[1].AddrPort()); err != nil {
		t.Fatal(err)
	}
	<-got[1]
}

// The last acknowledgement of a stream gets lost: the remote that repeats its END
// is answered although the stream is gone.
func TestLinger(t *testing.T) {
	simulate(t, 1, simnet.Link{}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := open(t, a, b, udx.StreamOptions{})
		x.CloseWrite()
		synctest.Wait()
		n.SetLinkFrom(a.addr.Addr(), b.addr.Addr(), simnet.Link{Loss: 1})
		y.CloseWrite()
		synctest.Wait()
		<-x.Done()
		if x.Err() != nil {
			t.Errorf("the end that is done: %v", x.Err())
		}
		n.SetLinkFrom(a.addr.Addr(), b.addr.Addr(), simnet.Link{})
		<-y.Done()
		if y.Err() != nil {
			t.Errorf("the end whose END was repeated: %v", y.Err())
		}
		// The id is free at once.
		if _, err := a.NewStream(&udx.StreamOptions{ID: x.ID()}); err != nil {
			t.Error(err)
		}
	})
}

// Garbage of every kind neither stops a stream nor keeps anything of it.
func TestHostileDatagrams(t *testing.T) {
	simulate(t, 1, simnet.Link{Delay: 5 * time.Millisecond}, func(t *testing.T, n *simnet.Network) {
		a, b := twoHosts(t, n)
		x, y := open(t, a, b, udx.StreamOptions{})
		stranger := raw(t, n, hosts[2])
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, 2))
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Microsecond):
				}
				p := make([]byte, r.IntN(2100))
				for i := range p {
					p[i] = byte(r.Uint32())
				}
				if len(p) >= 20 && r.IntN(10) > 0 {
					p[0], p[1] = 0xff, 1
					// Flags that cannot do what anybody who knows the id could do: no
					// DATA, END or DESTROY in order, which only encryption prevents.
					p[2] &= 0xe0 | 0x0c
					id := y.ID()
					if r.IntN(4) == 0 {
						id = r.Uint32()
					}
					binary.LittleEndian.PutUint32(p[4:], id)
					if r.IntN(2) == 0 { // acknowledges what was never sent
						binary.LittleEndian.PutUint32(p[16:], 1<<30+r.Uint32N(1<<20))
					}
				}
				stranger.WriteTo(p, netAddr(b.addr))
			}
		})
		exchange(t, x, y, content(1, 2_000_000), content(2, 500_000))
		close(stop)
		wg.Wait()
	})
}
