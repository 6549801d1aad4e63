package wire

import (
	"errors"
	"fmt"
)

// What can be wrong with a stream of frames. After any of these there is no
// way to tell where the next frame begins.
var (
	// ErrFrameSize is a frame whose body is larger than [MaxBody], or whose
	// length is shorter than its own header.
	ErrFrameSize = errors.New("wire: frame is larger than max size")
	// ErrFrameVarint is a varint of more than 8 bytes in a frame's head.
	ErrFrameVarint = errors.New("wire: frame varint is invalid")
)

// What can be wrong with the body of a message. They come in a [*MessageError].
var (
	// ErrMalformed is a body that is not a protobuf message, or a field that is
	// of another wire type than it has to be.
	ErrMalformed = errors.New("malformed")
	// ErrMissing is a required field that is not there.
	ErrMissing = errors.New("missing")
	// ErrNumber is a number over [MaxNumber].
	ErrNumber = errors.New("number over 2^53-1")
	// ErrLength is a key, hash or signature that does not have its length.
	ErrLength = errors.New("wrong length")
	// ErrTooMany is a repeated field with more than [MaxNodes] or
	// [MaxExtensions] values.
	ErrTooMany = errors.New("too many")
)

// MessageError is the error of every Decode: a body that is not a message of
// its frame's type. Hypercore 9 ends the connection on most of them.
type MessageError struct {
	Type  Type   // what the body should have been
	Field string // the name of the field at fault; empty when that is unknown
	Err   error  // ErrMalformed, ErrMissing, ErrNumber, ErrLength or ErrTooMany
}

// Error implements error.
func (e *MessageError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("wire: %v: %v", e.Type, e.Err)
	}
	return fmt.Sprintf("wire: %v: %s: %v", e.Type, e.Field, e.Err)
}

// Unwrap returns Err.
func (e *MessageError) Unwrap() error { return e.Err }
