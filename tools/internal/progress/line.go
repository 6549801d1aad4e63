package progress

import (
	"io"
	"sync"
	"time"
)

// Line is a line of text on a terminal that is written anew several times a second. A nil Line shows nothing.
type Line struct {
	terminal io.Writer
	text     func() string
	quit     chan struct{}
	once     sync.Once
	ended    sync.WaitGroup
}

// NewLine shows what text returns, from a delay on, which is a second when it is 0, until Clear. text is called from a
// goroutine of the line.
func NewLine(terminal io.Writer, delay time.Duration, text func() string) *Line {
	if delay == 0 {
		delay = time.Second
	}
	l := &Line{terminal: terminal, text: text, quit: make(chan struct{})}
	l.ended.Go(func() { l.routineDraw(delay) })
	return l
}

// erase returns to the beginning of the line and erases it (ECMA-48: CR, EL).
const erase = "\r\x1b[K"

func (l *Line) routineDraw(delay time.Duration) {
	select {
	case <-time.After(delay):
	case <-l.quit:
		return
	}
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		// What cannot be written to the terminal is no failure of the command.
		_, _ = io.WriteString(l.terminal, erase+l.text())
		select {
		case <-ticker.C:
		case <-l.quit:
			_, _ = io.WriteString(l.terminal, erase)
			return
		}
	}
}

// Clear removes the line from the terminal for good. It may be called more than once.
func (l *Line) Clear() {
	if l == nil {
		return
	}
	l.once.Do(func() { close(l.quit) })
	l.ended.Wait()
}
