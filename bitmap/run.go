package bitmap

import "fmt"

// Run is a half-open range: Start, Start+1, ... End-1. A run that this package
// yields is never empty.
type Run struct{ Start, End uint64 }

// Len returns the number of members, 0 for a run that ends before it starts.
func (r Run) Len() uint64 {
	if r.End <= r.Start {
		return 0
	}
	return r.End - r.Start
}

// String returns the run as "start..end", the end being excluded.
func (r Run) String() string { return fmt.Sprintf("%d..%d", r.Start, r.End) }
