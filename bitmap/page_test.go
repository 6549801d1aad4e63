package bitmap_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/bitmap"
)

// pageModel is a page as a plain list of offsets.
type pageModel [bitmap.PageSize]bool

func (m *pageModel) set(start, end uint32, v bool) (changed int) {
	for i := start; i < min(end, bitmap.PageSize); i++ {
		if m[i] != v {
			m[i] = v
			changed++
		}
	}
	return changed
}

func (m *pageModel) runs() (runs setModel) {
	for i := range uint64(bitmap.PageSize) {
		switch {
		case !m[i]:
		case len(runs) > 0 && runs[len(runs)-1].End == i:
			runs[len(runs)-1].End++
		default:
			runs = append(runs, bitmap.Run{Start: i, End: i + 1})
		}
	}
	return runs
}

// genOffset draws an offset, often one at which representations change: ends of
// words, of the page, and beyond it.
func genOffset() *rapid.Generator[uint32] {
	return rapid.OneOf(
		rapid.SampledFrom([]uint32{0, 1, 62, 63, 64, 65, 127, 128, 4095, 4096, 8191, 8192, 32768, 65471, 65472, 65534, 65535, 65536, 65537, 1 << 31}),
		rapid.Uint32Range(0, bitmap.PageSize),
		rapid.Uint32Range(0, 400),
	)
}

// checkPage compares everything that can be asked of p with the model.
func checkPage(t *rapid.T, p *bitmap.Page, m *pageModel) {
	runs := m.runs()
	if got, want := p.Count(), int(runs.count()); got != want {
		t.Fatalf("Count %d, want %d", got, want)
	}
	if p.Empty() != (p.Count() == 0) || p.Full() != (p.Count() == bitmap.PageSize) {
		t.Fatalf("Empty %v, Full %v with %d offsets", p.Empty(), p.Full(), p.Count())
	}
	diffRuns(t, "Runs", p.Runs(0, bitmap.PageSize), runs)
	for range 3 {
		start, end := genOffset().Draw(t, "start"), genOffset().Draw(t, "end")
		want := runs.within(uint64(start), uint64(end))
		diffRuns(t, fmt.Sprintf("Runs(%d, %d)", start, end), p.Runs(start, end), want)
		if got := p.CountRange(start, end); got != int(want.count()) {
			t.Fatalf("CountRange(%d, %d) = %d, want %d", start, end, got, want.count())
		}
		checkPageAt(t, p, runs, start)
	}
	// Offsets around run ends are where searches go wrong.
	for i, r := range runs {
		if i < 4 || i > len(runs)-4 {
			for _, off := range []uint64{r.Start - 1, r.Start, r.Start + 1, r.End - 1, r.End} {
				checkPageAt(t, p, runs, uint32(off))
			}
		}
	}
}

func checkPageAt(t *rapid.T, p *bitmap.Page, runs setModel, off uint32) {
	has, next, prev := runs.at(uint64(off))
	if p.Has(off) != (has.Len() > 0) {
		t.Fatalf("Has(%d) = %v", off, p.Has(off))
	}
	missing := min(off, bitmap.PageSize)
	if has.Len() > 0 {
		missing = uint32(has.End)
	}
	if got := p.NextMissing(off); got != missing {
		t.Fatalf("NextMissing(%d) = %d, want %d", off, got, missing)
	}
	if got, ok := p.NextPresent(off); ok != next.Is || ok && got != uint32(next.Block) {
		t.Fatalf("NextPresent(%d) = %d, %v, want %v", off, got, ok, next)
	}
	if got, ok := p.PrevPresent(off); ok != prev.Is || ok && got != uint32(prev.Block) {
		t.Fatalf("PrevPresent(%d) = %d, %v, want %v", off, got, ok, prev)
	}
}

func TestPageModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, m := bitmap.NewPage(), new(pageModel)
		var kept *bitmap.Page // a clone that must stay as it was
		var keptBytes []byte
		change := func(t *rapid.T, start, end uint32, add bool) {
			want := m.set(start, end, add)
			got := 0
			if add {
				got = p.Add(start, end)
			} else {
				got = p.Remove(start, end)
			}
			if got != want {
				t.Fatalf("change %d..%d add=%v says %d, want %d", start, end, add, got, want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				change(t, genOffset().Draw(t, "start"), genOffset().Draw(t, "end"), true)
			},
			"remove": func(t *rapid.T) {
				change(t, genOffset().Draw(t, "start"), genOffset().Draw(t, "end"), false)
			},
			"append": func(t *rapid.T) {
				start := p.NextMissing(0)
				change(t, start, start+rapid.Uint32Range(1, 3).Draw(t, "n"), true)
			},
			"scatter": func(t *rapid.T) {
				start, step := genOffset().Draw(t, "start"), rapid.Uint32Range(2, 40).Draw(t, "step")
				length, add := rapid.Uint32Range(1, 3).Draw(t, "length"), rapid.Bool().Draw(t, "add")
				for n := rapid.IntRange(1, 6000).Draw(t, "n"); n > 0 && start < bitmap.PageSize; n-- {
					change(t, start, start+length, add)
					start += step
				}
			},
			"clone": func(*rapid.T) {
				kept = p
				p = p.Clone()
				keptBytes, _ = kept.AppendBinary(nil)
			},
			"": func(t *rapid.T) {
				checkPage(t, p, m)
				enc, err := p.AppendBinary([]byte("x"))
				if err != nil {
					t.Fatal(err)
				}
				if len(enc)-1 > bitmap.MaxPageLen {
					t.Fatalf("encoding of %d bytes, at most %d promised", len(enc)-1, bitmap.MaxPageLen)
				}
				q, err := bitmap.ParsePage(enc[1:])
				if err != nil {
					t.Fatalf("ParsePage: %v", err)
				}
				if !q.Equal(p) || !p.Equal(q) {
					t.Fatalf("decoded %v, want %v", q, p)
				}
				clear(enc)
				checkPage(t, q, m)
				bits := p.AppendBits(nil)
				r, err := bitmap.PageFromBits(bits)
				if err != nil {
					t.Fatal(err)
				}
				// The same set that came about otherwise has the same encoding.
				a, _ := p.AppendBinary(nil)
				b, _ := r.AppendBinary(nil)
				if !bytes.Equal(a, b) {
					t.Fatalf("encodings of equal pages differ: %x, %x", a, b)
				}
				if kept != nil {
					if b, _ := kept.AppendBinary(nil); !bytes.Equal(b, keptBytes) {
						t.Fatal("changing a clone changed the original")
					}
				}
				if p.SizeInMemory() > 3*8192 {
					t.Fatalf("page takes %d bytes", p.SizeInMemory())
				}
			},
		})
	})
}

func TestPageBits(t *testing.T) {
	p := bitmap.NewPage()
	p.Add(0, 9)
	p.Add(65535, 65536)
	b := p.AppendBits(nil)
	if len(b) != 8192 || b[0] != 0xff || b[1] != 0x80 || b[8191] != 0x01 {
		t.Fatalf("bits %x ... %x of %d bytes", b[:2], b[8191], len(b))
	}
	if _, err := bitmap.PageFromBits(b[1:]); !errors.Is(err, bitmap.ErrCorrupt) {
		t.Fatalf("short page: %v", err)
	}
}

// pageEncodings are written in stores: they must stay as they are.
var pageEncodings = []struct {
	runs []bitmap.Run
	hex  string
}{
	{nil, "10"},
	{[]bitmap.Run{{Start: 0, End: 1}}, "1000"},
	{[]bitmap.Run{{Start: 0, End: 2}}, "100100"},
	{[]bitmap.Run{{Start: 0, End: 11}}, "100109"},
	{[]bitmap.Run{{Start: 0, End: 131}}, "10018101"},
	{[]bitmap.Run{{Start: 1, End: 2}, {Start: 3, End: 7}}, "10020102"},
	{[]bitmap.Run{{Start: 63, End: 64}}, "107e"},
	{[]bitmap.Run{{Start: 64, End: 65}}, "108001"},
	{[]bitmap.Run{{Start: 0, End: 65535}}, "1001fdff03"},
	{[]bitmap.Run{{Start: 0, End: 65536}}, "1001feff03"},
	{[]bitmap.Run{{Start: 65535, End: 65536}}, "10feff07"},
	{[]bitmap.Run{{Start: 0, End: 1}, {Start: 65535, End: 65536}}, "1000faff07"},
}

func TestPageEncoding(t *testing.T) {
	for _, c := range pageEncodings {
		p := bitmap.NewPage()
		for _, r := range c.runs {
			p.Add(uint32(r.Start), uint32(r.End))
		}
		b, err := p.AppendBinary(nil)
		if err != nil || fmt.Sprintf("%x", b) != c.hex {
			t.Errorf("%v is written as %x, %v, want %s", p, b, err, c.hex)
		}
	}
	// Every 16th block is the most that is written as runs, in a byte each.
	p := bitmap.NewPage()
	for off := uint32(0); off < bitmap.PageSize; off += 16 {
		p.Add(off, off+1)
	}
	if b, _ := p.AppendBinary(nil); len(b) != 1+4096 || b[0] != 0x10 || b[1] != 0 || b[2] != 14*2 {
		t.Errorf("page of 4096 runs: %x... of %d bytes", b[:3], len(b))
	}
	p.Add(2, 3)
	if b, _ := p.AppendBinary(nil); len(b) != 1+8192 || b[0] != 0x11 || b[1] != 0xa0 || b[2] != 0 || b[3] != 0x80 {
		t.Errorf("page of 4097 runs: %x... of %d bytes", b[:4], len(b))
	}
}

func TestParsePageErrors(t *testing.T) {
	full := bytes.Repeat([]byte{0xff}, 8192)
	for _, c := range []struct {
		name string
		page []byte
	}{
		{"no bytes", nil},
		{"another version", []byte{0x20}},
		{"another form", []byte{0x12}},
		{"ends within a gap", []byte{0x10, 0x80}},
		{"ends before a length", []byte{0x10, 0x01}},
		{"padded gap", []byte{0x10, 0x80, 0x00}},
		{"padded length", []byte{0x10, 0x01, 0x80, 0x00}},
		{"gap of 4 bytes", []byte{0x10, 0x80, 0x80, 0x80, 0x01}},
		{"begins beyond the page", []byte{0x10, 0x80, 0x80, 0x08}},
		{"ends beyond the page", []byte{0x10, 0x01, 0xff, 0xff, 0x03}},
		{"second run beyond the page", []byte{0x10, 0x01, 0xfe, 0xff, 0x03, 0x00}},
		{"4097 runs", append([]byte{0x10}, make([]byte, 4097)...)},
		{"short bits", append([]byte{0x11}, full[1:]...)},
		{"long bits", append([]byte{0x11, 0}, full...)},
		{"bits of a run", append([]byte{0x11}, full...)},
	} {
		p, err := bitmap.ParsePage(c.page)
		if p != nil || !errors.Is(err, bitmap.ErrCorrupt) {
			t.Errorf("%s: %v, %v", c.name, p, err)
		}
	}
}

// TestPageAppendAllocs appends a block to the page of a growing feed: a copy of the
// page is all that is allocated.
func TestPageAppendAllocs(t *testing.T) {
	p, enc := bitmap.NewPage(), make([]byte, 0, 16)
	if n := testing.AllocsPerRun(1000, func() {
		p = p.Clone()
		p.Add(uint32(p.Count()), uint32(p.Count())+1)
		enc, _ = p.AppendBinary(enc[:0])
	}); n != 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}
