package ingest

import (
	"bytes"
	"fmt"
)

// TooLargeError says that a block would be larger than [Options.MaxBlock]. The blocks before it were committed.
type TooLargeError struct {
	// Line is the number of the line, from 1; zero when blocks are not lines.
	Line uint64
	// Max is the most bytes that a block may have.
	Max int
}

// Error names the line.
func (e *TooLargeError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("the input is longer than the largest block, %d bytes", e.Max)
	}
	return fmt.Sprintf("line %d is longer than the largest block, %d bytes", e.Line, e.Max)
}

// batch is a row of complete blocks, and at the end the beginning of the next one.
type batch struct {
	data []byte
	ends []int // of the complete blocks in data
}

// begun is where the incomplete block begins.
func (b *batch) begun() int {
	if len(b.ends) == 0 {
		return 0
	}
	return b.ends[len(b.ends)-1]
}

func (b *batch) finishBlock() { b.ends = append(b.ends, len(b.data)) }

// moveRest moves the incomplete block to another batch, which is empty.
func (b *batch) moveRest(to *batch) {
	at := b.begun()
	to.data = append(to.data[:0], b.data[at:]...)
	to.ends = to.ends[:0]
	b.data = b.data[:at]
}

// blocks returns the complete blocks. They alias the batch.
func (b *batch) blocks(dst [][]byte) [][]byte {
	from := 0
	for _, end := range b.ends {
		dst = append(dst, b.data[from:end:end])
		from = end
	}
	return dst
}

// A splitter cuts the input into blocks.
type splitter interface {
	// split adds bytes from the front of p to b, at most up to the end of one block, and returns how many it has used.
	split(b *batch, p []byte) (used int, err error)
	// finish ends the input.
	finish(b *batch)
}

// lines makes a block of each line, without the newline that ends it.
type lines struct {
	most   int
	number uint64 // lines that are complete
}

func (l *lines) split(b *batch, p []byte) (int, error) {
	n := bytes.IndexByte(p, '\n')
	rest := n
	if n < 0 {
		rest = len(p)
	}
	if len(b.data)-b.begun()+rest > l.most {
		return 0, &TooLargeError{Line: l.number + 1, Max: l.most}
	}
	b.data = append(b.data, p[:rest]...)
	if n < 0 {
		return rest, nil
	}
	b.finishBlock()
	l.number++
	return n + 1, nil
}

// finish makes a block of a last line without newline.
func (l *lines) finish(b *batch) {
	if len(b.data) > b.begun() {
		b.finishBlock()
	}
}

// pieces makes blocks of one size; the last one may be shorter.
type pieces struct{ size int }

func (s *pieces) split(b *batch, p []byte) (int, error) {
	missing := s.size - (len(b.data) - b.begun())
	n := min(missing, len(p))
	b.data = append(b.data, p[:n]...)
	if n == missing {
		b.finishBlock()
	}
	return n, nil
}

func (s *pieces) finish(b *batch) {
	if len(b.data) > b.begun() {
		b.finishBlock()
	}
}

// whole makes one block of the input, also of an empty one.
type whole struct{ most int }

func (s *whole) split(b *batch, p []byte) (int, error) {
	if len(b.data)+len(p) > s.most {
		return 0, &TooLargeError{Max: s.most}
	}
	b.data = append(b.data, p...)
	return len(p), nil
}

func (s *whole) finish(b *batch) { b.finishBlock() }
