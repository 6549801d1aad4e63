package zbase32

import (
	"encoding/base32"
	"errors"
	"fmt"
)

// Alphabet is the characters for the values 0 to 31.
const Alphabet = "ybndrfg8ejkmcpqxot1uwisza345h769"

// KeyLen is the number of characters of a key.
const KeyLen = 52

var (
	// ErrLength means that no bytes have a text of that length.
	ErrLength = errors.New("zbase32: wrong length")
	// ErrTrailingBits means that the last character has bits beyond the last byte.
	ErrTrailingBits = errors.New("zbase32: bits behind the end")
)

// CharacterError reports a byte that is not in the alphabet.
type CharacterError struct {
	Offset int
	Byte   byte
}

// Error implements error.
func (e *CharacterError) Error() string {
	return fmt.Sprintf("zbase32: character %q at position %d", e.Byte, e.Offset)
}

var encoding = base32.NewEncoding(Alphabet).WithPadding(base32.NoPadding)

// values maps characters to their value, others to invalid.
var values = func() (v [256]byte) {
	for i := range v {
		v[i] = invalid
	}
	for i := range len(Alphabet) {
		v[Alphabet[i]] = byte(i)
	}
	return v
}()

const invalid = 0xff

// Encode returns the text of b.
func Encode(b []byte) string { return encoding.EncodeToString(b) }

// Append appends the text of b to dst.
func Append(dst, b []byte) []byte { return encoding.AppendEncode(dst, b) }

// Decode returns the bytes of a text. The error is a [*CharacterError] or matches
// ErrLength or ErrTrailingBits.
func Decode(s string) ([]byte, error) {
	for i := range len(s) {
		if values[s[i]] == invalid {
			return nil, &CharacterError{Offset: i, Byte: s[i]}
		}
	}
	spare := len(s) * 5 % 8
	if spare >= 5 {
		return nil, fmt.Errorf("%w: %d characters", ErrLength, len(s))
	}
	if spare > 0 && values[s[len(s)-1]]&(1<<spare-1) != 0 {
		return nil, ErrTrailingBits
	}
	b, err := encoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("zbase32: %w", err) // nothing that was not checked above
	}
	return b, nil
}

// DecodeKey returns the key of 32 bytes that a text of KeyLen characters stands
// for. The errors are those of Decode.
func DecodeKey(s string) (key [32]byte, err error) {
	if len(s) != KeyLen {
		return key, fmt.Errorf("%w: %d characters, a key has %d", ErrLength, len(s), KeyLen)
	}
	b, err := Decode(s)
	if err != nil {
		return key, err
	}
	return [32]byte(b), nil
}
