package noise

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// NonceSize is the length in bytes of the nonce that each side announces.
const NonceSize = 24

// nonceField is the number of NoisePayload's only field.
const nonceField = 1

// payloadSize is the length of an encoded NoisePayload.
const payloadSize = 1 + 1 + NonceSize

// appendPayload appends the NoisePayload of nonce to dst.
func appendPayload(dst []byte, nonce *[NonceSize]byte) []byte {
	dst = protowire.AppendTag(dst, nonceField, protowire.BytesType)
	return protowire.AppendBytes(dst, nonce[:])
}

// parsePayload returns the nonce of an encoded NoisePayload. Unknown fields are
// skipped; of several nonces the last counts.
func parsePayload(b []byte) (nonce [NonceSize]byte, err error) {
	found := false
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nonce, ErrPayload
		}
		b = b[n:]
		if num != nonceField {
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return nonce, ErrPayload
			}
			b = b[n:]
			continue
		}
		if typ != protowire.BytesType {
			return nonce, ErrPayload
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 || len(v) != NonceSize {
			return nonce, ErrPayload
		}
		b = b[n:]
		nonce, found = [NonceSize]byte(v), true
	}
	if !found {
		return nonce, ErrPayload
	}
	return nonce, nil
}
