package parity

// Outcome is how a test ended.
type Outcome uint8

// The outcomes. NotRun is the zero value: what a run says nothing about did not run.
const (
	NotRun Outcome = iota
	Passed
	Skipped
	Failed
)

// String returns the outcome as a phrase that follows a test's name.
func (o Outcome) String() string {
	switch o {
	case Passed:
		return "passed"
	case Skipped:
		return "was skipped"
	case Failed:
		return "failed"
	default:
		return "did not run"
	}
}

// Outcomes holds how the tests of a run ended, by their names as the table writes them: engine.TestFeed/append.
type Outcomes map[string]Outcome

// Add notes an outcome. A test that ran more than once counts by its worst.
func (o Outcomes) Add(test string, outcome Outcome) { o[test] = max(o[test], outcome) }
