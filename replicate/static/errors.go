package static

import (
	"errors"
	"fmt"
)

// What ends a connection. [Stream.Run] and [Host.Serve] return them, matched with errors.Is.
var (
	// ErrClosed means that we ended it: the stream or the host was closed.
	ErrClosed = errors.New("static: closed")
	// ErrProtocol means that the handshake names another protocol.
	ErrProtocol = errors.New("static: protocol must be hypercore")
	// ErrFrame means a frame that is larger than 5 MiB, or has no valid length.
	ErrFrame = errors.New("static: frame larger than 5 MiB")
	// ErrMessage means a message that cannot be decoded.
	ErrMessage = errors.New("static: malformed message")
	// ErrChannel means a message with a channel number that was never given.
	ErrChannel = errors.New("static: remote sent invalid channel id")
	// ErrChannelReused means a Join with a number that is in use.
	ErrChannelReused = errors.New("static: remote reused channel id")
	// ErrBlock means a block that does not lead to the id of its feed.
	ErrBlock = errors.New("static: remote sent a block that is not of the feed")
	// ErrTooManyChannels means more channels than Options.MaxChannels.
	ErrTooManyChannels = errors.New("static: remote joined too many feeds")
	// ErrTooManyRequests means more unanswered requests than Options.MaxQueued.
	ErrTooManyRequests = errors.New("static: remote asked for too many blocks")
	// ErrMemory means that what the remote says it has takes more than Options.MaxMemory.
	ErrMemory = errors.New("static: remote has more scattered blocks than is kept")
	// ErrHandshakes means that more than Options.MaxHandshakes connections had not shaken
	// hands and this one was the oldest.
	ErrHandshakes = errors.New("static: too many unfinished handshakes")
	// ErrTimeout is matched by every *TimeoutError.
	ErrTimeout = errors.New("static: timeout")
)

// What is wrong with the use of extensions.
var (
	// ErrStarted means that extensions were named after the first stream.
	ErrStarted = errors.New("static: name all extensions before the first stream")
	// ErrExtensions means more than 64 extensions, or names that cannot be.
	ErrExtensions = errors.New("static: at most 64 extensions, with names of 1 to 256 bytes, each once")
	// ErrExtensionSize means an extension message that does not fit into a frame.
	ErrExtensionSize = errors.New("static: extension message too large")
)

// A TimeoutError says what did not come in time.
type TimeoutError struct {
	// Waiting says for what: the handshake, the rest of a frame, an answer, the remote to
	// read, or anything at all.
	Waiting string
}

// Error implements error.
func (e *TimeoutError) Error() string { return fmt.Sprintf("%v: waited for %s", ErrTimeout, e.Waiting) }

// Unwrap returns ErrTimeout.
func (e *TimeoutError) Unwrap() error { return ErrTimeout }

// Timeout reports true, as net.Error has it.
func (e *TimeoutError) Timeout() bool { return true }
