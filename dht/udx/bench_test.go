package udx_test

import (
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/cairn-feeds/cairn/dht/udx"
)

// loopback returns two connected streams over UDP sockets.
func loopback(t testing.TB) (a, b *udx.Stream) {
	t.Helper()
	return across(t, systemSocket(t, nil), systemSocket(t, nil))
}

// across connects two streams over two sockets.
func across(t testing.TB, p, q ours) (a, b *udx.Stream) {
	t.Helper()
	var err error
	if a, err = p.mux.NewStream(&udx.StreamOptions{Firewall: allow}); err != nil {
		t.Fatal(err)
	}
	if b, err = q.mux.NewStream(&udx.StreamOptions{Firewall: allow}); err != nil {
		t.Fatal(err)
	}
	if err = a.Connect(p.Socket, udx.Remote{ID: b.ID(), Addr: q.AddrPort()}); err != nil {
		t.Fatal(err)
	}
	if err = b.Connect(q.Socket, udx.Remote{ID: a.ID(), Addr: p.AddrPort()}); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// BenchmarkThroughput moves bytes one way over loopback, through a number of
// streams that share the sockets.
func BenchmarkThroughput(b *testing.B) {
	for _, streams := range []int{1, 16} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			p, q := systemSocket(b, nil), systemSocket(b, nil)
			const piece = 1 << 20
			b.SetBytes(int64(streams * piece))
			b.ReportAllocs()
			var tx, rx []*udx.Stream
			for range streams {
				x, y := across(b, p, q)
				tx, rx = append(tx, x), append(rx, y)
			}
			data, sink := make([]byte, piece), make([]byte, piece*streams)
			for b.Loop() {
				var wg sync.WaitGroup
				for i := range streams {
					wg.Go(func() {
						if _, err := tx[i].Write(data); err != nil {
							b.Error(err)
						}
					})
					wg.Go(func() {
						if _, err := io.ReadFull(rx[i], sink[i*piece:][:piece]); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
			}
		})
	}
}

// BenchmarkPingPong is a byte there and back.
func BenchmarkPingPong(b *testing.B) {
	x, y := loopback(b)
	go func() {
		buf := make([]byte, 1)
		for {
			if _, err := y.Read(buf); err != nil {
				return
			}
			y.Write(buf)
		}
	}()
	buf := make([]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		x.Write(buf)
		if _, err := x.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	x.Destroy()
	<-y.Done()
}

// BenchmarkOpenClose is the life of a stream: open both ends, a byte, close both.
func BenchmarkOpenClose(b *testing.B) {
	p, q := systemSocket(b, nil), systemSocket(b, nil)
	buf := make([]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		x, y := across(b, p, q)
		x.Write(buf)
		x.Close()
		if _, err := y.Read(buf); err != nil {
			b.Fatal(err)
		}
		y.Close()
		<-x.Done()
		<-y.Done()
	}
}
