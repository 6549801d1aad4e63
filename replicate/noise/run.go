package noise

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Run holds the handshake over stream, which it reads and writes in turn, and
// returns the transport and what it carries: a reader of all that the remote
// sends from here on, decrypted. Reading it is in place of calling
// [Transport.Decrypt].
//
// Run does not give up by itself: a deadline or closing the stream ends it, with
// the stream's error. Other errors are those of Step, and a remote that ends the
// stream in the middle, as one does that refuses us, is io.ErrUnexpectedEOF,
// which matches [ErrHandshake] too.
func (h *Handshake) Run(stream io.ReadWriter) (*Transport, io.Reader, error) {
	buf := make([]byte, 4096)
	for n := 0; ; {
		out, rest, err := h.Step(buf[:n])
		if err != nil {
			return nil, nil, err
		}
		if len(out) > 0 {
			if _, err := stream.Write(out); err != nil {
				return nil, nil, fmt.Errorf("noise: writing the handshake: %w", err)
			}
		}
		if t := h.transport; t != nil {
			if len(rest) == 0 {
				return t, t.Reader(stream), nil
			}
			return t, t.Reader(io.MultiReader(bytes.NewReader(rest), stream)), nil
		}
		n, err = io.ReadAtLeast(stream, buf, 1)
		if errors.Is(err, io.EOF) {
			return nil, nil, fmt.Errorf("%w: %w", ErrHandshake, io.ErrUnexpectedEOF)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("noise: reading the handshake: %w", err)
		}
	}
}
