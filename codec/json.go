package codec

import "encoding/json"

// JSON is the encoding of values as JSON text and a newline byte, so that a feed
// of them reads as lines. That is what hypercore 9 stores for the value encoding
// "json"; Decode takes it with or without the newline.
//
// The text is that of encoding/json without the escaping of <, > and &, as
// JSON.stringify has it. Decoding into any gives float64 for numbers, as there.
func JSON[T any]() Encoding[T] { return jsonLine[T]{} }

// JSONText is JSON without the newline, as extension messages have it.
func JSONText[T any]() Encoding[T] { return jsonText[T]{} }

type jsonLine[T any] struct{}

func (jsonLine[T]) Append(dst []byte, v T) ([]byte, error) {
	w := appendWriter(dst)
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // ends its text with a newline
		return nil, &EncodeError{Encoding: "json", Err: err}
	}
	return w, nil
}

func (jsonLine[T]) Decode(b []byte) (T, error) {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		var zero T
		return zero, &DecodeError{Encoding: "json", Err: err}
	}
	return v, nil
}

type jsonText[T any] struct{ jsonLine[T] }

func (e jsonText[T]) Append(dst []byte, v T) ([]byte, error) {
	b, err := e.jsonLine.Append(dst, v)
	if err != nil {
		return nil, err
	}
	return b[:len(b)-1], nil
}
