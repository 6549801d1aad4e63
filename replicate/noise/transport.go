package noise

import (
	"crypto/subtle"
	"hash"
	"io"

	"golang.org/x/crypto/blake2b"
)

// CapabilitySize is the length of a capability in bytes.
const CapabilitySize = 32

// capabilityLabel opens the message that a capability authenticates.
const capabilityLabel = "hypercore capability"

// Transport is what a finished [Handshake] leaves for the rest of the
// connection: who the remote is, the two key streams, and the capabilities of
// feeds. In every [Mode] it is used the same way; what a mode does not have is
// left out by its methods.
//
// Encrypt and Decrypt each go on where their last call ended and belong to one
// goroutine each, which may be two different ones. All else is safe for
// concurrent use.
type Transport struct {
	mode   Mode
	remote PublicKey
	hash   [64]byte

	txKey, rxKey [32]byte // the direction keys; zero in Plain
	tx, rx       *Cipher  // set in Encrypted only
}

// Mode returns the mode of the connection.
func (t *Transport) Mode() Mode { return t.mode }

// RemotePublicKey returns the remote's static key. In mode [Plain] there is
// none and ok is false.
func (t *Transport) RemotePublicKey() (key PublicKey, ok bool) {
	return t.remote, t.mode != Plain
}

// HandshakeHash returns Noise's handshake hash, which both sides share and no
// other connection has. In mode [Plain] there is none and ok is false.
func (t *Transport) HandshakeHash() (hash [64]byte, ok bool) {
	return t.hash, t.mode != Plain
}

// Encrypt encrypts in place the next bytes to send, unless the mode sends them
// in plain. It does not allocate.
func (t *Transport) Encrypt(b []byte) {
	if t.tx != nil {
		t.tx.XORKeyStream(b, b)
	}
}

// Decrypt decrypts in place the next bytes received, unless the mode sends them
// in plain. It does not allocate.
func (t *Transport) Decrypt(b []byte) {
	if t.rx != nil {
		t.rx.XORKeyStream(b, b)
	}
}

// Reader returns a reader that reads from src into the caller's buffer and
// decrypts it there. It stands for calls of Decrypt and must not be mixed with
// others while it is read.
func (t *Transport) Reader(src io.Reader) io.Reader {
	if t.rx == nil {
		return src
	}
	return &reader{src: src, rx: t.rx}
}

type reader struct {
	src io.Reader
	rx  *Cipher
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	r.rx.XORKeyStream(p[:n], p[:n])
	return n, err
}

// AppendCapability appends to dst our proof of knowing feedKey, which goes into
// our Open of the feed's channel. In mode [Plain] there is none and dst is
// returned as it is.
func (t *Transport) AppendCapability(dst []byte, feedKey [32]byte) []byte {
	if t.mode == Plain {
		return dst
	}
	return appendCapability(dst, t.txKey, t.rxKey, feedKey)
}

// VerifyCapability checks, in constant time, the proof in a remote's Open of
// the channel of feedKey; an absent one is nil. It returns nil or
// [ErrCapability]. In mode [Plain] nothing is checked.
func (t *Transport) VerifyCapability(feedKey [32]byte, capability []byte) error {
	if t.mode == Plain {
		return nil
	}
	var want [CapabilitySize]byte
	appendCapability(want[:0], t.rxKey, t.txKey, feedKey) // the remote's view: keys swapped
	if subtle.ConstantTimeCompare(want[:], capability) != 1 {
		return ErrCapability
	}
	return nil
}

// appendCapability appends the capability of a sender that transmits with tx
// and receives with rx.
func appendCapability(dst []byte, tx, rx, feedKey [32]byte) []byte {
	h := keyedHash(rx)
	io.WriteString(h, capabilityLabel)
	h.Write(tx[:])
	h.Write(feedKey[:])
	return h.Sum(dst)
}

// keyedHash returns BLAKE2b-256 keyed with key.
func keyedHash(key [32]byte) hash.Hash {
	h, err := blake2b.New256(key[:])
	if err != nil {
		panic("noise: BLAKE2b refused a key of 32 bytes: " + err.Error()) // it takes up to 64
	}
	return h
}
