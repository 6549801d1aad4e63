package wire

// Splitter cuts a stream into frames, whatever the pieces it arrives in. The
// zero value is at the beginning of a stream. It is not safe for concurrent
// use. [Reader] is one that reads its stream itself.
//
// It buffers what was fed to it and not yet returned, at most one frame if Next
// is called until it has no more before the next Feed. Its memory grows with the
// bytes that arrived, not with those that a frame's length promises.
type Splitter struct {
	buf    []byte // buf[next:] has not been returned
	next   int
	need   int     // how many bytes the first frame of buf[next:] lacks, as far as known
	memory *Buffer // what buf is in; nil while buf is
	err    error
}

// Feed appends p to the stream. It copies p.
func (s *Splitter) Feed(p []byte) {
	s.grow(len(p), minBuffer)
	s.buf = append(s.buf, p...)
}

// Next returns the next frame; ok is false when it has not arrived in full.
// Keep-alives are skipped. The frame's body refers to the buffer and is valid
// until the next Feed, unless [Splitter.Keep] is called before that.
//
// An error is [ErrFrameSize] or [ErrFrameVarint] and stays.
func (s *Splitter) Next() (f Frame, ok bool, err error) {
	if s.err != nil {
		return Frame{}, false, s.err
	}
	f, n, need, err := parseFrame(s.buf[s.next:])
	if err != nil {
		s.err = err
		return Frame{}, false, err
	}
	s.next += n
	s.need = need
	return f, need == 0, nil
}

// Keep makes the body of the frame that Next returned last stay valid until the
// returned buffer is released. It is called once for each frame to be kept, and
// each of these calls wants its own Release. Who keeps a small body keeps all of
// the buffer, up to 256 KiB or what the largest frame in it needs.
func (s *Splitter) Keep() *Buffer {
	if s.memory != nil {
		s.memory.users.Add(1)
	}
	return s.memory
}

// Buffered returns the number of bytes fed that are not part of a frame
// returned.
func (s *Splitter) Buffered() int { return len(s.buf) - s.next }

// grow makes room for n bytes behind those in the buffer, if it must in a new
// buffer of at least the given capacity.
func (s *Splitter) grow(n, capacity int) {
	rest := s.buf[s.next:]
	ours := !s.memory.kept()
	if ours && len(rest) == 0 {
		s.buf, s.next = s.buf[:0], 0
	}
	if cap(s.buf)-len(s.buf) >= n {
		return
	}
	if ours && cap(s.buf)-len(rest) >= n {
		s.buf, s.next = s.buf[:copy(s.buf, rest)], 0
		return
	}
	// Twice the size, so that a large frame in small pieces is not copied with
	// each of them, but no more than the frame has use for.
	twice := len(rest) + min(len(rest), s.need)
	s.replace(newBuffer(max(capacity, len(rest)+n, twice)))
}

// replace moves what is in the buffer to another one, which may be nil if there
// is nothing.
func (s *Splitter) replace(m *Buffer) {
	var buf []byte
	if m != nil {
		buf = append(m.bytes, s.buf[s.next:]...)
	}
	s.memory.Release()
	s.memory, s.buf, s.next = m, buf, 0
}
