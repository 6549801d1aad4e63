package sleep

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
)

// readUpTo reads at most len(p) bytes from off; the end of the storage is not an
// error.
func readUpTo(s randomaccess.Storage, p []byte, off int64) (int, error) {
	n, err := s.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// start is how a file with a header begins.
type start struct {
	header []byte // at most HeaderSize bytes
	size   int64  // of the file
}

func readStart(s randomaccess.Storage) (start, error) {
	info, err := s.Stat()
	if err != nil {
		return start{}, err
	}
	header := make([]byte, HeaderSize)
	n, err := readUpTo(s, header, 0)
	return start{header[:n], info.Size}, err
}

// check compares a header with the one that the file has to have, and reports
// whether it is to be written. A header of which only the beginning was written,
// or nothing, was left by a crash while the feed was created. In a bitfield nothing
// may follow it then, since it says how long a page is.
func (s start) check(file string, want []byte) (write bool, err error) {
	if bytes.Equal(s.header, want) {
		return false, nil
	}
	same := 0
	for same < len(s.header) && s.header[same] == want[same] {
		same++
	}
	if (s.size <= HeaderSize || file != BitfieldFile) && isBlank(s.header[same:]) {
		return true, nil
	}
	e := &HeaderError{File: file, Reason: "unknown entry size or algorithm"}
	copy(e.Header[:], s.header)
	switch {
	case !bytes.Equal(e.Header[:4], want[:4]):
		e.Reason = "not a SLEEP file of this kind"
	case e.Header[4] != want[4]:
		e.Reason = "unknown version"
	}
	return false, e
}

// indexSize returns the index size that the header of a bitfield gives. The
// reference takes powers of two.
func (s start) indexSize() int {
	if len(s.header) == HeaderSize {
		size := int(binary.BigEndian.Uint16(s.header[5:])) - pageBits
		if size > 0 && size&(size-1) == 0 {
			return size
		}
	}
	return DefaultIndexSize
}
