package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
)

// line is a figure of both sides as text.
type line struct{ work, cairn, synced, reference, ratio string }

// lines returns the figures of a comparison. The ratio says how many times better Cairn is without syncs.
func (c *comparison) lines(r results) []line {
	var lines []line
	for _, f := range c.figures {
		ours, haveOurs := median(r.cairn, f.name)
		theirs, haveTheirs := median(r.reference, f.name)
		synced, haveSynced := median(r.synced, f.name)
		l := line{
			work:      cmp.Or(f.label, c.what),
			cairn:     f.text(ours, haveOurs),
			synced:    f.text(synced, haveSynced),
			reference: f.text(theirs, haveTheirs),
			ratio:     "-",
		}
		better, worse := ours, theirs
		if f.less {
			better, worse = theirs, ours
		}
		if haveOurs && haveTheirs && worse > 0 {
			l.ratio = strconv.FormatFloat(better/worse, 'f', 1, 64)
		}
		lines = append(lines, l)
	}
	return lines
}

// text returns a value with its unit; small ones keep a digit after the point.
func (f *figure) text(v float64, ok bool) string {
	if !ok {
		return "-"
	}
	if v < 100 {
		return strconv.FormatFloat(v, 'f', 1, 64) + f.unit
	}
	return thousands(strconv.FormatFloat(v, 'f', 0, 64)) + f.unit
}

// thousands puts commas into a row of digits.
func thousands(digits string) string {
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return strings.Join(append([]string{digits}, groups...), ",")
}

// table lays the lines out in columns.
func table(lines []line) string {
	if len(lines) == 0 {
		return ""
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "work\tCairn\tCairn, synced\tJavaScript\tratio")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.work, l.cairn, l.synced, l.reference, l.ratio)
	}
	w.Flush() // into memory: it cannot fail
	return b.String()
}
