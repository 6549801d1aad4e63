package bitmap_test

import (
	"iter"
	"math"
	"slices"
	"testing"

	"github.com/cairn-feeds/cairn/bitmap"
	"pgregory.net/rapid"
)

// diffRuns fails with the first run that is not as wanted.
func diffRuns(t rapid.TB, what string, got iter.Seq[bitmap.Run], want []bitmap.Run) {
	i := 0
	for r := range got {
		if i >= len(want) || r != want[i] {
			t.Fatalf("%s: run %d is %v, want %v", what, i, r, want[min(i, len(want)):min(i+1, len(want))])
		}
		i++
	}
	if i != len(want) {
		t.Fatalf("%s: %d runs, want %d, the next being %v", what, i, len(want), want[i])
	}
}

// setModel is a set as a sorted list of disjoint runs that do not touch.
type setModel []bitmap.Run

// minus returns the members outside [start, end), which need not be all.
func (m setModel) minus(start, end uint64) (out setModel) {
	for _, r := range m {
		if r.Start < start {
			out = append(out, bitmap.Run{Start: r.Start, End: min(r.End, start)})
		}
		if r.End > end {
			out = append(out, bitmap.Run{Start: max(r.Start, end), End: r.End})
		}
	}
	return out
}

func (m setModel) within(start, end uint64) (out setModel) {
	for _, r := range m {
		if lo, hi := max(r.Start, start), min(r.End, end); lo < hi {
			out = append(out, bitmap.Run{Start: lo, End: hi})
		}
	}
	return out
}

func (m setModel) plus(start, end uint64) (out setModel) {
	all := append(m.minus(start, end), bitmap.Run{Start: start, End: end})
	slices.SortFunc(all, func(a, b bitmap.Run) int {
		if a.Start < b.Start {
			return -1
		}
		return 1
	})
	for _, r := range all {
		if n := len(out); n > 0 && out[n-1].End == r.Start {
			out[n-1].End = r.End
			continue
		}
		out = append(out, r)
	}
	return out
}

func (m setModel) count() (n uint64) {
	for _, r := range m {
		n += r.Len()
	}
	return n
}

// genBlock draws a block number: near the start, at page ends, and at the edges
// of what JavaScript, signed and unsigned numbers can say.
func genBlock() *rapid.Generator[uint64] {
	return rapid.Custom(func(t *rapid.T) uint64 {
		base := rapid.SampledFrom([]uint64{
			0, 0, 0, 1 << 16, 2 << 16, 3 << 16, 7 << 16, 1 << 20, 1 << 53, 1<<53 + 1<<17, 1 << 63, math.MaxUint64 - 1<<16, math.MaxUint64,
		}).Draw(t, "base")
		off := rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64Range(0, 1<<17)).Draw(t, "off")
		if base > off && rapid.Bool().Draw(t, "below") || base > math.MaxUint64-off {
			return base - off
		}
		return base + off
	})
}

func genRun() *rapid.Generator[bitmap.Run] {
	return rapid.Custom(func(t *rapid.T) bitmap.Run {
		a := genBlock().Draw(t, "start")
		b := genBlock().Draw(t, "end")
		if rapid.Bool().Draw(t, "short") && a < math.MaxUint64-5 {
			b = a + rapid.Uint64Range(0, 5).Draw(t, "length")
		}
		return bitmap.Run{Start: min(a, b), End: max(a, b)}
	})
}

func checkSet(t *rapid.T, s *bitmap.Set, m setModel) {
	diffRuns(t, "Runs", s.Runs(0, math.MaxUint64), m)
	if s.Len() != m.count() {
		t.Fatalf("Len %d, want %d", s.Len(), m.count())
	}
	last, ok := s.Max()
	if ok != (len(m) > 0) || ok && last != m[len(m)-1].End-1 {
		t.Fatalf("Max %d, %v of %v", last, ok, m)
	}
	at := []uint64{genBlock().Draw(t, "at"), genBlock().Draw(t, "at2")}
	for _, r := range m {
		at = append(at, r.Start, r.Start-min(1, r.Start), r.End-1, r.End)
	}
	for _, i := range at {
		checkSetAt(t, s, m, i)
	}
	for range 3 {
		r := genRun().Draw(t, "range")
		want := m.within(r.Start, r.End)
		diffRuns(t, "Runs "+r.String(), s.Runs(r.Start, r.End), want)
		if got := s.Count(r.Start, r.End); got != want.count() {
			t.Fatalf("Count(%v) = %d, want %d", r, got, want.count())
		}
		if got := s.HasRange(r.Start, r.End); got != (want.count() == r.Len()) {
			t.Fatalf("HasRange(%v) = %v", r, got)
		}
	}
}

func checkSetAt(t *rapid.T, s *bitmap.Set, m setModel, i uint64) {
	has := false
	next, prev := uint64(0), uint64(0)
	nextOK, prevOK := false, false
	missing := i
	for _, r := range m {
		if r.Start <= i && i < r.End {
			has, missing = true, r.End
		}
		if r.End > i && !nextOK {
			next, nextOK = max(i, r.Start), true
		}
		if r.Start <= i {
			prev, prevOK = min(i, r.End-1), true
		}
	}
	if s.Has(i) != has {
		t.Fatalf("Has(%d) = %v", i, !has)
	}
	if got, ok := s.NextPresent(i); got != next || ok != nextOK {
		t.Fatalf("NextPresent(%d) = %d, %v, want %d, %v", i, got, ok, next, nextOK)
	}
	if got := s.NextMissing(i); got != missing {
		t.Fatalf("NextMissing(%d) = %d, want %d", i, got, missing)
	}
	if got, ok := s.PrevPresent(i); got != prev || ok != prevOK {
		t.Fatalf("PrevPresent(%d) = %d, %v, want %d, %v", i, got, ok, prev, prevOK)
	}
}

func TestSetModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m := new(bitmap.Set), setModel(nil)
		var kept *bitmap.Set
		var keptModel setModel
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				r := genRun().Draw(t, "run")
				want := r.Len() - m.within(r.Start, r.End).count()
				if r.Len() > 0 {
					m = m.plus(r.Start, r.End)
				}
				if got := s.Add(r.Start, r.End); got != want {
					t.Fatalf("Add(%v) = %d, want %d", r, got, want)
				}
			},
			"remove": func(t *rapid.T) {
				r := genRun().Draw(t, "run")
				want := m.within(r.Start, r.End).count()
				if r.Len() > 0 {
					m = m.minus(r.Start, r.End)
				}
				if got := s.Remove(r.Start, r.End); got != want {
					t.Fatalf("Remove(%v) = %d, want %d", r, got, want)
				}
			},
			"clone": func(*rapid.T) {
				kept, keptModel = s, m
				s = s.Clone()
			},
			"back": func(*rapid.T) {
				if kept != nil {
					kept, s = s, kept
					keptModel, m = m, keptModel
				}
			},
			"clear": func(*rapid.T) {
				s.Clear()
				m = nil
			},
			"": func(t *rapid.T) {
				checkSet(t, s, m)
				if kept != nil {
					checkSet(t, kept, keptModel)
				}
				fresh := bitmap.NewSet(m...)
				if !s.Equal(fresh) || !fresh.Equal(s) {
					t.Fatalf("%v is not equal to %v", s, fresh)
				}
				if size := s.SizeInMemory(); size < 0 || size > 1<<20 {
					t.Fatalf("%d runs take %d bytes", len(m), size)
				}
			},
		})
	})
}

// cutBits yields the runs of a set with cuts at multiples of at.
type cutBits struct {
	s  *bitmap.Set
	at uint64
}

func (c cutBits) Runs(start, end uint64) iter.Seq[bitmap.Run] {
	return func(yield func(bitmap.Run) bool) {
		for r := range c.s.Runs(start, end) {
			for r.Start < r.End {
				to := min(r.End, (r.Start/c.at+1)*c.at)
				if !yield(bitmap.Run{Start: r.Start, End: to}) {
					return
				}
				r.Start = to
			}
		}
	}
}
