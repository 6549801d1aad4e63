package dht

import (
	"errors"
	"fmt"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

// What goes wrong with a node.
var (
	// ErrClosed means that the node or server is closed (NODE_DESTROYED).
	ErrClosed = errors.New("dht: closed")
	// ErrSuspended means that the node is suspended (SUSPENDED).
	ErrSuspended = errors.New("dht: node is suspended")
)

// What goes wrong with records.
var (
	// ErrNotFound means that no node that was asked has the record.
	ErrNotFound = errors.New("dht: record not found")
	// ErrValueTooLarge means that a value does not fit in the datagrams of the DHT.
	ErrValueTooLarge = errors.New("dht: value too large for a record")
	// ErrSeqReused means that another value is stored under the same seq.
	ErrSeqReused = errors.New("dht: seq was used for another value")
	// ErrSeqTooLow means that a value with a higher seq is stored.
	ErrSeqTooLow = errors.New("dht: seq is lower than the stored one")
)

// SeqError is why a mutable value was not stored. It is ErrSeqReused or
// ErrSeqTooLow.
type SeqError struct {
	Key PublicKey
	Seq uint64 // of the value that was not stored
	// Stored is the stored value, whose signature is good. It is nil if there are
	// only the words of the nodes that refused.
	Stored *MutableRecord
	Err    error
}

func (e *SeqError) Error() string {
	if e.Stored != nil {
		return fmt.Sprintf("put seq %d where %d is stored: %v", e.Seq, e.Stored.Seq, e.Err)
	}
	return fmt.Sprintf("put seq %d: %v", e.Seq, e.Err)
}

func (e *SeqError) Unwrap() error { return e.Err }

// seqError returns the error for a code that a node refused a value with, nil if it
// is none.
func seqError(code rpc.Code) error {
	switch code {
	case messages.SeqReused:
		return ErrSeqReused
	case messages.SeqTooLow:
		return ErrSeqTooLow
	default:
		return nil
	}
}

// What goes wrong with servers.
var (
	// ErrListening means that the server listens already (ALREADY_LISTENING).
	ErrListening = errors.New("dht: server listens already")
	// ErrKeyPairInUse means that a server of the same node listens with the key pair
	// (KEYPAIR_ALREADY_USED).
	ErrKeyPairInUse = errors.New("dht: key pair is used by another server of the node")
)

// What goes wrong with Connect. In brackets are the names that hyperdht has for it.
var (
	// ErrPeerNotFound means that nobody knows the server (PEER_NOT_FOUND).
	ErrPeerNotFound = errors.New("dht: peer not found")
	// ErrPeerUnreachable means that those who know the server did not bring a
	// handshake there and back, which is also what a server's firewall looks like
	// (PEER_CONNECTION_FAILED).
	ErrPeerUnreachable = errors.New("dht: could not connect to peer")
	// ErrServer means that the server answered with an error, or with something that
	// makes no sense (SERVER_ERROR, HANDSHAKE_INVALID).
	ErrServer = errors.New("dht: server returned an error")
	// ErrServerIncompatible means that the server speaks another version
	// (SERVER_INCOMPATIBLE).
	ErrServerIncompatible = errors.New("dht: server is incompatible")
	// ErrCannotHolepunch means that neither side can open a way to the other
	// (CANNOT_HOLEPUNCH, REMOTE_NOT_HOLEPUNCHABLE, REMOTE_NOT_HOLEPUNCHING).
	ErrCannotHolepunch = errors.New("dht: cannot holepunch to peer")
	// ErrHolepunchAborted means that opening a way did not succeed, or that one side
	// decided not to (HOLEPUNCH_ABORTED, REMOTE_ABORTED).
	ErrHolepunchAborted = errors.New("dht: holepunch aborted")
	// ErrHolepunchInvalid means that a holepunch message was not sealed by the server
	// (HOLEPUNCH_INVALID).
	ErrHolepunchInvalid = errors.New("dht: invalid holepunch message")
	// ErrHolepunchTimeout means that it could not be found out what NAT one of the
	// sides is behind (HOLEPUNCH_PROBE_TIMEOUT).
	ErrHolepunchTimeout = errors.New("dht: holepunch probing timed out")
	// ErrDoubleRandomNATs means that both sides are behind NATs with ports that cannot
	// be told beforehand (HOLEPUNCH_DOUBLE_RANDOMIZED_NATS).
	ErrDoubleRandomNATs = errors.New("dht: both NATs have random ports")
	// ErrRelayAborted means that a blind relay did not join the two sides
	// (RELAY_ABORTED).
	ErrRelayAborted = errors.New("dht: relay aborted")
	// ErrNotConnected means that a raw stream has no connection to go along with
	// (STREAM_NOT_CONNECTED).
	ErrNotConnected = errors.New("dht: stream is not connected")
)
