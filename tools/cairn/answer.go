package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/cairn-feeds/cairn/tools/internal/progress"
)

// answer is what a command found out. It is encoded as JSON for machines, and writes itself as text for people.
type answer interface {
	text(w io.Writer)
}

// print writes an answer to stdout, in one write.
func (a *app) print(v answer) error {
	var b bytes.Buffer
	if a.json {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return err
		}
	} else {
		v.text(&b)
	}
	if _, err := a.stdout.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// note tells people something that is not the result.
func (a *app) note(format string, args ...any) { fmt.Fprintf(a.stderr, "cairn: "+format+"\n", args...) }

// progress returns a bar for people at a terminal, nil for others.
func (a *app) progress(what, unit string) *progress.Bar {
	if a.json || !isTerminal(a.stderr) {
		return nil
	}
	return progress.New(a.stderr, progress.Options{What: what, Unit: unit})
}

// progressLine shows a text that changes to people at a terminal, nothing to others.
func (a *app) progressLine(text func() string) *progress.Line {
	if a.json || !isTerminal(a.stderr) {
		return nil
	}
	return progress.NewLine(a.stderr, 0, text)
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// table writes rows of cells in columns.
func table(w io.Writer, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	t.Flush() // into memory: it cannot fail
}

// number writes a count with commas between thousands.
func number(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// size writes a number of bytes in the unit that fits.
func size(n uint64) string {
	units := []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	if n < 1000 {
		return fmt.Sprintf("%d bytes", n)
	}
	v := float64(n) / 1000
	for v >= 999.95 && len(units) > 1 {
		v /= 1000
		units = units[1:]
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[0]
}

// plural returns a count with its noun.
func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}
