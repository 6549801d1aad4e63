package engine_test

import (
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"testing"

	"github.com/cairn-feeds/cairn/engine"
)

func benchStore(b *testing.B) *engine.Store {
	s, err := engine.Open(b.TempDir(), &engine.Options{Sync: engine.SyncNever})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func randomBlocks(n, size int) [][]byte {
	data := make([]byte, n*size)
	rand.Read(data)
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = data[i*size : (i+1)*size]
	}
	return blocks
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ size, batch int }{{1024, 1}, {1024, 1000}, {65536, 16}} {
		b.Run(fmt.Sprintf("size=%d/batch=%d", c.size, c.batch), func(b *testing.B) {
			s := benchStore(b)
			f := createFeed(b, s, nil)
			blocks := randomBlocks(c.batch, c.size)
			b.SetBytes(int64(c.size * c.batch))
			b.ReportAllocs()
			for b.Loop() {
				mustAppend(b, f, blocks...)
			}
			b.ReportMetric(float64(b.N*c.batch)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}

func BenchmarkGet(b *testing.B) {
	const count = 100_000
	for _, batch := range []int{1000, 1} {
		b.Run(fmt.Sprintf("size=1024/appended=%d", batch), func(b *testing.B) {
			s := benchStore(b)
			f := createFeed(b, s, nil)
			blocks := randomBlocks(1000, 1024)
			for i := 0; i < count; i += batch {
				mustAppend(b, f, blocks[i%1000:i%1000+batch]...)
			}
			b.SetBytes(1024)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := f.Get(b.Context(), mrand.Uint64N(count), nil); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "gets/s")
		})
	}
}
