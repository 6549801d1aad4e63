package static_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/static"
	"github.com/cairn-feeds/cairn/tree"
)

func benchCore(b *testing.B) *static.Core {
	s, err := engine.Open(b.TempDir(), &engine.Options{Sync: engine.SyncNever})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return coreOf(b, s)
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ size, batch int }{{1024, 1000}, {65536, 16}} {
		b.Run(fmt.Sprintf("size=%d/batch=%d", c.size, c.batch), func(b *testing.B) {
			f, err := benchCore(b).Add()
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			blocks := make([][]byte, c.batch)
			for i := range blocks {
				blocks[i] = make([]byte, c.size)
			}
			b.SetBytes(int64(c.size * c.batch))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Append(b.Context(), blocks...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*c.batch)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}

func BenchmarkDeliver(b *testing.B) {
	const count, size, batch = 16384, 1024, 64
	from := benchCore(b)
	blocks := make([][]byte, count)
	for i := range blocks {
		blocks[i] = fmt.Appendf(make([]byte, 0, size), "%01024d", i)
	}
	id := put(b, from, blocks...)
	source := get(b, from, id)
	ds := make([]tree.Delivery, count)
	for i := range ds {
		ds[i] = delivery(b, source, uint64(i))
	}
	b.SetBytes(size * count)
	b.ReportAllocs()
	for b.Loop() {
		s, err := engine.Open("store", &engine.Options{FS: vfs.NewMem(), Sync: engine.SyncNever})
		if err != nil {
			b.Fatal(err)
		}
		c, err := static.Open(s)
		if err != nil {
			b.Fatal(err)
		}
		f, err := c.Get(id)
		if err != nil {
			b.Fatal(err)
		}
		for rest := ds; len(rest) > 0; rest = rest[batch:] {
			if _, err := f.Deliver(b.Context(), rest[:batch]); err != nil {
				b.Fatal(err)
			}
		}
		f.Close()
		c.Close()
		s.Close()
	}
	b.ReportMetric(float64(b.N*count)/b.Elapsed().Seconds(), "blocks/s")
}

func BenchmarkGet(b *testing.B) {
	const count = 100_000
	c := benchCore(b)
	block := make([]byte, 1024)
	blocks := make([][]byte, count)
	for i := range blocks {
		blocks[i] = block
	}
	f := get(b, c, put(b, c, blocks...))
	var buf []byte
	b.SetBytes(1024)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i += 7919 {
		var err error
		if buf, err = f.AppendBlock(buf[:0], i%count); err != nil {
			b.Fatal(err)
		}
	}
}
