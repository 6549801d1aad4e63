package bitmap_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cairn-feeds/cairn/bitmap"
)

// benchBlocks is the range of one Want.
const benchBlocks = 1 << 20

// shapes are the sets that feeds have: complete, complete but for some holes,
// and downloaded at random.
func shapes() []struct {
	name string
	set  *bitmap.Set
} {
	rnd := rand.New(rand.NewPCG(1, 2))
	full := bitmap.NewSet(bitmap.Run{Start: 0, End: benchBlocks})
	holes := full.Clone()
	for range 1000 {
		i := rnd.Uint64N(benchBlocks)
		holes.Remove(i, i+rnd.Uint64N(10))
	}
	sparse, half := new(bitmap.Set), new(bitmap.Set)
	for i := range uint64(benchBlocks) {
		if rnd.IntN(100) == 0 {
			sparse.Add(i, i+1)
		}
		if rnd.IntN(2) == 0 {
			half.Add(i, i+1)
		}
	}
	return []struct {
		name string
		set  *bitmap.Set
	}{{"full", full}, {"holes", holes}, {"sparse", sparse}, {"half", half}}
}

// forShapes runs a benchmark for each shape.
func forShapes(b *testing.B, f func(b *testing.B, s *bitmap.Set)) {
	for _, c := range shapes() {
		b.Run("shape="+c.name, func(b *testing.B) {
			b.ReportAllocs()
			f(b, c.set)
		})
	}
}

func BenchmarkSetHas(b *testing.B) {
	forShapes(b, func(b *testing.B, s *bitmap.Set) {
		i := uint64(0)
		for b.Loop() {
			s.Has(i % benchBlocks)
			i += 7919
		}
	})
}

func BenchmarkSetNextMissing(b *testing.B) {
	forShapes(b, func(b *testing.B, s *bitmap.Set) {
		i := uint64(0)
		for b.Loop() {
			s.NextMissing(i % benchBlocks)
			i += 7919
		}
	})
}

func BenchmarkSetCount(b *testing.B) {
	forShapes(b, func(b *testing.B, s *bitmap.Set) {
		for b.Loop() {
			s.Count(1000, benchBlocks-1000)
		}
	})
}

func BenchmarkSetRuns(b *testing.B) {
	forShapes(b, func(b *testing.B, s *bitmap.Set) {
		n := 0
		for b.Loop() {
			n = 0
			for range s.Runs(0, benchBlocks) {
				n++
			}
		}
		b.ReportMetric(float64(n), "runs")
	})
}

// BenchmarkSetAppend adds one block after the other, as a feed grows.
func BenchmarkSetAppend(b *testing.B) {
	b.ReportAllocs()
	s, i := new(bitmap.Set), uint64(0)
	for b.Loop() {
		s.Add(i, i+1)
		i++
	}
}

// BenchmarkSetAddRun adds runs of 1000 blocks.
func BenchmarkSetAddRun(b *testing.B) {
	b.ReportAllocs()
	s, i := new(bitmap.Set), uint64(0)
	for b.Loop() {
		s.Add(i, i+1000)
		if i += 1001; i > 1<<30 {
			s.Clear()
			i = 0
		}
	}
}

// BenchmarkSetAddRandom fills a range block by block in random order, as a
// download does.
func BenchmarkSetAddRandom(b *testing.B) {
	b.ReportAllocs()
	order := rand.New(rand.NewPCG(1, 2)).Perm(benchBlocks)
	s, n := new(bitmap.Set), 0
	for b.Loop() {
		if n == len(order) {
			s, n = new(bitmap.Set), 0
		}
		i := uint64(order[n])
		s.Add(i, i+1)
		n++
	}
}

func BenchmarkSetClone(b *testing.B) {
	forShapes(b, func(b *testing.B, s *bitmap.Set) {
		for b.Loop() {
			s.Clone()
		}
	})
}

func BenchmarkSetAndNot(b *testing.B) {
	all := shapes()
	for _, c := range all {
		b.Run("shape="+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s := all[3].set.Clone()
				s.AndNot(c.set)
			}
		})
	}
}

func BenchmarkSetNextDifference(b *testing.B) {
	all := shapes()
	for _, c := range all {
		b.Run("shape="+c.name, func(b *testing.B) {
			b.ReportAllocs()
			i := uint64(0)
			for b.Loop() {
				c.set.NextDifference(i%benchBlocks, all[3].set)
				i += 7919
			}
		})
	}
}

// BenchmarkAppendRLE answers a Want of 2^20 blocks: from the set, from its runs,
// from plain bits.
func BenchmarkAppendRLE(b *testing.B) {
	forShapes(b, func(b *testing.B, s *bitmap.Set) {
		enc := s.AppendRLE(nil, 0, benchBlocks)
		bits, err := bitmap.DecodeRLE(nil, enc, benchBlocks/8)
		if err != nil {
			b.Fatal(err)
		}
		dst := make([]byte, 0, 2*len(enc)+100)
		b.Run("from=set", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dst = s.AppendRLE(dst[:0], 0, benchBlocks)
			}
		})
		b.Run("from=runs", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dst = bitmap.AppendRLERuns(dst[:0], s.Runs(0, benchBlocks), 0, benchBlocks)
			}
		})
		b.Run("from=bits", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bits)))
			for b.Loop() {
				dst = bitmap.AppendRLE(dst[:0], bits)
			}
		})
	})
}

func BenchmarkReplaceRLE(b *testing.B) {
	forShapes(b, func(b *testing.B, s *bitmap.Set) {
		enc := s.AppendRLE(nil, 0, benchBlocks)
		o := new(bitmap.Set)
		b.SetBytes(int64(len(enc)))
		for b.Loop() {
			if _, _, err := o.ReplaceRLE(0, enc, bitmap.RLELimits{Length: benchBlocks}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReplaceRLEBomb decodes what makes the most work for its size: a page
// of two blocks from a few bytes each.
func BenchmarkReplaceRLEBomb(b *testing.B) {
	var src []byte
	for range 1 << 16 {
		src = append(src, 2, 0x82, 0xfd, 0xff, 0x01)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(src)))
	o := new(bitmap.Set)
	for b.Loop() {
		if _, _, err := o.ReplaceRLE(0, src, bitmap.RLELimits{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(o.SizeInMemory())/float64(len(src)), "memory/input")
}

func BenchmarkDecodeRLE(b *testing.B) {
	forShapes(b, func(b *testing.B, s *bitmap.Set) {
		enc := s.AppendRLE(nil, 0, benchBlocks)
		var dst []byte
		b.SetBytes(benchBlocks / 8)
		for b.Loop() {
			var err error
			if dst, err = bitmap.DecodeRLE(dst[:0], enc, benchBlocks/8); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPageAppendBlock is what a feed does with its map at each append of a
// block: copy the last page, add the block, encode.
func BenchmarkPageAppendBlock(b *testing.B) {
	for _, holes := range []int{0, 1, 10, 1000} {
		b.Run(fmt.Sprintf("holes=%d", holes), func(b *testing.B) {
			b.ReportAllocs()
			start := bitmap.NewPage()
			start.Add(0, 4000)
			for i := range uint32(holes) {
				start.Remove(4*i, 4*i+1)
			}
			p, enc := start, []byte(nil)
			for b.Loop() {
				next := p.NextMissing(4000)
				if next == bitmap.PageSize {
					p, next = start, 4000
				}
				p = p.Clone()
				p.Add(next, next+1)
				enc, _ = p.AppendBinary(enc[:0])
			}
			b.ReportMetric(float64(len(enc)), "bytes")
		})
	}
}

// pageOf100 returns the page that begins at block 2^18 of each shape.
func forPages(b *testing.B, f func(b *testing.B, p *bitmap.Page)) {
	forShapes(b, func(b *testing.B, s *bitmap.Set) { f(b, s.Page(4)) })
}

func BenchmarkPageAppendBinary(b *testing.B) {
	forPages(b, func(b *testing.B, p *bitmap.Page) {
		var enc []byte
		for b.Loop() {
			enc, _ = p.AppendBinary(enc[:0])
		}
		b.ReportMetric(float64(len(enc)), "bytes")
	})
}

func BenchmarkParsePage(b *testing.B) {
	forPages(b, func(b *testing.B, p *bitmap.Page) {
		enc, _ := p.AppendBinary(nil)
		for b.Loop() {
			if _, err := bitmap.ParsePage(enc); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(p.SizeInMemory()), "memory")
	})
}

// BenchmarkFileAppend appends a block to a feed of 2^20 and makes the pages that
// change.
func BenchmarkFileAppend(b *testing.B) {
	b.ReportAllocs()
	f := bitmap.NewFile(0)
	f.SetBlocks(0, benchBlocks)
	f.SetLeaves(0, benchBlocks)
	f.MarkClean()
	var page []byte
	n, i := 0, uint64(benchBlocks)
	for b.Loop() {
		f.SetBlocks(i, i+1)
		f.SetLeaves(i, i+1)
		for _, p := range f.Dirty() {
			page = f.AppendPage(page[:0], p)
			n++
		}
		f.MarkClean()
		i++
	}
	b.ReportMetric(float64(n)/float64(b.N), "pages/op")
}

func BenchmarkFileAppendPage(b *testing.B) {
	forShapes(b, func(b *testing.B, s *bitmap.Set) {
		f := bitmap.NewFile(0)
		for r := range s.Runs(0, benchBlocks) {
			f.SetBlocks(r.Start, r.End)
			f.SetLeaves(r.Start, r.End)
		}
		var page []byte
		p := uint64(0)
		for b.Loop() {
			page = f.AppendPage(page[:0], p%f.Pages())
			p++
		}
	})
}

func BenchmarkParseFile(b *testing.B) {
	forShapes(b, func(b *testing.B, s *bitmap.Set) {
		f := bitmap.NewFile(0)
		for r := range s.Runs(0, benchBlocks) {
			f.SetBlocks(r.Start, r.End)
			f.SetLeaves(r.Start, r.End)
		}
		pages := appendPages(nil, f)
		b.SetBytes(int64(len(pages)))
		for b.Loop() {
			if _, err := bitmap.ParseFile(pages, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}
