package codec

import "unicode/utf8"

// Binary is the encoding of bytes as they are. Decode returns b itself.
var Binary Encoding[[]byte] = bytesEncoding{}

// UTF8 is the encoding of text. Both directions refuse what is not valid UTF-8,
// with an error matching [ErrUTF8]: JavaScript replaces it by U+FFFD, which loses
// data without a word.
var UTF8 Encoding[string] = textEncoding{}

type bytesEncoding struct{}

func (bytesEncoding) Append(dst, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (bytesEncoding) Decode(b []byte) ([]byte, error)      { return b, nil }

type textEncoding struct{}

func (textEncoding) Append(dst []byte, v string) ([]byte, error) {
	if !utf8.ValidString(v) {
		return nil, &EncodeError{Encoding: "utf-8", Err: ErrUTF8}
	}
	return append(dst, v...), nil
}

func (textEncoding) Decode(b []byte) (string, error) {
	if !utf8.Valid(b) {
		return "", &DecodeError{Encoding: "utf-8", Err: ErrUTF8}
	}
	return string(b), nil
}
