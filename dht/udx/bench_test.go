package udx_test

import (
	"io"
	"testing"

	"github.com/cairn-feeds/cairn/dht/udx"
)

// loopback returns two connected streams over UDP sockets.
func loopback(t testing.TB) (a, b *udx.Stream) {
	t.Helper()
	var ends [2]*udx.Stream
	var socks [2]ours
	for i := range ends {
		socks[i] = systemSocket(t, nil)
		var err error
		if ends[i], err = socks[i].mux.NewStream(&udx.StreamOptions{ID: uint32(i + 1), Firewall: allow}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range ends {
		if err := ends[i].Connect(socks[i].Socket, udx.Remote{ID: uint32(2 - i), Addr: socks[1-i].AddrPort()}); err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

func BenchmarkLoopback(b *testing.B) {
	tx, rx := loopback(b)
	chunk := make([]byte, 64<<10)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	done := make(chan int64)
	go func() {
		n, err := io.Copy(io.Discard, struct{ io.Reader }{rx})
		if err != nil {
			b.Error(err)
		}
		done <- n
	}()
	sent := int64(0)
	for b.Loop() {
		n, err := tx.Write(chunk)
		if err != nil {
			b.Fatal(err)
		}
		sent += int64(n)
	}
	tx.CloseWrite()
	if got := <-done; got != sent {
		b.Errorf("received %d bytes of %d", got, sent)
	}
}
