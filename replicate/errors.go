package replicate

import (
	"errors"
	"fmt"

	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

// Why a session ends. What comes from the handshake matches noise.ErrHandshake,
// what cannot be decoded the errors of package wire, and a wrong capability
// noise.ErrCapability.
var (
	// ErrClosed is the end of a session that we closed.
	ErrClosed = errors.New("replicate: closed")
	// ErrEnded is the end of a session whose remote left while feeds were open.
	ErrEnded = errors.New("replicate: remote ended the stream")
	// ErrTimeout is a remote from which no byte came for Options.Timeout.
	ErrTimeout = errors.New("replicate: nothing received in time")
	// ErrStalled is a remote that takes no bytes for Options.Timeout.
	ErrStalled = errors.New("replicate: remote does not read")
	// ErrRequestTimeout is a remote that answers none of our requests for
	// Options.Timeout.
	ErrRequestTimeout = errors.New("replicate: request timeout")
	// ErrHandshakes is a session whose handshake was given up because there were
	// too many others.
	ErrHandshakes = errors.New("replicate: too many unfinished handshakes")
	// ErrFlood is matched by errors about a remote that asks for more than a limit
	// allows.
	ErrFlood = errors.New("replicate: remote exceeds a limit")
	// ErrProtocol is matched by errors about a remote that breaks a rule of the
	// protocol.
	ErrProtocol = errors.New("replicate: remote breaks the protocol")
	// ErrRefused is why a peer goes away whose feed the remote does not want to
	// replicate, or does not have.
	ErrRefused = errors.New("replicate: remote refuses the feed")
	// ErrChannelClosed is why a peer goes away whose feed the remote has closed.
	ErrChannelClosed = errors.New("replicate: remote closed the feed")
	// ErrComplete is why a peer goes away when neither side wants more.
	ErrComplete = errors.New("replicate: complete")
)

// Errors of calls.
var (
	// ErrExtensionName is returned for a second extension with the same name.
	ErrExtensionName = errors.New("replicate: cannot add multiple extensions with the same name")
	// ErrNotOpen is returned when something is sent to a peer that is not open.
	ErrNotOpen = errors.New("replicate: not open")
)

// PeerError says which message of which feed's channel ended a session.
type PeerError struct {
	// Feed is the discovery key.
	Feed tree.DiscoveryKey
	// Type is the kind of the message.
	Type wire.Type
	// Err is what was wrong.
	Err error
}

// Error implements error.
func (e *PeerError) Error() string { return fmt.Sprintf("feed %x: %v: %v", e.Feed[:4], e.Type, e.Err) }

// Unwrap returns the cause.
func (e *PeerError) Unwrap() error { return e.Err }

// protocolError is an error that names the rule that was broken.
func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// flood is an error that names the limit that was exceeded.
func flood(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFlood, fmt.Sprintf(format, args...))
}
