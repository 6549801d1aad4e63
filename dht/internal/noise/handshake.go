package noise

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"github.com/flynn/noise"
)

// MaxMessage is the length of the longest handshake message, in bytes.
const MaxMessage = noise.MaxMsgLen

var (
	// ErrFailed marks every way in which what the peer sent ends a handshake.
	ErrFailed = errors.New("noise: handshake failed")
	// ErrTurn is returned by Send and Recv when it is the peer's turn, or when
	// the handshake is over.
	ErrTurn = errors.New("noise: out of turn")
)

// Pattern is the order of a handshake's messages.
type Pattern uint8

// The patterns that both sides of the original can complete.
const (
	XX Pattern = iota // no key known beforehand
	IK                // responder's key known, two messages
	XK                // responder's key known, initiator's hidden from everybody else
)

func (p Pattern) String() string {
	switch p {
	case XX:
		return "XX"
	case IK:
		return "IK"
	case XK:
		return "XK"
	}
	return fmt.Sprintf("Pattern(%d)", uint8(p))
}

func (p Pattern) handshake() (noise.HandshakePattern, error) {
	switch p {
	case XX:
		return noise.HandshakeXX, nil
	case IK:
		return noise.HandshakeIK, nil
	case XK:
		return noise.HandshakeXK, nil
	}
	return noise.HandshakePattern{}, fmt.Errorf("noise: unknown pattern %d", uint8(p))
}

// Config says who shakes hands with whom.
type Config struct {
	// Pattern is XX unless set.
	Pattern Pattern
	// Initiator is the side that sends first.
	Initiator bool
	// Key is the own static key pair. It is not copied.
	Key ed25519.PrivateKey
	// RemoteKey is the responder's public key. IK and XK initiators must have
	// it. In any other place it is optional, and if set the handshake fails
	// unless the peer proves to hold that key; an XX initiator finds out before
	// it reveals its own.
	RemoteKey ed25519.PublicKey
	// Prologue is what both sides must agree on without sending it.
	Prologue []byte
	// Random yields the 32-byte seed of the ephemeral key. Nil means the
	// system's secure source; tests set it.
	Random io.Reader
}

// Result is what a complete handshake leaves behind.
type Result struct {
	// TX encrypts what this side sends, RX what it receives.
	TX, RX [32]byte
	// Hash is the handshake hash, the same at both ends and unique to this
	// handshake.
	Hash [64]byte
	// PublicKey is the own static key, RemotePublicKey the peer's, proven.
	PublicKey, RemotePublicKey ed25519.PublicKey
}

// Handshake is one side of a handshake in progress. The sides take turns: the
// initiator begins with Send, the responder with Recv, until Complete. Any error
// but ErrTurn is final. A Handshake is not safe for concurrent use.
type Handshake struct {
	state     *noise.HandshakeState
	initiator bool
	expect    ed25519.PublicKey // nil: anybody
	public    ed25519.PublicKey
	turn      bool // ours
	result    *Result
	err       error
}

// New prepares a handshake. It fails only for a Config that cannot work.
func New(c Config) (*Handshake, error) {
	pattern, err := c.Pattern.handshake()
	if err != nil {
		return nil, err
	}
	if len(c.Key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("noise: private key of %d bytes", len(c.Key))
	}
	if c.RemoteKey != nil && len(c.RemoteKey) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("noise: remote public key of %d bytes", len(c.RemoteKey))
	}
	nc := noise.Config{
		CipherSuite:   suite,
		Random:        c.Random,
		Pattern:       pattern,
		Initiator:     c.Initiator,
		Prologue:      c.Prologue,
		StaticKeypair: dhKey(c.Key),
	}
	if c.Initiator && len(pattern.ResponderPreMessages) > 0 {
		if c.RemoteKey == nil {
			return nil, fmt.Errorf("noise: the initiator of %v needs the remote public key", c.Pattern)
		}
		nc.PeerStatic = bytes.Clone(c.RemoteKey)
	}
	state, err := noise.NewHandshakeState(nc)
	if err != nil {
		return nil, err
	}
	return &Handshake{
		state:     state,
		initiator: c.Initiator,
		expect:    bytes.Clone(c.RemoteKey),
		public:    bytes.Clone(c.Key[ed25519.SeedSize:]),
		turn:      c.Initiator,
	}, nil
}

// Send appends the next message, which carries payload, to dst.
func (h *Handshake) Send(dst, payload []byte) ([]byte, error) {
	if err := h.check(true); err != nil {
		return nil, err
	}
	n := len(dst)
	dst, first, second, err := h.state.WriteMessage(dst, payload)
	if err != nil {
		return nil, h.fail(err)
	}
	if len(dst)-n > MaxMessage {
		return nil, h.fail(fmt.Errorf("message of %d bytes", len(dst)-n))
	}
	h.turn = false
	h.complete(first, second)
	return dst, nil
}

// Recv takes the peer's next message and appends its payload to dst. The bytes
// come from a stranger: every error is final and matches ErrFailed.
func (h *Handshake) Recv(dst, message []byte) ([]byte, error) {
	if err := h.check(false); err != nil {
		return nil, err
	}
	if len(message) > MaxMessage {
		return nil, h.fail(fmt.Errorf("message of %d bytes", len(message)))
	}
	dst, first, second, err := h.state.ReadMessage(dst, message)
	if err != nil {
		return nil, h.fail(err)
	}
	if remote := h.state.PeerStatic(); len(remote) > 0 && h.expect != nil && !bytes.Equal(remote, h.expect) {
		return nil, h.fail(fmt.Errorf("the peer is %x, not %x", remote, []byte(h.expect)))
	}
	h.turn = true
	h.complete(first, second)
	return dst, nil
}

// RemotePublicKey is the peer's static key as far as it is known: from the
// start for IK and XK initiators, else after the message that carries it (the
// first of IK), else nil. The slice must not be modified.
func (h *Handshake) RemotePublicKey() ed25519.PublicKey { return h.state.PeerStatic() }

// Complete says whether the last message was sent or received.
func (h *Handshake) Complete() bool { return h.result != nil }

// Result is the outcome of a complete handshake; ok is false before that.
func (h *Handshake) Result() (r Result, ok bool) {
	if h.result == nil {
		return Result{}, false
	}
	return *h.result, true
}

func (h *Handshake) check(sending bool) error {
	switch {
	case h.err != nil:
		return h.err
	case h.result != nil || h.turn != sending:
		return ErrTurn
	}
	return nil
}

func (h *Handshake) fail(cause error) error {
	h.err = fmt.Errorf("%w: %w", ErrFailed, cause)
	return h.err
}

// complete takes the two cipher states that the last message yields.
func (h *Handshake) complete(first, second *noise.CipherState) {
	if first == nil {
		return
	}
	if !h.initiator {
		first, second = second, first
	}
	r := &Result{
		TX:              first.UnsafeKey(),
		RX:              second.UnsafeKey(),
		PublicKey:       h.public,
		RemotePublicKey: bytes.Clone(h.state.PeerStatic()),
	}
	copy(r.Hash[:], h.state.ChannelBinding())
	h.result = r
}
