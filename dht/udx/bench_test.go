package udx_test

import (
	"io"
	"net"
	"testing"

	"github.com/cairn-feeds/cairn/dht/udx"
)

// loopback returns two connected streams over UDP sockets.
func loopback(t testing.TB) (a, b *udx.Stream) {
	t.Helper()
	var ends [2]*udx.Stream
	var socks [2]*udx.Socket
	for i := range ends {
		m := udx.New(nil)
		t.Cleanup(func() { m.Close() })
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		if socks[i], err = m.Attach(conn, nil); err != nil {
			t.Fatal(err)
		}
		if ends[i], err = m.NewStream(&udx.StreamOptions{ID: uint32(i + 1), Firewall: allow}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range ends {
		if err := ends[i].Connect(socks[i], udx.Remote{ID: uint32(2 - i), Addr: socks[1-i].AddrPort()}); err != nil {
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
	b.Logf("%+v", tx.Stats())
}
