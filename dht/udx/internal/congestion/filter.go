package congestion

// best keeps the best value of a sliding window, by the three-sample estimator
// of Kathleen Nichols that Linux uses: constant space, and an answer that is at
// most a part of the window older than the exact one. T is the position on the
// window's axis, a time or a round count.
type best[T, V int64 | uint64 | float64] struct {
	window T
	better func(a, b V) bool // a replaces b; also true when they are equal
	s      [3]sample[T, V]
	filled bool
}

type sample[T, V any] struct {
	at T
	v  V
}

func newMax[T, V int64 | uint64 | float64](window T) best[T, V] {
	return best[T, V]{window: window, better: func(a, b V) bool { return a >= b }}
}

func newMin[T, V int64 | uint64 | float64](window T) best[T, V] {
	return best[T, V]{window: window, better: func(a, b V) bool { return a <= b }}
}

// value is the best one in the window, zero before the first.
func (f *best[T, V]) value() V { return f.s[0].v }

// update adds v at the position at, which never decreases, and returns the best.
func (f *best[T, V]) update(at T, v V) V {
	n := sample[T, V]{at, v}
	if !f.filled || f.better(v, f.s[0].v) || at-f.s[2].at > f.window {
		f.filled = true
		f.s = [3]sample[T, V]{n, n, n}
		return v
	}
	if f.better(v, f.s[1].v) {
		f.s[1], f.s[2] = n, n
	} else if f.better(v, f.s[2].v) {
		f.s[2] = n
	}

	// Age: the best leaves the window, the runner-ups move up; while it stays,
	// see to it that the runner-ups are not all from its own quarter.
	age := at - f.s[0].at
	switch {
	case age > f.window:
		f.s[0], f.s[1], f.s[2] = f.s[1], f.s[2], n
		if at-f.s[0].at > f.window {
			f.s[0], f.s[1] = f.s[1], f.s[2]
		}
	case f.s[1].at == f.s[0].at && age > f.window/4:
		f.s[1], f.s[2] = n, n
	case f.s[2].at == f.s[1].at && age > f.window/2:
		f.s[2] = n
	}
	return f.s[0].v
}

// MinFilter is the lowest value of a sliding window of time; instants and values
// are in nanoseconds. Its zero value is not usable, see NewMinFilter.
type MinFilter struct{ f best[int64, int64] }

// NewMinFilter returns a filter over the last window nanoseconds.
func NewMinFilter(window int64) MinFilter { return MinFilter{newMin[int64, int64](window)} }

// Update adds v, seen at now, and returns the lowest value of the window.
func (m *MinFilter) Update(now, v int64) int64 { return m.f.update(now, v) }

// Value is the lowest value seen, 0 before the first.
func (m *MinFilter) Value() int64 { return m.f.value() }
