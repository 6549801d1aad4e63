package noise

import "fmt"

// Mode says how much of the protocol's security a connection uses. Both sides
// must use the same; there is no negotiation.
type Mode uint8

const (
	// Encrypted is the handshake, then encrypted frames. It is what every peer
	// uses unless told otherwise.
	Encrypted Mode = iota
	// NoiseOnly is the handshake, with its static keys and capabilities, then
	// frames in plain: hypercore 9's encrypted:false.
	NoiseOnly
	// Plain is frames from the first byte on. Nobody is authenticated and no
	// capability is sent or checked: hypercore 9's encrypted:false together
	// with noise:false.
	Plain
)

// ModeOf returns the mode that hypercore 9 uses when given its two options.
// Without noise but with encryption is, there as here, the default mode.
func ModeOf(encrypted, noise bool) Mode {
	switch {
	case encrypted:
		return Encrypted
	case noise:
		return NoiseOnly
	default:
		return Plain
	}
}

// String returns the mode's name in lower case.
func (m Mode) String() string {
	switch m {
	case Encrypted:
		return "encrypted"
	case NoiseOnly:
		return "noise only"
	case Plain:
		return "plain"
	default:
		return fmt.Sprintf("mode(%d)", uint8(m))
	}
}
