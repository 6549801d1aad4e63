package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// blockWriter writes blocks to stdout.
type blockWriter struct {
	w       *bufio.Writer
	json    *json.Encoder // nil: the bytes themselves
	newline bool          // after each block
}

const blockWriterBuffer = 256 << 10

func (a *app) newBlockWriter(newline bool) *blockWriter {
	b := &blockWriter{w: bufio.NewWriterSize(a.stdout, blockWriterBuffer), newline: newline}
	if a.json {
		b.json = json.NewEncoder(b.w)
		b.json.SetEscapeHTML(false)
	}
	return b
}

// blockAnswer is a block as JSON: as text when it is UTF-8, else in base64.
type blockAnswer struct {
	Index      uint64  `json:"index"`
	ByteLength int     `json:"byteLength"`
	Data       *string `json:"data,omitempty"`
	Base64     []byte  `json:"base64,omitempty"`
}

func (b *blockWriter) write(index uint64, block []byte) error {
	var err error
	switch {
	case b.json != nil:
		v := blockAnswer{Index: index, ByteLength: len(block)}
		if utf8.Valid(block) {
			text := string(block)
			v.Data = &text
		} else {
			v.Base64 = block
		}
		err = b.json.Encode(v)
	default:
		_, err = b.w.Write(block)
		if err == nil && b.newline {
			err = b.w.WriteByte('\n')
		}
	}
	return outputError(err)
}

func (b *blockWriter) flush() error { return outputError(b.w.Flush()) }

func outputError(err error) error {
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}
