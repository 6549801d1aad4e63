package noise

import (
	"crypto/rand"
	"fmt"
	"io"

	flynn "github.com/flynn/noise"
	"google.golang.org/protobuf/encoding/protowire"
)

// MaxMessage is the length in bytes of the longest handshake message, without
// the length in front of it. It is Noise's own limit.
const MaxMessage = 65535

// maxPrefix is the length in bytes of the longest varint that can announce a
// message.
const maxPrefix = 3

// suite makes the protocol's name Noise_XX_25519_ChaChaPoly_BLAKE2b, together
// with the pattern.
var suite = flynn.NewCipherSuite(flynn.DH25519, flynn.CipherChaChaPoly, flynn.HashBLAKE2b)

// Config is how a [Handshake] is to be held.
type Config struct {
	// Initiator is true on the side that opened the connection.
	Initiator bool

	// Mode is the security of the connection. The zero value is [Encrypted].
	Mode Mode

	// KeyPair is the static key pair that the remote will know us by. The zero
	// value stands for a random pair, made for this handshake.
	KeyPair KeyPair

	// Authenticate, if set, is called with the remote's static key as soon as
	// it is proved: by the initiator before it sends the last message, by the
	// responder after it received that. An error refuses the remote and fails
	// the handshake. It is called from Step, at most once, never in mode
	// [Plain].
	Authenticate func(remote PublicKey) error

	// Random is where the key pair (32 bytes, when none is given), the nonce
	// (24 bytes) and the ephemeral secret key (32 bytes, when the first message
	// is written) come from, in this order. Nil stands for crypto/rand, and
	// anything else is for tests only.
	Random io.Reader
}

// Handshake is one side of a handshake, as plain code: bytes in, bytes out. It
// is not safe for concurrent use.
type Handshake struct {
	initiator    bool
	mode         Mode
	authenticate func(PublicKey) error
	public       PublicKey
	nonce        [NonceSize]byte // ours
	state        *flynn.HandshakeState

	remote []byte // the last payload of the remote that was not empty

	// The message that is arriving: size is its length as far as prefix bytes
	// have told it, sized says that they were all.
	prefix  int
	size    int
	sized   bool
	message []byte

	transport *Transport // set when finished
	err       error      // set when failed
}

// NewHandshake returns a handshake in which nothing has been sent or received.
// It fails with [ErrKeyPair] when cfg.KeyPair is no pair, when there is no such
// mode, and when cfg.Random fails.
func NewHandshake(cfg Config) (*Handshake, error) {
	if cfg.Mode == Plain {
		return &Handshake{mode: Plain, transport: &Transport{mode: Plain}}, nil
	}
	if cfg.Mode > Plain {
		return nil, fmt.Errorf("noise: no such %v", cfg.Mode)
	}
	random := cfg.Random
	if random == nil {
		random = rand.Reader
	}
	pair := cfg.KeyPair
	if pair == (KeyPair{}) {
		var err error
		if pair, err = GenerateKeyPair(random); err != nil {
			return nil, err
		}
	} else if NewKeyPair(pair.Secret).Public != pair.Public {
		return nil, ErrKeyPair
	}
	h := &Handshake{
		initiator:    cfg.Initiator,
		mode:         cfg.Mode,
		authenticate: cfg.Authenticate,
		public:       pair.Public,
	}
	if _, err := io.ReadFull(random, h.nonce[:]); err != nil {
		return nil, fmt.Errorf("noise: nonce: %w", err)
	}
	var err error
	h.state, err = flynn.NewHandshakeState(flynn.Config{
		CipherSuite:   suite,
		Random:        random,
		Pattern:       flynn.HandshakeXX,
		Initiator:     cfg.Initiator,
		StaticKeypair: flynn.DHKey{Private: pair.Secret[:], Public: pair.Public[:]},
	})
	if err != nil {
		return nil, fmt.Errorf("noise: %w", err)
	}
	return h, nil
}

// PublicKey returns our own static key. In mode [Plain] it is zero.
func (h *Handshake) PublicKey() PublicKey { return h.public }

// Done returns what the handshake ended in. It is nil until Step has returned
// with all messages received and written; those that Step returned last are
// still to be sent. In mode [Plain] it is set from the start.
func (h *Handshake) Done() *Transport { return h.transport }

// Step takes the bytes that arrived, in pieces of any size, and returns the
// bytes to send. The initiator's first Step, usually with nil, returns the
// first message. After the last message, rest is what follows it in: a part of
// in, which belongs to the transport. Before that it is nil, and in has been
// copied as far as it was needed; a handshake holds at most [MaxMessage] bytes.
// A finished handshake returns what it is given.
//
// An error matches [ErrHandshake] and ends the handshake: nothing is to be sent,
// and every later Step returns it again.
func (h *Handshake) Step(in []byte) (out, rest []byte, err error) {
	if h.err != nil {
		return nil, nil, h.err
	}
	out, rest, err = h.step(in)
	if err != nil {
		h.err = err
		h.state, h.message, h.remote = nil, nil, nil
		return nil, nil, err
	}
	return out, rest, nil
}

func (h *Handshake) step(in []byte) (out, rest []byte, err error) {
	if h.transport == nil && h.initiator && h.state.MessageIndex() == 0 {
		if out, err = h.write(nil); err != nil {
			return nil, nil, err
		}
	}
	for h.transport == nil {
		var complete bool
		if in, complete, err = h.collect(in); err != nil {
			return nil, nil, err
		}
		if !complete {
			return out, nil, nil
		}
		if err = h.read(); err != nil {
			return nil, nil, err
		}
		if h.transport == nil {
			if out, err = h.write(out); err != nil {
				return nil, nil, err
			}
		}
	}
	return out, in, nil
}

// collect moves bytes from in to the message that is arriving and says whether
// it is complete.
func (h *Handshake) collect(in []byte) (rest []byte, complete bool, err error) {
	for ; !h.sized; h.prefix++ {
		if len(in) == 0 {
			return nil, false, nil
		}
		if h.prefix == maxPrefix {
			return nil, false, fmt.Errorf("%w: %w", ErrHandshake, ErrMessageSize)
		}
		h.size |= int(in[0]&0x7f) << (7 * h.prefix)
		h.sized = in[0] < 0x80
		in = in[1:]
	}
	if h.size == 0 || h.size > MaxMessage {
		return nil, false, fmt.Errorf("%w: %w: %d bytes", ErrHandshake, ErrMessageSize, h.size)
	}
	n := min(h.size-len(h.message), len(in))
	h.message = append(h.message, in[:n]...)
	return in[n:], len(h.message) == h.size, nil
}

// read processes the message that has arrived.
func (h *Handshake) read() error {
	number := h.state.MessageIndex() + 1
	payload, first, second, err := h.state.ReadMessage(nil, h.message)
	if err != nil {
		return fmt.Errorf("%w: reading message %d: %w", ErrHandshake, number, err)
	}
	h.message, h.prefix, h.size, h.sized = h.message[:0], 0, 0, false
	if len(payload) > 0 {
		h.remote = payload
	}
	// In this pattern the static key comes with the last message that a side
	// reads, so it is new whenever it is there.
	if static := h.state.PeerStatic(); len(static) > 0 && h.authenticate != nil {
		if err := h.authenticate(PublicKey(static)); err != nil {
			return fmt.Errorf("%w: %w: %w", ErrHandshake, ErrRefused, err)
		}
	}
	if first != nil {
		return h.finish(first, second)
	}
	return nil
}

// write appends our next message to out.
func (h *Handshake) write(out []byte) ([]byte, error) {
	number := h.state.MessageIndex() + 1
	payload := appendPayload(make([]byte, 0, payloadSize), &h.nonce)
	message, first, second, err := h.state.WriteMessage(nil, payload)
	if err != nil {
		// The ephemeral key could not be drawn, or the remote's key is a point
		// with which every shared secret is zero.
		return nil, fmt.Errorf("%w: writing message %d: %w", ErrHandshake, number, err)
	}
	out = protowire.AppendVarint(out, uint64(len(message)))
	out = append(out, message...)
	if first != nil {
		return out, h.finish(first, second)
	}
	return out, nil
}

// finish makes the transport. The cipher state first is the one with which the
// initiator sends.
func (h *Handshake) finish(first, second *flynn.CipherState) error {
	if len(h.remote) == 0 {
		return fmt.Errorf("%w: %w", ErrHandshake, ErrNoPayload)
	}
	nonce, err := parsePayload(h.remote)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	t := &Transport{
		mode:   h.mode,
		remote: PublicKey(h.state.PeerStatic()),
		hash:   [64]byte(h.state.ChannelBinding()),
		txKey:  first.UnsafeKey(),
		rxKey:  second.UnsafeKey(),
	}
	if !h.initiator {
		t.txKey, t.rxKey = t.rxKey, t.txKey
	}
	if t.mode == Encrypted {
		t.tx = NewCipher(&t.txKey, &h.nonce)
		t.rx = NewCipher(&t.rxKey, &nonce)
	}
	h.transport = t
	h.state, h.message, h.remote = nil, nil, nil
	return nil
}
