package bitmap_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/cairn-feeds/cairn/bitmap"
	"pgregory.net/rapid"
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

func (m *pageModel) runs(start, end uint32) (runs []bitmap.Run) {
	for i := start; i < min(end, bitmap.PageSize); i++ {
		switch {
		case !m[i]:
		case len(runs) > 0 && runs[len(runs)-1].End == uint64(i):
			runs[len(runs)-1].End++
		default:
			runs = append(runs, bitmap.Run{Start: uint64(i), End: uint64(i) + 1})
		}
	}
	return runs
}

func (m *pageModel) count(start, end uint32) (n int) {
	for i := start; i < min(end, bitmap.PageSize); i++ {
		if m[i] {
			n++
		}
	}
	return n
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
	if got, want := p.Count(), m.count(0, bitmap.PageSize); got != want {
		t.Fatalf("Count %d, want %d", got, want)
	}
	if p.Empty() != (p.Count() == 0) || p.Full() != (p.Count() == bitmap.PageSize) {
		t.Fatalf("Empty %v, Full %v with %d offsets", p.Empty(), p.Full(), p.Count())
	}
	runs := m.runs(0, bitmap.PageSize)
	diffRuns(t, "Runs", p.Runs(0, bitmap.PageSize), runs)
	for range 4 {
		start, end := genOffset().Draw(t, "start"), genOffset().Draw(t, "end")
		diffRuns(t, fmt.Sprintf("Runs(%d, %d)", start, end), p.Runs(start, end), m.runs(start, end))
		if got, want := p.CountRange(start, end), m.count(start, end); got != want {
			t.Fatalf("CountRange(%d, %d) = %d, want %d", start, end, got, want)
		}
		checkPageAt(t, p, m, start)
	}
	// Offsets around run ends are where searches go wrong.
	for i, r := range runs {
		if i < 4 || i > len(runs)-4 {
			for _, off := range []uint64{r.Start - 1, r.Start, r.Start + 1, r.End - 1, r.End} {
				checkPageAt(t, p, m, uint32(off))
			}
		}
	}
}

func checkPageAt(t *rapid.T, p *bitmap.Page, m *pageModel, off uint32) {
	has := off < bitmap.PageSize && m[off]
	if p.Has(off) != has {
		t.Fatalf("Has(%d) = %v", off, !has)
	}
	next, missing := off, min(off, bitmap.PageSize)
	for next < bitmap.PageSize && !m[next] {
		next++
	}
	for missing < bitmap.PageSize && m[missing] {
		missing++
	}
	if got, ok := p.NextPresent(off); ok != (next < bitmap.PageSize) || ok && got != next {
		t.Fatalf("NextPresent(%d) = %d, %v, want %d", off, got, ok, next)
	}
	if got := p.NextMissing(off); got != missing {
		t.Fatalf("NextMissing(%d) = %d, want %d", off, got, missing)
	}
	prev := int(min(off, bitmap.PageSize-1))
	for prev >= 0 && !m[prev] {
		prev--
	}
	if got, ok := p.PrevPresent(off); ok != (prev >= 0) || ok && int(got) != prev {
		t.Fatalf("PrevPresent(%d) = %d, %v, want %d", off, got, ok, prev)
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
