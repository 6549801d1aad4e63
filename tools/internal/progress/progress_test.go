package progress_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/tools/internal/progress"
)

func TestBar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		// drawn returns what was drawn since the last call.
		drawn := func() string { defer out.Reset(); return out.String() }
		b := progress.New(&out, progress.Options{What: "audit", Unit: "blocks"})
		b.Set(0, 100)
		time.Sleep(900 * time.Millisecond)
		b.Set(20, 100)
		if s := drawn(); s != "" {
			t.Errorf("shown in the first second: %q", s)
		}
		time.Sleep(200 * time.Millisecond)
		b.Set(50, 100)
		if s := drawn(); !strings.Contains(s, "audit") || !strings.Contains(s, "50%") || !strings.Contains(s, "blocks/s") {
			t.Errorf("after a second: %q", s)
		}
		b.Set(150, 200) // it got longer
		time.Sleep(time.Second)
		b.Set(150, 200)
		if s := drawn(); !strings.Contains(s, "75%") {
			t.Errorf("after growing: %q", s)
		}
		b.Clear()
		if s := drawn(); strings.Trim(s, " \r") != "" || !strings.HasSuffix(s, "\r") {
			t.Errorf("cleared with %q", s)
		}
		b.Set(170, 200)
		if s := drawn(); s != "" {
			t.Errorf("drawn after it was cleared: %q", s)
		}
	})
}

func TestUnknownTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		b := progress.New(&out, progress.Options{What: "append"})
		b.Set(1_000_000, 0)
		time.Sleep(2 * time.Second)
		b.Set(5_000_000, 0)
		if s := out.String(); !strings.Contains(s, "append") || !strings.Contains(s, "MB") {
			t.Errorf("%q", s)
		}
		b.Clear()
	})
}

func TestNil(t *testing.T) {
	var none *progress.Bar
	none.Set(1, 2)
	none.Clear()
	progress.New(nil, progress.Options{What: "nothing"}).Clear()
}
