package sleep

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// bitsOf reads and sets single bits of pages, one at a time.
type bitsOf struct {
	pages  []byte
	stride int
}

func (b bitsOf) at(area, n int, i uint64) (*byte, byte) {
	p, in := i/uint64(n), i%uint64(n)
	return &b.pages[p*uint64(b.stride)+uint64(area)+in/8], 0x80 >> (in % 8)
}

func (b bitsOf) get(area, n int, i uint64) bool {
	at, bit := b.at(area, n, i)
	return *at&bit != 0
}

func (b bitsOf) set(area, n int, i uint64) {
	at, bit := b.at(area, n, i)
	*at |= bit
}

// mendSlowly is mend by definition: repeat until nothing changes.
func mendSlowly(b bitsOf) (changed []uint64, orphans []bitmap.Run) {
	count := uint64(len(b.pages) / b.stride)
	has := func(i tree.Index) bool {
		return uint64(i) < count*bitmap.FilePageNodes && b.get(dataBits, bitmap.FilePageNodes, uint64(i))
	}
	for again := true; again; {
		again = false
		for i := range count * bitmap.FilePageNodes {
			i := tree.Index(i)
			if parent := i.Parent(); has(i) && has(i.Sibling()) && uint64(parent) < count*bitmap.FilePageNodes && !has(parent) {
				b.set(dataBits, bitmap.FilePageNodes, uint64(parent))
				changed = append(changed, uint64(parent)/bitmap.FilePageNodes)
				again = true
			}
		}
	}
	for n := range count * bitmap.FilePageBlocks {
		if !b.get(0, bitmap.FilePageBlocks, n) || has(tree.LeafIndex(n)) {
			continue
		}
		if k := len(orphans); k > 0 && orphans[k-1].End == n {
			orphans[k-1].End++
		} else {
			orphans = append(orphans, bitmap.Run{Start: n, End: n + 1})
		}
	}
	slices.Sort(changed)
	return slices.Compact(changed), orphans
}

func TestMend(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 60 {
		indexSize := []int{DefaultIndexSize, OldIndexSize}[round%2]
		b := bitsOf{stride: pageBits + indexSize}
		b.pages = make([]byte, (round%5)*b.stride)
		count := uint64(len(b.pages) / b.stride)
		// From nearly empty to nearly full, leaves and parents alike.
		density := rng.Float64()
		for i := range count * bitmap.FilePageNodes {
			if rng.Float64() < density && (i%2 == 0 || rng.IntN(8) == 0) {
				b.set(dataBits, bitmap.FilePageNodes, i)
			}
		}
		for n := range count * bitmap.FilePageBlocks {
			if rng.Float64() < density {
				b.set(0, bitmap.FilePageBlocks, n)
			}
		}
		want := bitsOf{pages: slices.Clone(b.pages), stride: b.stride}
		wantChanged, wantOrphans := mendSlowly(want)
		changed, orphans := mend(b.pages, indexSize)
		if !slices.Equal(b.pages, want.pages) {
			t.Fatalf("round %d: mended bits differ", round)
		}
		if !slices.Equal(changed, wantChanged) {
			t.Errorf("round %d: changed pages %v, want %v", round, changed, wantChanged)
		}
		if !slices.Equal(orphans, wantOrphans) {
			t.Errorf("round %d: %d orphan runs, want %d", round, len(orphans), len(wantOrphans))
		}
		if again, _ := mend(b.pages, indexSize); again != nil {
			t.Errorf("round %d: mending twice changed pages %v", round, again)
		}
	}
}

func TestDepthMask(t *testing.T) {
	all := uint64(0)
	for depth, mask := range depthMask {
		for i := range 64 {
			if got, want := mask>>(63-i)&1 == 1, tree.Index(i).Depth() == depth; got != want {
				t.Errorf("node %d at depth %d: %t", i, depth, got)
			}
		}
		all |= mask
	}
	if bits.OnesCount64(all) != 63 {
		t.Errorf("%d nodes have a depth of at most %d, want 63", bits.OnesCount64(all), wordDepth)
	}
}

func BenchmarkMend(b *testing.B) {
	// A feed of a million blocks.
	m := bitsOf{stride: pageBits + DefaultIndexSize}
	m.pages = make([]byte, 123*m.stride)
	for n := range uint64(1_000_000) {
		m.set(0, bitmap.FilePageBlocks, n)
	}
	for i := range uint64(2_000_000 - 1) {
		m.set(1024, bitmap.FilePageNodes, i)
	}
	b.SetBytes(int64(len(m.pages)))
	b.ReportAllocs()
	for b.Loop() {
		if changed, orphans := mend(m.pages, DefaultIndexSize); len(changed) > 0 && changed[0] > 0 || orphans != nil {
			b.Fatal("mended a complete feed")
		}
	}
}
