package bitmap_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/bitmap"
)

// fileModel is a bitfield file as bits, from which the index is made anew each
// time.
type fileModel struct {
	indexSize     int
	blocks, nodes modelBits
	pages         uint64
	written       [][]byte // what the file on disk has
}

// modelBits are bits, the most significant of a byte first.
type modelBits []byte

func (m modelBits) has(i uint64) bool {
	return i/8 < uint64(len(m)) && m[i/8]&(0x80>>(i%8)) != 0
}

func (m *modelBits) set(i uint64) {
	if n := int(i/8) + 1; n > len(*m) {
		*m = append(*m, make([]byte, n-len(*m))...)
	}
	(*m)[i/8] |= 0x80 >> (i % 8)
}

func (m modelBits) remove(i uint64) {
	if m.has(i) {
		m[i/8] &^= 0x80 >> (i % 8)
	}
}

// padded returns n bytes.
func (m modelBits) padded(n int) []byte { return append(m[:len(m):len(m)], make([]byte, n)...)[:n] }

func depth(i uint64) (d int) {
	for ; i&1 != 0; i >>= 1 {
		d++
	}
	return d
}

// nodeAt returns the node of a depth and offset.
func nodeAt(d int, offset uint64) uint64 { return (1+2*offset)<<d - 1 }

func offsetOf(i uint64) uint64 { return (i + 1) >> depth(i) >> 1 }

// setNode is the rule as it stands: set the bit; while the sibling is set, set the
// parent and go up; stop when it was set.
func (m *fileModel) setNode(i uint64) {
	if m.nodes.has(i) {
		return
	}
	m.setNodeBit(i)
	for m.nodes.has(nodeAt(depth(i), offsetOf(i)^1)) {
		i = nodeAt(depth(i)+1, offsetOf(i)/2)
		if m.nodes.has(i) {
			return
		}
		m.setNodeBit(i)
	}
}

func (m *fileModel) setNodeBit(i uint64) {
	m.nodes.set(i)
	m.pages = max(m.pages, i/16384+1)
}

func (m *fileModel) setBlock(i uint64) {
	m.blocks.set(i)
	m.pages = max(m.pages, i/8192+1)
}

func (m *fileModel) truncate(length uint64) {
	for b := length; b < 8*uint64(len(m.blocks)); b++ {
		m.blocks.remove(b)
	}
	for i := range 8 * uint64(len(m.nodes)) {
		if lastLeaf := nodeAt(0, (offsetOf(i)+1)<<depth(i)-1); lastLeaf >= 2*length {
			m.nodes.remove(i)
		}
	}
}

// image returns all pages.
func (m *fileModel) image() [][]byte {
	size := m.indexSize
	index := make([]byte, size*int(m.pages))
	data, tree := m.blocks.padded(1024*int(m.pages)), m.nodes.padded(2048*int(m.pages))
	two := func(full, empty bool) byte {
		switch {
		case full:
			return 3
		case empty:
			return 0
		}
		return 1
	}
	padded := m.blocks.padded(2*len(index) + 4)
	for k := 0; k < len(index); k += 2 {
		for _, v := range padded[2*k : 2*k+4] {
			index[k] = index[k]<<2 | two(v == 0xff, v == 0)
		}
	}
	for d := 1; nodeAt(d, 0) < uint64(len(index)); d++ {
		for o := uint64(0); nodeAt(d, o) < uint64(len(index)); o++ {
			var v byte
			for _, child := range []uint64{nodeAt(d-1, 2*o), nodeAt(d-1, 2*o+1)} {
				c := byte(0)
				if child < uint64(len(index)) {
					c = index[child]
				}
				v = v<<2 | two(c>>4 == 15, c>>4 == 0)
				v = v<<2 | two(c&15 == 15, c&15 == 0)
			}
			index[nodeAt(d, o)] = v
		}
	}
	pages := make([][]byte, m.pages)
	for p := range pages {
		pages[p] = slices.Concat(data[1024*p:][:1024], tree[2048*p:][:2048], index[size*p:][:size])
	}
	return pages
}

// genFileBlock draws a block near the places where bytes, index leaves, quarters
// and pages end.
func genFileBlock() *rapid.Generator[uint64] {
	return rapid.Custom(func(t *rapid.T) uint64 {
		page := rapid.OneOf(rapid.Uint64Range(0, 2), rapid.Uint64Range(0, 11)).Draw(t, "page")
		in := rapid.SampledFrom([]uint64{0, 8, 32, 64, 2048, 4096, 6144, 8160, 8191}).Draw(t, "in")
		return page*8192 + in + rapid.Uint64Range(0, 40).Draw(t, "off")
	})
}

func TestFileModel(t *testing.T) {
	for _, size := range []int{512, 256, 2} {
		t.Run(fmt.Sprintf("index=%d", size), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { testFileModel(t, size) })
		})
	}
}

func testFileModel(t *rapid.T, indexSize int) {
	f := bitmap.NewFile(indexSize)
	m := &fileModel{indexSize: indexSize}
	genRange := func(t *rapid.T) (start, end uint64) {
		start = genFileBlock().Draw(t, "start")
		end = start + rapid.SampledFrom([]uint64{0, 1, 8, 31, 32, 2048, 8192, 20000}).Draw(t, "length")
		return start, end
	}
	t.Repeat(map[string]func(*rapid.T){
		"set": func(t *rapid.T) {
			start, end := genRange(t)
			want := uint64(0)
			for b := start; b < end; b++ {
				if !m.blocks.has(b) {
					m.setBlock(b)
					want++
				}
			}
			if got := f.SetBlocks(start, end); got != want {
				t.Fatalf("SetBlocks(%d, %d) = %d, want %d", start, end, got, want)
			}
		},
		"clear": func(t *rapid.T) {
			start, end := genRange(t)
			want := uint64(0)
			for b := start; b < end; b++ {
				if m.blocks.has(b) {
					m.blocks.remove(b)
					want++
				}
			}
			if got := f.ClearBlocks(start, end); got != want {
				t.Fatalf("ClearBlocks(%d, %d) = %d, want %d", start, end, got, want)
			}
		},
		"append": func(t *rapid.T) {
			start, end := genRange(t)
			for b := start; b < end; b++ {
				m.setBlock(b)
				m.setNode(2 * b)
			}
			f.SetBlocks(start, end)
			f.SetLeaves(start, end)
		},
		"node": func(t *rapid.T) {
			i := genFileBlock().Draw(t, "node") * 2
			for range rapid.IntRange(0, 6).Draw(t, "depth") {
				i = nodeAt(depth(i)+1, offsetOf(i)/2)
			}
			want := !m.nodes.has(i)
			m.setNode(i)
			if got := f.SetNode(i); got != want {
				t.Fatalf("SetNode(%d) = %v", i, got)
			}
		},
		"truncate": func(t *rapid.T) {
			length := genFileBlock().Draw(t, "length")
			m.truncate(length)
			f.Truncate(length)
		},
		"write": func(t *rapid.T) {
			for _, p := range f.Dirty() {
				for uint64(len(m.written)) <= p {
					m.written = append(m.written, make([]byte, f.PageLen()))
				}
				m.written[p] = f.AppendPage(nil, p)
			}
			f.MarkClean()
			if len(f.Dirty()) != 0 {
				t.Fatal("dirty after MarkClean")
			}
		},
		"reopen": func(t *rapid.T) {
			if len(f.Dirty()) > 0 {
				t.Skip()
			}
			var err error
			if f, err = bitmap.ParseFile(slices.Concat(m.written...), indexSize); err != nil {
				t.Fatal(err)
			}
			if dirty := f.Dirty(); len(dirty) > 0 {
				t.Fatalf("pages %v are dirty after reading", dirty)
			}
			// Pages of zeros at the end may never have been written.
			m.pages = f.Pages()
		},
		"": func(t *rapid.T) {
			if f.Pages() != m.pages {
				t.Fatalf("%d pages, want %d", f.Pages(), m.pages)
			}
			dirty := f.Dirty()
			for p, want := range m.image() {
				got := f.AppendPage([]byte("x"), uint64(p))[1:]
				if !bytes.Equal(got, want) {
					i := firstDiff(got, want)
					t.Fatalf("page %d of %d differs at byte %d: %#x, want %#x", p, m.pages, i, got[i], want[i])
				}
				have := make([]byte, f.PageLen())
				if p < len(m.written) {
					have = m.written[p]
				}
				if !slices.Contains(dirty, uint64(p)) && !bytes.Equal(have, want) {
					t.Fatalf("page %d of %d changed at byte %d and is not dirty", p, m.pages, firstDiff(have, want))
				}
			}
		},
	})
}

// TestFileDirty says how little an append writes.
func TestFileDirty(t *testing.T) {
	f := bitmap.NewFile(0)
	f.SetBlocks(0, 1<<20)
	f.SetLeaves(0, 1<<20)
	if got := len(f.Dirty()); got != 128 {
		t.Fatalf("%d dirty pages after 2^20 blocks, want 128", got)
	}
	written := 0
	for b := uint64(1 << 20); b < 1<<20+1<<14; b++ {
		f.MarkClean()
		f.SetBlocks(b, b+1)
		f.SetLeaves(b, b+1)
		written += len(f.Dirty())
	}
	if limit := 1<<14 + 100; written > limit {
		t.Errorf("%d pages written for 2^14 appends, want at most %d", written, limit)
	}
	f.MarkClean()
	if f.SetBlocks(0, 1<<20) != 0 || f.SetNode(0) || f.ClearBlocks(1<<22, 1<<50) != 0 || len(f.Dirty()) != 0 {
		t.Errorf("changes of nothing made pages %v dirty", f.Dirty())
	}
}

func TestFileHuge(t *testing.T) {
	f := bitmap.NewFile(0)
	f.SetBlocks(0, 1)
	f.SetBlocks(1<<52, 1<<52+3)
	f.SetNode(1<<53 + 1)
	if n := len(f.Dirty()); n > 64 {
		t.Errorf("%d dirty pages for two", n)
	}
	if f.SetBlocks(1<<60, 1<<61) != 0 || f.SetNode(1<<60) {
		t.Error("set what no feed has")
	}
	f.SetLeaves(1<<53-1, 1<<63)
	f.SetBlocks(1<<53-1, 1<<63)
	if want := uint64(1 << 40); f.Pages() != want {
		t.Fatalf("%d pages, want %d", f.Pages(), want)
	}
	for _, p := range f.Dirty() {
		f.AppendPage(nil, p)
	}
	if !f.HasBlock(1<<53-1) || f.HasBlock(1<<53) || f.CountBlocks(0, 1<<63) != 5 {
		t.Errorf("blocks %v", f.Blocks())
	}
	f.Truncate(2)
	if f.Blocks().String() != "0..1" || f.Nodes().Len() != 0 {
		t.Errorf("after Truncate: blocks %v, nodes %v", f.Blocks(), f.Nodes())
	}
}

func TestIndexSize(t *testing.T) {
	for _, size := range []int{-1, -512, 3, 500, 65536, 1 << 30} {
		if _, err := bitmap.ParseFile(nil, size); !errors.Is(err, bitmap.ErrCorrupt) {
			t.Errorf("ParseFile with index of %d bytes: %v", size, err)
		}
	}
	f, err := bitmap.ParseFile(nil, 0)
	if err != nil || f.Pages() != 0 || f.PageLen() != 3584 {
		t.Errorf("ParseFile of nothing: %d pages of %d bytes, %v", f.Pages(), f.PageLen(), err)
	}
	defer func() {
		if recover() == nil {
			t.Error("NewFile(3) did not panic")
		}
	}()
	bitmap.NewFile(3)
}

// TestFileView makes pages from runs that are cut everywhere, as a store with pages
// of its own yields them.
func TestFileView(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := bitmap.NewFile(0)
		for range rapid.IntRange(0, 6).Draw(t, "n") {
			start := genFileBlock().Draw(t, "start")
			end := start + rapid.Uint64Range(0, 30000).Draw(t, "length")
			f.SetBlocks(start, end)
			f.SetLeaves(start, end)
		}
		cut := rapid.Uint64Range(1, 5000).Draw(t, "cut")
		last, _ := f.Blocks().Max()
		lastNode, _ := f.Nodes().Max()
		v := bitmap.FileView{
			Blocks: cutBits{f.Blocks(), cut},
			Nodes:  cutBits{f.Nodes(), cut},
			Pages:  bitmap.FilePages(last+1, lastNode+1),
		}
		if f.Blocks().Len() == 0 {
			v.Pages = 0
		}
		if v.Pages != f.Pages() {
			t.Fatalf("FilePages(%d, %d) = %d, want %d", last+1, lastNode+1, v.Pages, f.Pages())
		}
		for p := range v.Pages + 1 {
			if got, want := v.AppendPage(nil, p), f.AppendPage(nil, p); !bytes.Equal(got, want) {
				t.Fatalf("page %d differs at byte %d", p, firstDiff(got, want))
			}
		}
	})
}
