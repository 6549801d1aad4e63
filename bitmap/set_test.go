package bitmap_test

import (
	"iter"
	"math"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/bitmap"
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

// without returns the members that are not in o.
func (m setModel) without(o setModel) setModel {
	for _, r := range o {
		m = m.minus(r.Start, r.End)
	}
	return m
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

// optional is a block number, if there Is one.
type optional struct {
	Block uint64
	Is    bool
}

// at returns the run that i is in, the first member from i on and the last up to i.
func (m setModel) at(i uint64) (has bitmap.Run, next, prev optional) {
	for _, r := range m {
		if r.Start <= i && i < r.End {
			has = r
		}
		if r.End > i && !next.Is {
			next = optional{max(i, r.Start), true}
		}
		if r.Start <= i {
			prev = optional{min(i, r.End-1), true}
		}
	}
	return has, next, prev
}

func checkSetAt(t *rapid.T, s *bitmap.Set, m setModel, i uint64) {
	has, next, prev := m.at(i)
	if s.Has(i) != (has.Len() > 0) {
		t.Fatalf("Has(%d) = %v", i, s.Has(i))
	}
	if got, ok := s.NextPresent(i); got != next.Block || ok != next.Is {
		t.Fatalf("NextPresent(%d) = %d, %v, want %v", i, got, ok, next)
	}
	missing := i
	if has.Len() > 0 {
		missing = has.End
	}
	if got := s.NextMissing(i); got != missing {
		t.Fatalf("NextMissing(%d) = %d, want %d", i, got, missing)
	}
	if got, ok := s.PrevPresent(i); got != prev.Block || ok != prev.Is {
		t.Fatalf("PrevPresent(%d) = %d, %v, want %v", i, got, ok, prev)
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
			"page": func(t *rapid.T) {
				number := genBlock().Draw(t, "block") / bitmap.PageSize
				p, start := s.Page(number), number*bitmap.PageSize
				end := start + min(bitmap.PageSize, math.MaxUint64-start)
				if want := int(m.within(start, end).count()); p.Count() != want {
					t.Fatalf("page %d has %d blocks, want %d", number, p.Count(), want)
				}
				from, to := genOffset().Draw(t, "from"), genOffset().Draw(t, "to")
				p.Remove(0, rapid.SampledFrom([]uint32{0, 100, bitmap.PageSize}).Draw(t, "remove"))
				p.Add(from, to)
				s.SetPage(number, p)
				m = m.minus(start, end)
				for r := range p.Runs(0, bitmap.PageSize) {
					if r = (bitmap.Run{Start: start + r.Start, End: start + min(r.End, end-start)}); r.Len() > 0 {
						m = m.plus(r.Start, r.End)
					}
				}
			},
			"combine": func(t *rapid.T) {
				o, om := new(bitmap.Set), setModel(nil)
				for _, r := range rapid.SliceOfN(genRun(), 0, 4).Draw(t, "other") {
					o.Add(r.Start, r.End)
					if r.Len() > 0 {
						om = om.plus(r.Start, r.End)
					}
				}
				if kept != nil && rapid.Bool().Draw(t, "with kept") {
					o, om = kept, keptModel
				}
				i := genBlock().Draw(t, "from")
				want, ok := uint64(0), false
				for _, r := range m.without(om).within(i, math.MaxUint64) {
					want, ok = r.Start, true
					break
				}
				if got, gotOK := s.NextDifference(i, o); got != want || gotOK != ok {
					t.Fatalf("NextDifference(%d) = %d, %v, want %d, %v", i, got, gotOK, want, ok)
				}
				switch rapid.IntRange(0, 2).Draw(t, "op") {
				case 0:
					s.Or(o)
					for _, r := range om {
						m = m.plus(r.Start, r.End)
					}
				case 1:
					s.AndNot(o)
					m = m.without(om)
				case 2:
					s.And(o)
					m = m.without(m.without(om))
				}
				if r := genRun().Draw(t, "later"); o != kept {
					o.Remove(r.Start, r.End) // what s took from o stays
				} else {
					checkSet(t, kept, keptModel)
				}
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

// TestSetOpsDense combines pages that are full of holes, which the runs of the
// model test do not make.
func TestSetOpsDense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const blocks = 3 * bitmap.PageSize
		var bits [2][blocks]bool
		sets := [2]*bitmap.Set{new(bitmap.Set), new(bitmap.Set)}
		for k := range bits {
			for range rapid.IntRange(0, 3).Draw(t, "n") {
				step := rapid.Uint64Range(1, 50).Draw(t, "step")
				start := rapid.Uint64Range(0, blocks).Draw(t, "start")
				end := min(blocks, start+rapid.Uint64Range(0, blocks).Draw(t, "length"))
				for i := start; i < end; i += step {
					bits[k][i] = true
					sets[k].Add(i, i+1)
				}
			}
		}
		var and, andNot, or []bitmap.Run
		add := func(runs []bitmap.Run, i int) []bitmap.Run {
			if n := len(runs); n > 0 && runs[n-1].End == uint64(i) {
				runs[n-1].End++
				return runs
			}
			return append(runs, bitmap.Run{Start: uint64(i), End: uint64(i) + 1})
		}
		for i := range blocks {
			if bits[0][i] && bits[1][i] {
				and = add(and, i)
			}
			if bits[0][i] && !bits[1][i] {
				andNot = add(andNot, i)
			}
			if bits[0][i] || bits[1][i] {
				or = add(or, i)
			}
		}
		a, b := sets[0], sets[1]
		i := rapid.Uint64Range(0, blocks).Draw(t, "from")
		want := setModel(andNot).within(i, blocks)
		got, ok := a.NextDifference(i, b)
		if ok != (len(want) > 0) || ok && got != want[0].Start {
			t.Fatalf("NextDifference(%d) = %d, %v, want %v", i, got, ok, want[:min(1, len(want))])
		}
		for name, c := range map[string]struct {
			op   func(*bitmap.Set, *bitmap.Set)
			want []bitmap.Run
		}{
			"And":    {(*bitmap.Set).And, and},
			"AndNot": {(*bitmap.Set).AndNot, andNot},
			"Or":     {(*bitmap.Set).Or, or},
		} {
			s := a.Clone()
			c.op(s, b)
			diffRuns(t, name, s.Runs(0, blocks), c.want)
			if s.Len() != setModel(c.want).count() {
				t.Fatalf("%s: Len %d, want %d", name, s.Len(), setModel(c.want).count())
			}
			other := bitmap.NewSet(c.want...)
			if !s.Equal(other) {
				t.Fatalf("%s: not equal to the same set made from runs", name)
			}
			s.Add(0, blocks)
			s.Remove(0, blocks)
		}
		for k, s := range sets {
			for i := range uint64(blocks) {
				if s.Has(i) != bits[k][i] {
					t.Fatalf("operations on clones changed block %d of set %d", i, k)
				}
			}
		}
	})
}

func TestSetSelf(t *testing.T) {
	s := bitmap.NewSet(bitmap.Run{Start: 3, End: 9}, bitmap.Run{Start: 1 << 20, End: 1 << 22})
	want := s.String()
	s.And(s)
	s.Or(s)
	if s.String() != want {
		t.Fatalf("%v, want %v", s, want)
	}
	if s.AndNot(s); s.Len() != 0 || s.String() != "" {
		t.Fatalf("%v is left of a set without itself", s)
	}
}

// TestSetHuge adds what a hostile peer can say with a few bytes.
func TestSetHuge(t *testing.T) {
	s := new(bitmap.Set)
	if got := testing.AllocsPerRun(1, func() { s.Add(5, 1<<50+5) }); got > 30 {
		t.Errorf("adding 2^50 blocks: %v allocations", got)
	}
	s.Add(1<<51, math.MaxUint64)
	if s.Len() != 1<<50+math.MaxUint64-1<<51 || s.SizeInMemory() > 1000 {
		t.Errorf("%d members in %d bytes", s.Len(), s.SizeInMemory())
	}
	if s.Has(math.MaxUint64) || s.NextMissing(1<<52) != math.MaxUint64 || s.NextMissing(math.MaxUint64) != math.MaxUint64 {
		t.Error("the last number is a member")
	}
	if _, ok := s.NextPresent(math.MaxUint64); ok {
		t.Error("a member from the last number on")
	}
	if got, ok := s.Max(); !ok || got != math.MaxUint64-1 {
		t.Errorf("Max %d, %v", got, ok)
	}
	if got := s.Remove(0, math.MaxUint64); got != 1<<50+math.MaxUint64-1<<51 || s.Len() != 0 {
		t.Errorf("removed %d, %d are left", got, s.Len())
	}
}

// TestSetConcurrent reads and clones a set from several goroutines and changes the
// clones; it is for the race detector.
func TestSetConcurrent(t *testing.T) {
	s := new(bitmap.Set)
	for i := uint64(0); i < 100_000; i += 3 {
		s.Add(i, i+1)
	}
	for i := uint64(131_072); i < 190_000; i += 100 {
		s.Add(i, i+90)
	}
	want := s.Len()
	var wg sync.WaitGroup
	for k := range uint64(4) {
		wg.Go(func() {
			for i := range uint64(50) {
				c := s.Clone()
				c.Add(i, 300_000+k)
				c.Remove(0, 1000*i)
				if got := s.Count(0, 1<<20); got != want {
					t.Errorf("%d members, want %d", got, want)
				}
				c.AndNot(s)
				if _, ok := c.NextDifference(0, s); !ok {
					t.Error("nothing is left")
				}
			}
		})
	}
	wg.Wait()
}
