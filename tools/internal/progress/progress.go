// Package progress shows how far a command is, to people: a bar on a terminal, for what takes longer than a second.
package progress

import (
	"io"
	"math"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Options say what a bar looks like.
type Options struct {
	// What is done: "append", "audit".
	What string
	// Unit names the things that are counted: "blocks". Empty means that they are bytes.
	Unit string
	// Delay is how long nothing is shown. Zero means a second.
	Delay time.Duration
}

// Bar is a bar that appears when it is needed. A nil Bar shows nothing. Its methods may be called from any goroutine.
type Bar struct {
	opts   Options
	screen *screen

	mu   sync.Mutex
	bar  *progressbar.ProgressBar // made by the first Set
	most int64                    // what it shows as all, negative when that is not known
}

// New returns a bar that will be drawn on a terminal.
func New(terminal io.Writer, opts Options) *Bar {
	if opts.Delay == 0 {
		opts.Delay = time.Second
	}
	return &Bar{opts: opts, screen: &screen{w: terminal, from: time.Now().Add(opts.Delay)}}
}

// screen is a terminal that shows nothing before its time.
type screen struct {
	w    io.Writer
	from time.Time
}

func (s *screen) Write(p []byte) (int, error) {
	if s.w == nil || time.Now().Before(s.from) {
		return len(p), nil
	}
	return s.w.Write(p)
}

// redraw is how often a bar is drawn.
const redraw = 100 * time.Millisecond

// Set says how much is done, and how much there is in all: 0 when that is not known.
func (b *Bar) Set(done, total uint64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	most := clamp(total)
	if total == 0 {
		most = -1
	}
	if b.bar == nil {
		b.bar, b.most = b.start(most), most
	}
	if most != b.most {
		b.bar.ChangeMax64(most)
		b.most = most
	}
	// The bar refuses to pass its end, and what it cannot write to the terminal is no failure of the command.
	if n := clamp(done); most < 0 || n <= most {
		_ = b.bar.Set64(n)
	}
}

func clamp(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

func (b *Bar) start(most int64) *progressbar.ProgressBar {
	options := []progressbar.Option{
		progressbar.OptionSetWriter(b.screen),
		progressbar.OptionSetDescription(b.opts.What),
		progressbar.OptionThrottle(redraw),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetSpinnerChangeInterval(0), // or a goroutine draws for ever
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}),
	}
	if b.opts.Unit == "" {
		options = append(options, progressbar.OptionShowBytes(true))
	} else {
		options = append(options, progressbar.OptionShowIts(), progressbar.OptionSetItsString(b.opts.Unit))
	}
	bar := progressbar.NewOptions64(most, options...)
	bar.StartWithoutRender()
	return bar
}

// Clear removes the bar from the terminal for good.
func (b *Bar) Clear() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		_ = b.bar.Clear() // see Set
	}
	b.screen.w = nil
}
