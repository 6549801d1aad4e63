package codec

import (
	"errors"
	"fmt"
)

// What can be wrong with a value or its bytes, beside what encoding/json and the
// msgpack library report themselves.
var (
	// ErrType means that an encoding cannot take a value of that Go type.
	ErrType = errors.New("codec: unsupported type")
	// ErrUTF8 means that text is not valid UTF-8.
	ErrUTF8 = errors.New("codec: invalid UTF-8")
	// ErrTruncated means that bytes end within a value.
	ErrTruncated = errors.New("codec: truncated")
	// ErrTrailing means that there are more bytes than the value has.
	ErrTrailing = errors.New("codec: trailing bytes")
	// ErrTooDeep means that a value is nested more than MaxDepth levels.
	ErrTooDeep = errors.New("codec: nested too deeply")
	// ErrInvalid means that bytes are not of the encoding at all.
	ErrInvalid = errors.New("codec: invalid")
	// ErrUnknownEncoding is returned by ByName.
	ErrUnknownEncoding = errors.New("codec: unknown encoding")
)

// EncodeError is the error of Append.
type EncodeError struct {
	Encoding string // "binary", "utf-8", "json" or "msgpack"
	Err      error
}

// Error implements error.
func (e *EncodeError) Error() string { return fmt.Sprintf("encode %s: %v", e.Encoding, e.Err) }

// Unwrap returns Err.
func (e *EncodeError) Unwrap() error { return e.Err }

// DecodeError is the error of Decode.
type DecodeError struct {
	Encoding string // "binary", "utf-8", "json" or "msgpack"
	Err      error
}

// Error implements error.
func (e *DecodeError) Error() string { return fmt.Sprintf("decode %s: %v", e.Encoding, e.Err) }

// Unwrap returns Err.
func (e *DecodeError) Unwrap() error { return e.Err }

func typeError(name string, v any) error {
	return &EncodeError{Encoding: name, Err: fmt.Errorf("%T: %w", v, ErrType)}
}
