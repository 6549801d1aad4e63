package parity

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Row is what became of one name of an original.
type Row struct {
	Line    int      // in the document, from 1
	Section string   // the headings that the row stands under, outermost first, joined with ": "
	Name    string   // the JavaScript name
	Go      []string // identifiers; none when the row is absent
	Tests   []string // tests; none when the row is absent
	Note    string
}

// Absent reports whether nothing offers the name yet.
func (r *Row) Absent() bool { return len(r.Go) == 0 }

// Table is the rows of the document.
type Table []Row

// header is what makes a table of the document one of ours.
var header = []string{"JavaScript", "Go", "Test", "Note"}

// Parse reads the document. The error names the line of a row that is not of the documented form.
func Parse(document io.Reader) (Table, error) {
	var (
		table    Table
		headings []string // by level
		seen     = make(map[[2]string]int)
		inTable  bool
	)
	lines := bufio.NewScanner(document)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if level := len(line) - len(strings.TrimLeft(line, "#")); level > 0 {
			headings = append(headings[:min(level-1, len(headings))], strings.TrimSpace(line[level:]))
		}
		if !strings.HasPrefix(line, "|") {
			inTable = false
			continue
		}
		cells, err := splitCells(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		switch {
		case slices.Equal(cells, header):
			inTable = true
			continue
		case !inTable || isRule(cells):
			continue
		}
		row, err := parseRow(cells)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		row.Line = number
		if len(headings) > 1 {
			row.Section = strings.Join(headings[1:], ": ") // the first one is the title
		}
		key := [2]string{row.Section, row.Name}
		if before, ok := seen[key]; ok {
			return nil, fmt.Errorf("line %d: %s is on line %d already", number, row.Name, before)
		}
		seen[key] = number
		table = append(table, row)
	}
	return table, lines.Err()
}

// splitCells returns the trimmed cells of a table's line. A pipe inside a cell is written \|.
func splitCells(line string) ([]string, error) {
	const escaped = "\x00"
	line = strings.ReplaceAll(line, `\|`, escaped)
	if !strings.HasSuffix(line, "|") || len(line) < 2 {
		return nil, fmt.Errorf("the row does not end with |")
	}
	cells := strings.Split(line[1:len(line)-1], "|")
	for i, c := range cells {
		cells[i] = strings.TrimSpace(strings.ReplaceAll(c, escaped, "|"))
	}
	return cells, nil
}

// isRule reports whether the cells are the line between the header and the rows.
func isRule(cells []string) bool {
	for _, c := range cells {
		if c == "" || strings.Trim(c, "-:") != "" {
			return false
		}
	}
	return true
}

func parseRow(cells []string) (Row, error) {
	if len(cells) != len(header) {
		return Row{}, fmt.Errorf("the row has %d cells, not %d", len(cells), len(header))
	}
	row := Row{Name: strings.Trim(cells[0], "`"), Note: cells[3]}
	if row.Name == "" {
		return Row{}, fmt.Errorf("the row has no JavaScript name")
	}
	if cells[1] == "absent" {
		if cells[2] != "" {
			return Row{}, fmt.Errorf("%s is absent but has a test", row.Name)
		}
		if row.Note == "" {
			return Row{}, fmt.Errorf("%s is absent without a note that says what will bring it", row.Name)
		}
		return row, nil
	}
	var err error
	if row.Go, err = quoted(cells[1]); err != nil {
		return Row{}, fmt.Errorf("%s: the Go cell: %w", row.Name, err)
	}
	if row.Tests, err = quoted(cells[2]); err != nil {
		return Row{}, fmt.Errorf("%s: the test cell: %w", row.Name, err)
	}
	return row, nil
}

// quoted returns the words of a cell like `a`, `b`.
func quoted(cell string) ([]string, error) {
	var words []string
	for part := range strings.SplitSeq(cell, ",") {
		part = strings.TrimSpace(part)
		word := strings.TrimSuffix(strings.TrimPrefix(part, "`"), "`")
		if len(part) != len(word)+2 || word == "" || strings.ContainsAny(word, "` ") {
			return nil, fmt.Errorf("%q is not a list of names in backticks", cell)
		}
		words = append(words, word)
	}
	return words, nil
}
