package replicate_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/replicate"
)

// tcpPair returns the ends of a connection over the loopback.
func tcpPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// BenchmarkReplicate moves a feed from a store in one directory to one in another,
// over TCP: one operation is a block. The time is from connecting until the last
// block is stored.
func BenchmarkReplicate(b *testing.B) {
	for _, c := range []struct {
		size, count int
		sync        engine.SyncPolicy
	}{
		{1024, 100_000, engine.SyncNever},
		{1024, 100_000, engine.SyncAlways},
		{65536, 4_000, engine.SyncNever},
		{65536, 4_000, engine.SyncAlways},
	} {
		b.Run(fmt.Sprintf("size=%d/sync=%v", c.size, c.sync), func(b *testing.B) {
			open := func(sync engine.SyncPolicy) *engine.Store {
				s, err := engine.Open(b.TempDir(), &engine.Options{Sync: sync})
				if err != nil {
					b.Fatal(err)
				}
				return s
			}
			from := open(engine.SyncNever)
			defer from.Close()
			a := createFeed(b, from, c.count, c.size)
			if err := from.Sync(context.Background()); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			b.ResetTimer()
			var spent time.Duration
			rounds := 0
			for n := 0; n < b.N; n += c.count {
				b.StopTimer()
				to := open(c.sync)
				f := openFeed(b, to, a, false)
				ha, hb := replicate.NewHost(nil, nil), replicate.NewHost(nil, nil)
				b.StartTimer()
				start := time.Now()
				ca, cb := tcpPair(b)
				sa, sb := ha.Start(context.Background(), ca, true), hb.Start(context.Background(), cb, false)
				add(b, sa, a)
				add(b, sb, f)
				if err := sb.Wait(); err != nil {
					b.Fatal(err)
				}
				spent += time.Since(start)
				rounds++
				b.StopTimer()
				if f.Downloaded(0, 0) != uint64(c.count) {
					b.Fatalf("%d of %d blocks", f.Downloaded(0, 0), c.count)
				}
				sa.Wait()
				ha.Close()
				hb.Close()
				f.Close()
				to.Close()
				b.StartTimer()
			}
			blocks := float64(rounds * c.count)
			b.ReportMetric(blocks/spent.Seconds(), "blocks/s")
			b.ReportMetric(blocks*float64(c.size)/spent.Seconds()/1e6, "mb/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
