package secretstream

import (
	"errors"
	"os"
)

// What ends a stream. Each is found with errors.Is in the error of the call that
// noticed and of every later one. The first four say what the peer did.
var (
	// ErrHandshake means that the Noise handshake failed: the peer sent something
	// else, holds another key than the expected one, or took too long.
	ErrHandshake = errors.New("secretstream: handshake failed")
	// ErrHeader means that the frame after the handshake is not the one that
	// belongs to it, as when two streams got crossed.
	ErrHeader = errors.New("secretstream: invalid header")
	// ErrFrame means that a frame is too short to hold a message, or longer than
	// Options.MaxMessage allows.
	ErrFrame = errors.New("secretstream: invalid frame")
	// ErrAuth means that a message is not the one that the peer sent next: it was
	// changed, repeated, dropped or made up on the way.
	ErrAuth = errors.New("secretstream: message authentication failed")
	// ErrTimeout means that nothing arrived for as long as Options.Timeout or
	// Options.HandshakeTimeout say. Unlike a deadline that passed, it is final.
	ErrTimeout error = timeoutError{}
)

// ErrTooLarge is returned for a message that does not fit in a frame. The stream
// is not affected.
var ErrTooLarge = errors.New("secretstream: message too large")

// timeoutError is a net.Error that says so.
type timeoutError struct{}

func (timeoutError) Error() string   { return "secretstream: stream timed out" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return false }

// errDeadline is what calls return whose own deadline passed.
var errDeadline = os.ErrDeadlineExceeded
