package progress_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/tools/internal/progress"
)

// A line appears after its delay, is drawn again and again, and leaves nothing behind.
func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var terminal bytes.Buffer
		calls := 0
		l := progress.NewLine(&terminal, time.Second, func() string { calls++; return fmt.Sprint("text ", calls) })
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if terminal.Len() > 0 {
			t.Errorf("%q before its time", &terminal)
		}
		time.Sleep(350 * time.Millisecond)
		l.Clear()
		l.Clear()
		if got := terminal.String(); !strings.HasSuffix(got, "\r\x1b[Ktext 4\r\x1b[K") || calls != 4 {
			t.Errorf("%d calls, %q", calls, got)
		}
	})
}

// What takes less than the delay shows nothing.
func TestLineShort(t *testing.T) {
	var terminal bytes.Buffer
	progress.NewLine(&terminal, 0, func() string { return "text" }).Clear()
	if terminal.Len() > 0 {
		t.Errorf("%q", &terminal)
	}
	var none *progress.Line
	none.Clear()
}
