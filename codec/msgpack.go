package codec

import (
	"bytes"
	"fmt"
	"math"

	"github.com/vmihailenco/msgpack/v5"
)

// Msgpack is the encoding of values as MessagePack. Equal values have equal bytes:
// integers take the fewest bytes, keys of a map[string]any are sorted. Decoding into any
// gives int64 for integers (uint64 beyond its range), float64, string, []byte for
// binary, []any and map[string]any.
//
// What is decoded is checked as a whole first (see [MaxDepth]).
func Msgpack[T any]() Encoding[T] { return msgpackEncoding[T]{} }

type msgpackEncoding[T any] struct{}

func (msgpackEncoding[T]) Append(dst []byte, v T) ([]byte, error) {
	w := appendWriter(dst)
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	enc.Reset(&w)
	enc.UseCompactInts(true)
	enc.SetSortMapKeys(true)
	if err := enc.Encode(v); err != nil {
		return nil, &EncodeError{Encoding: "msgpack", Err: err}
	}
	return w, nil
}

func (msgpackEncoding[T]) Decode(b []byte) (T, error) {
	v, err := decodeMsgpack[T](b)
	if err != nil {
		var zero T
		return zero, &DecodeError{Encoding: "msgpack", Err: err}
	}
	return v, nil
}

func decodeMsgpack[T any](b []byte) (v T, err error) {
	if err := checkMsgpack(b); err != nil {
		return v, err
	}
	// The library sets keys of maps by reflection, which panics for those that Go
	// cannot compare.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrInvalid, r)
		}
	}()
	dec := msgpack.GetDecoder()
	defer msgpack.PutDecoder(dec)
	dec.Reset(bytes.NewReader(b))
	if err := dec.Decode(&v); err != nil {
		return v, err
	}
	if p, ok := any(&v).(*any); ok {
		*p = widen(*p)
	}
	return v, nil
}

// widen replaces the number types of the bytes (int8, float32, ...) by wide ones, so that
// a value's type does not depend on how small it is. The library's loose decoding does
// that too, but makes strings of binary.
func widen(v any) any {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v)
		}
	case float32:
		return float64(v)
	case []any:
		for i := range v {
			v[i] = widen(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = widen(v[key])
		}
	}
	return v
}
