package udx

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cairn-feeds/cairn/dht/udx/internal/protocol"
)

var (
	// ErrIDInUse is returned by Mux.NewStream for an id that a live stream has.
	ErrIDInUse = errors.New("udx: stream id in use")
	// ErrNotConnected is returned by what needs a remote before Connect.
	ErrNotConnected = errors.New("udx: stream is not connected")
	// ErrConnected is returned when a stream is connected twice.
	ErrConnected = errors.New("udx: stream is connected already")
	// ErrChanging is returned by ChangeRemote while an earlier change is not
	// complete.
	ErrChanging = protocol.ErrChanging
	// ErrAddress is returned for a remote without a usable IP address or port.
	ErrAddress = errors.New("udx: not an address to send to")
	// ErrForeignSocket is returned for a socket of another Mux.
	ErrForeignSocket = errors.New("udx: socket belongs to another mux")
	// ErrMessageTooLarge is returned by Send for messages that fit no packet.
	ErrMessageTooLarge = errors.New("udx: message too large")
	// ErrReset is how a stream ends that the remote destroyed. It wraps
	// syscall.ECONNRESET.
	ErrReset error = &closeError{protocol.ErrReset, syscall.ECONNRESET}
	// ErrTimedOut is how a stream ends whose packets are not acknowledged any
	// more. It wraps syscall.ETIMEDOUT.
	ErrTimedOut error = &closeError{protocol.ErrTimedOut, syscall.ETIMEDOUT}
)

// closeError gives an error of the protocol its counterpart of the system.
type closeError struct {
	cause error
	errno syscall.Errno
}

func (e *closeError) Error() string   { return fmt.Sprintf("%v: %v", e.cause, e.errno) }
func (e *closeError) Unwrap() []error { return []error{e.cause, e.errno} }

// exported is the error of this package for one of the protocol.
func exported(err error) error {
	switch {
	case errors.Is(err, protocol.ErrReset):
		return ErrReset
	case errors.Is(err, protocol.ErrTimedOut):
		return ErrTimedOut
	}
	return err
}
