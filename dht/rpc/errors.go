package rpc

import (
	"errors"
	"fmt"
	"net/netip"
)

var (
	// ErrTimeout means that a request was sent as often as it may be and nobody
	// answered (REQUEST_TIMEOUT).
	ErrTimeout = errors.New("request timed out")

	// ErrSuspended means that the node was suspended before the answer came, or is
	// (IO_SUSPENDED).
	ErrSuspended = errors.New("node is suspended")

	// ErrClosed means that the node was closed before the answer came, or is
	// (REQUEST_DESTROYED).
	ErrClosed = errors.New("node is closed")

	// ErrNotStarted means that Start was not called, or did not succeed.
	ErrNotStarted = errors.New("node is not started")

	// ErrTooManyRequests means that every transaction id is taken by a request that
	// is still waiting.
	ErrTooManyRequests = errors.New("too many requests in flight")

	// ErrTooFewNodes is the error of a query that had something to commit and found
	// nobody to commit it to.
	ErrTooFewNodes = errors.New("too few nodes responded")

	// ErrNoToken means that a node gave no token, so that nothing can be committed
	// to it.
	ErrNoToken = errors.New("no token received from node")

	// ErrTooLarge means that a message would not fit in MaxDatagram bytes.
	ErrTooLarge = errors.New("message is too large for a datagram")

	// ErrAddress means that an address is not one that datagrams can be sent to: not
	// IPv4, unspecified, or without a port.
	ErrAddress = errors.New("not a usable IPv4 address")

	// ErrMalformed means that a datagram is not a message.
	ErrMalformed = errors.New("malformed message")
)

// Code is the error code of a reply. Codes below 16 are this protocol's, the
// others an application's.
type Code uint64

// The codes that nodes themselves answer with.
const (
	OK             Code = 0
	UnknownCommand Code = 1 // nobody there handles the command
	InvalidToken   Code = 2 // the token is not, or no longer, valid
)

// String returns the name that other implementations print.
func (c Code) String() string {
	switch c {
	case OK:
		return "OK"
	case UnknownCommand:
		return "UNKNOWN_COMMAND"
	case InvalidToken:
		return "INVALID_TOKEN"
	default:
		return fmt.Sprintf("error %d", uint64(c))
	}
}

// RequestError says which request failed.
type RequestError struct {
	To  netip.AddrPort
	Err error // why: one of the errors above, or the cause of a cancelled context
}

func (e *RequestError) Error() string { return fmt.Sprintf("rpc: request to %v: %v", e.To, e.Err) }
func (e *RequestError) Unwrap() error { return e.Err }

// CodeError is a reply's error code as an error; see [Reply.Err].
type CodeError struct {
	From  netip.AddrPort
	Code  Code
	Token []byte // that came with it, as one does with InvalidToken; nil for none
}

func (e *CodeError) Error() string { return fmt.Sprintf("rpc: %v answered %v", e.From, e.Code) }
