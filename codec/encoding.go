package codec

// Encoding turns values into bytes and back.
//
// An Encoding has no state and is safe for concurrent use.
type Encoding[T any] interface {
	// Append appends the bytes of v to dst. They do not refer to v. On error the
	// result is nil and what is in dst is unchanged. The built-in encodings return
	// an [*EncodeError].
	Append(dst []byte, v T) ([]byte, error)

	// Decode returns the value that all of b stands for. The value may refer to
	// b, which then must not change any more: b belongs to it. On error the value
	// is zero. The built-in encodings return a [*DecodeError].
	Decode(b []byte) (T, error)
}

// New makes an encoding of two functions, which keep the contract of [Encoding].
func New[T any](append func(dst []byte, v T) ([]byte, error), decode func(b []byte) (T, error)) Encoding[T] {
	return funcs[T]{append, decode}
}

type funcs[T any] struct {
	append func([]byte, T) ([]byte, error)
	decode func([]byte) (T, error)
}

func (f funcs[T]) Append(dst []byte, v T) ([]byte, error) { return f.append(dst, v) }
func (f funcs[T]) Decode(b []byte) (T, error)             { return f.decode(b) }

// Any returns an encoding for values whose type is known at run time only. Append takes a
// T and refuses anything else with an error that matches [ErrType].
func Any[T any](name string, e Encoding[T]) Encoding[any] {
	return New(
		func(dst []byte, v any) ([]byte, error) {
			t, ok := v.(T)
			if !ok {
				return nil, typeError(name, v)
			}
			return e.Append(dst, t)
		},
		func(b []byte) (any, error) {
			v, err := e.Decode(b)
			if err != nil {
				return nil, err
			}
			return v, nil
		},
	)
}

// appendWriter is an io.Writer and io.ByteWriter that appends.
type appendWriter []byte

func (w *appendWriter) Write(b []byte) (int, error) {
	*w = append(*w, b...)
	return len(b), nil
}

func (w *appendWriter) WriteByte(b byte) error {
	*w = append(*w, b)
	return nil
}
