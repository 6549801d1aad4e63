package congestion

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The estimator keeps three samples of a window. Its answer was a sample of the
// window, and is at least as good as every sample that is newer than it.
func TestMaxFilter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const window = 100
		f := newMax[int64, int64](window)
		type sample struct{ at, v int64 }
		var all []sample
		now := int64(0)
		for range rapid.IntRange(1, 200).Draw(t, "samples") {
			now += rapid.Int64Range(0, 40).Draw(t, "step")
			v := rapid.Int64Range(0, 1000).Draw(t, "value")
			all = append(all, sample{now, v})
			got := f.update(now, v)
			if got != f.value() {
				t.Fatalf("update returned %d, value is %d", got, f.value())
			}
			i := slices.IndexFunc(all, func(s sample) bool { return s.v == got && now-s.at <= window })
			if i < 0 {
				t.Fatalf("at %d: %d is no sample of the window, all %v", now, got, all)
			}
			if got < v {
				t.Fatalf("at %d: %d, although the latest is %d", now, got, v)
			}
			// The exact maximum of the latest quarter is never missed.
			for _, s := range all {
				if now-s.at <= window/4 && s.v > got {
					t.Fatalf("at %d: %d, although %d was seen at %d", now, got, s.v, s.at)
				}
			}
		}
	})
}

func TestMinFilter(t *testing.T) {
	m := NewMinFilter(100)
	if m.Value() != 0 {
		t.Errorf("at first %d", m.Value())
	}
	for _, tc := range []struct{ at, v, want int64 }{
		{1, 50, 50}, {2, 70, 50}, {30, 60, 50}, {60, 65, 50}, {101, 80, 50}, {102, 80, 60}, {160, 90, 65}, {162, 10, 10}, {900, 99, 99},
	} {
		if got := m.Update(tc.at, tc.v); got != tc.want {
			t.Errorf("at %d, after %d: %d, want %d", tc.at, tc.v, got, tc.want)
		}
	}
}
