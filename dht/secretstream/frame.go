package secretstream

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	lengthSize = 3
	maxFrame   = 1<<24 - 1

	// MaxMessage is the length of the longest message that fits in a frame.
	MaxMessage = maxFrame - overhead

	// headroom is what must precede a frame in a buffer: scratch for cipherState,
	// less the frame's length.
	headroom = scratch - lengthSize

	// A read buffer starts at minReadBuffer, doubles up to maxReadBuffer while
	// reads fill it, goes beyond only to hold a longer frame, and returns when
	// the last fewFrames did not need it.
	minReadBuffer = 4 << 10
	maxReadBuffer = 128 << 10
	fewFrames     = 32
)

func putLength(b []byte, n int) { b[0], b[1], b[2] = byte(n), byte(n>>8), byte(n>>16) }

func getLength(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// appendMessage appends the frame of a message of at most MaxMessage bytes to
// dst, which holds at least headroom bytes.
func appendMessage(dst []byte, s *cipherState, message []byte) []byte {
	start := len(dst)
	size := lengthSize + overhead + len(message)
	dst = slices.Grow(dst, size)[:start+size]
	region := dst[start-headroom:]
	// Sealing needs scratch before the message, which is where the last frame
	// ends: move that aside.
	var behind [headroom]byte
	copy(behind[:], region)
	copy(region[blockSize:], message)
	s.seal(region, tagMessage)
	copy(region, behind[:])
	putLength(dst[start:], size-lengthSize)
	return dst
}

// appendFrame appends a frame that is not encrypted.
func appendFrame(dst, body []byte) []byte {
	n := len(dst)
	dst = append(dst, 0, 0, 0)
	putLength(dst[n:], len(body))
	return append(dst, body...)
}

// frameReader cuts a byte stream into frames, however it was chunked. It never
// holds more than twice the bytes that have arrived and were not consumed, or
// maxReadBuffer if that is more.
type frameReader struct {
	src io.Reader
	buf []byte
	// buf[r:w] was read and not consumed. While there is a buffer, r is at least
	// headroom.
	r, w  int
	full  bool // the last read filled the buffer
	small int  // frames since the last one that needed more than maxReadBuffer
}

// next returns the body of the next frame with scratch bytes before it, which
// are free to be overwritten, as is the body. Both are valid until the following
// call. An empty frame, or one of more than limit bytes, is an ErrFrame, found
// before it is read. The error is io.EOF only between frames.
func (f *frameReader) next(limit int) (region []byte, err error) {
	for f.w-f.r < lengthSize {
		if err := f.fill(lengthSize); err != nil {
			return nil, err
		}
	}
	n := getLength(f.buf[f.r:])
	if n == 0 || n > limit {
		return nil, fmt.Errorf("%w: %d bytes, expected 1 to %d", ErrFrame, n, limit)
	}
	need := lengthSize + n
	for f.w-f.r < need {
		if err := f.fill(need); err != nil {
			return nil, err
		}
	}
	if headroom+need > maxReadBuffer {
		f.small = 0
	} else {
		f.small++
	}
	region = f.buf[f.r-headroom : f.r+need]
	f.r += need
	return region, nil
}

// fill reads once, into a buffer that has or will grow towards room for need
// unconsumed bytes.
func (f *frameReader) fill(need int) error {
	f.makeRoom(need)
	for range 100 {
		n, err := f.src.Read(f.buf[f.w:])
		if n > 0 {
			f.w += n
			f.full = f.w == len(f.buf)
			return nil // an error comes again
		}
		switch {
		case errors.Is(err, io.EOF) && f.w > f.r:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

func (f *frameReader) makeRoom(need int) {
	size := len(f.buf)
	switch {
	case size == 0:
		size = minReadBuffer
	case f.full && size < maxReadBuffer:
		size *= 2
	case f.w == f.r && size > maxReadBuffer && f.small >= fewFrames:
		size = maxReadBuffer
	case f.w-f.r == size-headroom: // one frame fills it all
		size = min(2*size, headroom+need)
	}
	f.full = false
	switch {
	case size != len(f.buf):
		f.moveTo(make([]byte, size))
	case f.w == f.r:
		f.r, f.w = headroom, headroom
	case f.r > headroom && (f.r+need > size || f.w-f.r < blockSize):
		f.moveTo(f.buf)
	}
}

func (f *frameReader) moveTo(buf []byte) {
	n := copy(buf[headroom:], f.buf[f.r:f.w])
	f.buf, f.r, f.w = buf, headroom, headroom+n
}

// rest gives memory back when nothing is expected for a while.
func (f *frameReader) rest() {
	if f.w == f.r && len(f.buf) > minReadBuffer {
		f.buf, f.r, f.w, f.full = nil, 0, 0, false
	}
}
