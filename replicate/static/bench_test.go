package static_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/cairn-feeds/cairn/replicate/static"
)

// BenchmarkReplicate sends feeds from one store in memory to another over loopback TCP.
func BenchmarkReplicate(b *testing.B) {
	for _, c := range []struct{ size, count int }{{1024, 10_000}, {65536, 500}} {
		for _, requests := range []int{20, 100} {
			b.Run(fmt.Sprintf("size=%d/requests=%d", c.size, requests), func(b *testing.B) {
				blocks := make([][]byte, c.count)
				for i := range blocks {
					blocks[i] = fmt.Appendf(nil, "%0*d", c.size, i)
				}
				from := newNode(b, nil)
				f := from.add(b, blocks...)
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				go func() {
					for {
						conn, err := l.Accept()
						if err != nil {
							return
						}
						go from.host.Serve(b.Context(), conn)
					}
				}()
				b.SetBytes(int64(c.size * c.count))
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					to := newNode(b, &static.Options{MaxRequests: requests})
					g := to.get(b, idOf(b, f))
					conn, err := net.Dial("tcp", l.Addr().String())
					if err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
					go to.host.Serve(b.Context(), conn)
					waitFor(b, g, g.Complete)
					b.StopTimer()
					to.host.Close()
					b.StartTimer()
				}
				b.ReportMetric(float64(b.N*c.count)/b.Elapsed().Seconds(), "blocks/s")
			})
		}
	}
}
