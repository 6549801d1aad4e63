package wire

import (
	"errors"
	"io"
)

const (
	// quietReads is the number of reads in a row that find little after which
	// a Reader makes its buffer small again.
	quietReads = 16

	// maxEmptyReads is the number of reads in a row without bytes and without
	// an error that a Reader takes, as bufio's does.
	maxEmptyReads = 100
)

// Reader cuts the stream that it reads into frames. It reads straight into the
// buffer that the frames' bodies refer to, in pieces that grow from 4 KiB to 256
// KiB while the stream is busy and shrink again when it is not. It is not safe
// for concurrent use.
type Reader struct {
	split Splitter
	src   io.Reader
	err   error // of src; returned when the frames before it are

	size  int // capacity of the next buffer
	quiet int // reads in a row that found little
}

// NewReader returns a Reader of src, whose bytes must be plaintext, as those of
// the reader that a handshake of package noise ends in.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, size: minBuffer}
}

// Next returns the next frame and waits for it if it must. Keep-alives are
// skipped. The frame's body is valid until the next call of Next, unless
// [Reader.Keep] is called before that.
//
// The error is [ErrFrameSize], [ErrFrameVarint], that of the source,
// io.ErrUnexpectedEOF if the stream ends in a frame, or io.EOF if it ends
// between two. It stays.
func (r *Reader) Next() (Frame, error) {
	for {
		f, ok, err := r.split.Next()
		if ok || err != nil {
			return f, err
		}
		if r.err != nil {
			if errors.Is(r.err, io.EOF) && r.split.Buffered() > 0 {
				return Frame{}, io.ErrUnexpectedEOF
			}
			return Frame{}, r.err
		}
		r.fill()
	}
}

// Ready says whether Next would return without reading.
func (r *Reader) Ready() bool {
	if r.err != nil || r.split.err != nil {
		return true
	}
	_, _, need, err := parseFrame(r.split.buf[r.split.next:])
	return need == 0 || err != nil
}

// Keep makes the body of the frame that Next returned last stay valid until the
// returned buffer is released; see [Splitter.Keep].
func (r *Reader) Keep() *Buffer { return r.split.Keep() }

// fill reads once, or sets r.err.
func (r *Reader) fill() {
	s := &r.split
	if s.Buffered() == 0 && (cap(s.buf) < r.size || cap(s.buf) > 2*r.size) {
		s.replace(nil) // too small for the stream's pace, or left over from a large frame
	}
	s.grow(r.size/8, r.size) // a buffer is used until less than an eighth is free

	free := s.buf[len(s.buf):cap(s.buf)]
	for range maxEmptyReads {
		n, err := r.src.Read(free)
		s.buf = s.buf[:len(s.buf)+n]
		r.err = err
		if n > 0 || err != nil {
			r.pace(n, len(free))
			return
		}
	}
	r.err = io.ErrNoProgress
}

// pace chooses the size of the next buffer after a read of n bytes where free
// would have fit.
func (r *Reader) pace(n, free int) {
	switch {
	case n == free:
		r.size, r.quiet = min(2*r.size, maxBuffer), 0
	case n >= r.size/8:
		r.quiet = 0
	default:
		if r.quiet++; r.quiet == quietReads {
			r.size, r.quiet = minBuffer, 0
		}
	}
}
