package secretstream_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cairn-feeds/cairn/dht/secretstream"
)

// BenchmarkStream sends messages over the loopback interface.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{16, 1024, 16 << 10, 64 << 10, 64<<10 + 5, 1 << 20} {
		for _, stream := range []string{"tcp", "udx"} {
			benchmarkStream(b, stream, size)
		}
	}
}

func benchmarkStream(b *testing.B, stream string, size int) {
	b.Run(fmt.Sprintf("over=%s/size=%d", stream, size), func(b *testing.B) {
		from, to := pair(b, stream, "given")
		message := pattern(size)
		done := make(chan error)
		go func() {
			for {
				if _, err := to.ReadMessage(); err != nil {
					done <- err
					return
				}
			}
		}()
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			if err := from.WriteMessage(message); err != nil {
				b.Fatal(err)
			}
		}
		if err := from.CloseWrite(); err != nil {
			b.Fatal(err)
		}
		if err := <-done; !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	})
}

// BenchmarkPingPong is the latency of small messages.
func BenchmarkPingPong(b *testing.B) {
	near, far := pair(b, "tcp", "given")
	go io.Copy(far, far)
	message, buf := []byte("ping"), make([]byte, 4)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := near.Write(message); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(near, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for handshake := range handshakes {
		b.Run("handshake="+handshake, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				near, far := pair(b, "pipe", handshake)
				for _, c := range []*secretstream.Conn{near, far} {
					if err := c.Handshake(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				near.Destroy()
				far.Destroy()
			}
		})
	}
}
