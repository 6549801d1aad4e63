package parity

import "fmt"

// Problem is a row that promises something that is not there.
type Problem struct {
	Row    Row
	Reason string
}

// String returns the problem as one line.
func (p Problem) String() string {
	return fmt.Sprintf("line %d: %s: %s: %s", p.Row.Line, p.Row.Section, p.Row.Name, p.Reason)
}

// Summary counts the rows of a table.
type Summary struct {
	Rows     int
	Shown    int // by tests that exist, and that passed if there was a run
	Skipped  int // rows that would be shown, had a test not been skipped
	Absent   int // rows that nothing offers yet
	Problems []Problem
}

// String returns the counts in one line.
func (s Summary) String() string {
	line := fmt.Sprintf("parity: %d rows, %d shown by tests, %d absent", s.Rows, s.Shown, s.Absent)
	if s.Skipped > 0 {
		line += fmt.Sprintf(", %d not shown here because a test was skipped", s.Skipped)
	}
	if n := len(s.Problems); n > 0 {
		line += fmt.Sprintf(", %d wrong", n)
	}
	return line
}

// Check looks for each row's identifiers and tests in the source. Where outcomes is not nil, the row's tests must also have
// run and passed; with strict, being skipped is no excuse.
func (t Table) Check(source *Source, outcomes Outcomes, strict bool) Summary {
	s := Summary{Rows: len(t)}
	for _, row := range t {
		if row.Absent() {
			s.Absent++
			continue
		}
		reason, skipped := row.check(source, outcomes, strict)
		switch {
		case reason != "":
			s.Problems = append(s.Problems, Problem{row, reason})
		case skipped:
			s.Skipped++
		default:
			s.Shown++
		}
	}
	return s
}

// check returns what is wrong with a row, or whether one of its tests was skipped.
func (r *Row) check(source *Source, outcomes Outcomes, strict bool) (reason string, skipped bool) {
	for _, identifier := range r.Go {
		if err := source.Identifier(identifier); err != nil {
			return err.Error(), false
		}
	}
	for _, test := range r.Tests {
		if err := source.Test(test); err != nil {
			return err.Error(), false
		}
	}
	if outcomes == nil {
		return "", false
	}
	for _, test := range r.Tests {
		switch outcome := outcomes[test]; {
		case outcome == Passed:
		case outcome == Skipped && !strict:
			skipped = true
		default:
			return fmt.Sprintf("%s %s", test, outcome), false
		}
	}
	return "", skipped
}
