package noise

import "errors"

// ErrHandshake is matched by every error of [Handshake].Step: a message that is
// malformed, was changed on the way or comes from another protocol, a payload
// without a nonce, a public key that was refused.
var ErrHandshake = errors.New("noise: handshake failed")

// These say more about an error that matches [ErrHandshake].
var (
	// ErrMessageSize is a handshake message whose announced length is zero or
	// over [MaxMessage]. It usually means that the remote speaks another
	// protocol or another [Mode].
	ErrMessageSize = errors.New("message size out of range")
	// ErrNoPayload is a handshake in which no message of the remote had a
	// payload.
	ErrNoPayload = errors.New("remote did not include a payload")
	// ErrPayload is a payload of the remote that is not a NoisePayload with a
	// nonce of [NonceSize] bytes.
	ErrPayload = errors.New("remote payload is invalid")
	// ErrRefused is a remote public key that [Config].Authenticate refused. The
	// error also matches what Authenticate returned.
	ErrRefused = errors.New("remote public key refused")
)

// ErrCapability is an Open of the remote whose capability is absent or wrong:
// the remote does not know the feed's key, or proves it for another connection.
var ErrCapability = errors.New("noise: invalid remote channel capability")

// ErrKeyPair is a [KeyPair] in a [Config] whose halves do not belong together.
var ErrKeyPair = errors.New("noise: public key does not belong to secret key")
