package codec

import "fmt"

// ByName returns the encoding that JavaScript's options name so, for values of any
// type. Otherwise the error matches [ErrUnknownEncoding].
//
//	name             takes                     gives
//	binary, or none  []byte, string            []byte
//	utf-8, utf8      string, []byte            string
//	json, ndjson     what encoding/json takes  any, see JSON
//	msgpack          what msgpack takes        any, see Msgpack
func ByName(name string) (Encoding[any], error) {
	switch name {
	case "", "binary":
		return anyBinary, nil
	case "utf-8", "utf8":
		return anyText, nil
	case "json", "ndjson":
		return JSON[any](), nil
	case "msgpack":
		return Msgpack[any](), nil
	}
	return nil, fmt.Errorf("%w %q", ErrUnknownEncoding, name)
}

// anyBinary takes strings too, as the original does.
var anyBinary = New(
	func(dst []byte, v any) ([]byte, error) {
		switch v := v.(type) {
		case []byte:
			return append(dst, v...), nil
		case string:
			return append(dst, v...), nil
		}
		return nil, typeError("binary", v)
	},
	func(b []byte) (any, error) { return b, nil },
)

var anyText = New(
	func(dst []byte, v any) ([]byte, error) {
		switch v := v.(type) {
		case []byte:
			return UTF8.Append(dst, string(v))
		case string:
			return UTF8.Append(dst, v)
		}
		return nil, typeError("utf-8", v)
	},
	Any("utf-8", UTF8).Decode,
)
