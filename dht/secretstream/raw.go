package secretstream

import (
	"context"
	"encoding/hex"
	"net"
)

// What a raw stream may offer beyond io.ReadWriteCloser. Each method is found by
// its type; none is required.
type (
	// halfCloser can end its sending side alone, as *net.TCPConn can.
	halfCloser interface{ CloseWrite() error }
	// destroyer can end both sides at once, dropping what it has not sent. Its
	// Close is an orderly end that goes on in the background.
	destroyer interface{ Destroy() }
	// flusher knows what the peer has acknowledged.
	flusher interface {
		Flush(ctx context.Context) error
	}
	// mortal tells when it is over, and then why; a nil Err is an end in good order.
	mortal interface {
		Done() <-chan struct{}
		Err() error
	}
	// addressed knows where it leads.
	addressed interface {
		LocalAddr() net.Addr
		RemoteAddr() net.Addr
	}
	// messenger carries datagrams beside its bytes, as UDX streams do: they may be
	// lost, repeated and overtaken, but come whole.
	messenger interface {
		// Send sends b as one datagram. It does not keep b.
		Send(b []byte) error
		// Receive waits for a datagram, which is the caller's.
		Receive(ctx context.Context) ([]byte, error)
	}
)

// Addr is the address of an end of a stream whose raw stream has none: its
// public key.
type Addr struct{ key string }

// Network returns "secretstream".
func (Addr) Network() string { return "secretstream" }

// String returns the public key in hex; it is empty before the handshake.
func (a Addr) String() string { return hex.EncodeToString([]byte(a.key)) }
