package protobuf

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed is matched by every error about a message: there is no sense in
// reading it.
var ErrMalformed = errors.New("protobuf: malformed message")

// ErrUTF8 means that text is not valid UTF-8.
var ErrUTF8 = errors.New("protobuf: invalid UTF-8")

// Type is how the value of a field is written.
type Type protowire.Type

// The types that are in use; 3 and 4 are groups, which are skipped.
const (
	Varint  = Type(protowire.VarintType)
	Fixed64 = Type(protowire.Fixed64Type)
	Bytes   = Type(protowire.BytesType)
	Fixed32 = Type(protowire.Fixed32Type)
)

// String returns the name of the type.
func (t Type) String() string {
	switch t {
	case Varint:
		return "varint"
	case Fixed64:
		return "fixed64"
	case Bytes:
		return "bytes"
	case Fixed32:
		return "fixed32"
	}
	return fmt.Sprintf("type %d", int8(t))
}

// SyntaxError reports bytes that are not fields.
type SyntaxError struct {
	Field  int   // number of the field, 0 if that cannot be read
	Offset int   // of the field within the message
	Err    error // io.ErrUnexpectedEOF if the message ends within the field
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%v: field %d at byte %d: %v", ErrMalformed, e.Field, e.Offset, e.Err)
}

// Unwrap returns ErrMalformed and Err.
func (e *SyntaxError) Unwrap() []error { return []error{ErrMalformed, e.Err} }

// TypeError reports a field that is written in another way than it should be.
type TypeError struct {
	Field     int
	Want, Got Type
}

// Error implements error.
func (e *TypeError) Error() string {
	return fmt.Sprintf("%v: field %d is %v, want %v", ErrMalformed, e.Field, e.Got, e.Want)
}

// Unwrap returns ErrMalformed.
func (e *TypeError) Unwrap() error { return ErrMalformed }

// ValueError reports a value that a field cannot have.
type ValueError struct {
	Field int
	Err   error
}

// Error implements error.
func (e *ValueError) Error() string {
	return fmt.Sprintf("%v: field %d: %v", ErrMalformed, e.Field, e.Err)
}

// Unwrap returns ErrMalformed and Err.
func (e *ValueError) Unwrap() []error { return []error{ErrMalformed, e.Err} }

// MissingError reports a required field that is not there.
type MissingError struct{ Field int }

// Error implements error.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%v: required field %d is missing", ErrMalformed, e.Field)
}

// Unwrap returns ErrMalformed.
func (e *MissingError) Unwrap() error { return ErrMalformed }
