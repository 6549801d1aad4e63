package compact

import (
	"errors"
	"fmt"
)

// Reasons for which a [Decoder] stops, found in a [*DecodeError] with errors.Is.
var (
	// ErrOutOfBounds means that the input ends before the value does.
	ErrOutOfBounds = errors.New("out of bounds")
	// ErrTooBig means that a uint is above MaxUint.
	ErrTooBig = errors.New("uint must be between 0 and 9007199254740991")
	// ErrArrayTooBig means that an array announces more than MaxArray elements.
	ErrArrayTooBig = errors.New("array is too big")
	// ErrFamily means that the family byte of an ip address is neither 4 nor 6.
	ErrFamily = errors.New("unknown address family")
)

// DecodeError is the error of a [Decoder]: which value could not be read, where it
// begins, and why.
type DecodeError struct {
	Type   string // the value, as it is called in the package comment
	Offset int    // of the value's first byte in the decoder's input
	Err    error  // one of the reasons above
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("compact: %s at byte %d: %v", e.Type, e.Offset, e.Err)
}

func (e *DecodeError) Unwrap() error { return e.Err }
