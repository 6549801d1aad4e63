package static

import (
	"errors"
	"fmt"
	"io"

	"github.com/cairn-feeds/cairn/codec/varint"
)

const (
	minBuffer = 16 << 10 // capacity of the buffer of a frameReader between large frames
	// maxFrameVarint is the most bytes of a length.
	maxFrameVarint = 8
	// maxEmptyReads is how many reads in a row may bring nothing, as in bufio.
	maxEmptyReads = 100
)

// frameReader cuts a stream into the payloads of frames. Its memory grows with the bytes
// that arrive, not with those that a length promises.
type frameReader struct {
	src  io.Reader
	buf  []byte // buf[next:] has not been returned
	next int
	most int // the largest payload that is allowed
	err  error

	onRead func() // called when bytes have arrived
}

// read returns the next payload that is not empty. It is valid until the next call. An error
// sticks; it is io.EOF between frames and io.ErrUnexpectedEOF within one.
func (r *frameReader) read() ([]byte, error) {
	for {
		payload, n, err := r.parse()
		if err != nil {
			return nil, err
		}
		if n > 0 {
			r.next += n
			if len(payload) > 0 {
				return payload, nil
			}
			continue
		}
		if r.err != nil {
			if errors.Is(r.err, io.EOF) && r.next < len(r.buf) {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, r.err
		}
		r.fill()
	}
}

// parse returns the payload of the first frame in the buffer and how many bytes the frame
// takes, 0 when it is not complete.
func (r *frameReader) parse() (payload []byte, n int, err error) {
	b := r.buf[r.next:]
	size, head, err := varint.Consume(b, maxFrameVarint)
	switch {
	case errors.Is(err, varint.ErrTruncated):
		return nil, 0, nil
	case err != nil:
		return nil, 0, fmt.Errorf("%w: %w", ErrFrame, err)
	case size > uint64(r.most):
		return nil, 0, fmt.Errorf("%w: %d bytes, allowed are %d", ErrFrame, size, r.most)
	case uint64(len(b)-head) < size:
		return nil, 0, nil
	}
	return b[head : head+int(size)], head + int(size), nil
}

// ready says whether read would return at once.
func (r *frameReader) ready() bool {
	_, n, err := r.parse()
	return n > 0 || err != nil
}

// partial says whether a frame has begun and not ended.
func (r *frameReader) partial() bool { return r.next < len(r.buf) }

// fill reads once.
func (r *frameReader) fill() {
	if r.next == len(r.buf) {
		r.buf, r.next = r.buf[:0], 0
		if cap(r.buf) < minBuffer || cap(r.buf) > 16*minBuffer {
			r.buf = make([]byte, 0, minBuffer)
		}
	} else if cap(r.buf)-len(r.buf) < cap(r.buf)/4 {
		rest := r.buf[r.next:]
		to := r.buf[:0]
		if len(rest) > cap(r.buf)/2 {
			to = make([]byte, 0, 2*cap(r.buf))
		}
		r.buf, r.next = append(to, rest...), 0
	}
	for range maxEmptyReads {
		n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		r.err = err
		if n > 0 {
			r.onRead()
		}
		if n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}
