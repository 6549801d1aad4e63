package codec

import (
	"encoding/binary"
	"fmt"
)

// MaxDepth is how deeply arrays and maps of MessagePack may be nested. The library
// decodes them by recursion, so that a block of 8 MB, each byte of which opens an
// array, would end the process by exhausting its stack.
const MaxDepth = 1000

// checkMsgpack reports whether b is exactly one value, all lengths within b, and
// nested no deeper than MaxDepth. It takes constant space per level.
func checkMsgpack(b []byte) error {
	size := len(b)
	var space [32]uint64
	open := append(space[:0], 1) // values that are still to come at each level
	for {
		for open[len(open)-1] == 0 {
			if open = open[:len(open)-1]; len(open) == 0 {
				if len(b) > 0 {
					return fmt.Errorf("%w: %d", ErrTrailing, len(b))
				}
				return nil
			}
		}
		open[len(open)-1]--
		skip, children, err := msgpackHead(b)
		if err == nil && skip > uint64(len(b)) {
			err = ErrTruncated
		}
		if err != nil {
			return fmt.Errorf("%w at byte %d", err, size-len(b))
		}
		b = b[skip:]
		if children > uint64(len(b)) { // each takes at least one byte
			return fmt.Errorf("%w: %d values at byte %d", ErrTruncated, children, size-len(b))
		}
		if children > 0 {
			if len(open) > MaxDepth {
				return ErrTooDeep
			}
			open = append(open, children)
		}
	}
}

// msgpackHead returns how many bytes the first value of b takes without the
// values inside of it, and how many those are.
func msgpackHead(b []byte) (skip, children uint64, err error) {
	if len(b) == 0 {
		return 0, 0, ErrTruncated
	}
	switch c := b[0]; {
	case c < 0x80, c >= 0xe0: // fixint
		return 1, 0, nil
	case c < 0x90: // fixmap
		return 1, 2 * uint64(c&0x0f), nil
	case c < 0xa0: // fixarray
		return 1, uint64(c & 0x0f), nil
	case c < 0xc0: // fixstr
		return 1 + uint64(c&0x1f), 0, nil
	default:
		h := msgpackHeads[c-0xc0]
		if h.kind == unusedHead {
			return 0, 0, fmt.Errorf("%w: byte %#x", ErrInvalid, c)
		}
		if 1+h.lengthBytes > len(b) {
			return 0, 0, ErrTruncated
		}
		var n [8]byte
		copy(n[8-h.lengthBytes:], b[1:1+h.lengthBytes])
		length := binary.BigEndian.Uint64(n[:])
		skip = uint64(1 + h.lengthBytes + h.fixed)
		switch h.kind {
		case bytesHead:
			return skip + length, 0, nil
		case arrayHead:
			return skip, length, nil
		case mapHead:
			return skip, 2 * length, nil
		}
		return skip, 0, nil
	}
}

const (
	scalarHead = iota
	bytesHead  // length bytes follow
	arrayHead  // length values follow
	mapHead    // twice as many follow
	unusedHead
)

// msgpackHeads describes the first bytes 0xc0 to 0xdf, as the MessagePack
// specification lists them.
var msgpackHeads = [32]struct{ kind, lengthBytes, fixed int }{
	0x00: {kind: scalarHead},                          // nil
	0x01: {kind: unusedHead},                          // never used
	0x02: {kind: scalarHead},                          // false
	0x03: {kind: scalarHead},                          // true
	0x04: {kind: bytesHead, lengthBytes: 1},           // bin 8
	0x05: {kind: bytesHead, lengthBytes: 2},           // bin 16
	0x06: {kind: bytesHead, lengthBytes: 4},           // bin 32
	0x07: {kind: bytesHead, lengthBytes: 1, fixed: 1}, // ext 8: a type byte and length bytes
	0x08: {kind: bytesHead, lengthBytes: 2, fixed: 1}, // ext 16
	0x09: {kind: bytesHead, lengthBytes: 4, fixed: 1}, // ext 32
	0x0a: {kind: scalarHead, fixed: 4},                // float 32
	0x0b: {kind: scalarHead, fixed: 8},                // float 64
	0x0c: {kind: scalarHead, fixed: 1},                // uint 8
	0x0d: {kind: scalarHead, fixed: 2},                // uint 16
	0x0e: {kind: scalarHead, fixed: 4},                // uint 32
	0x0f: {kind: scalarHead, fixed: 8},                // uint 64
	0x10: {kind: scalarHead, fixed: 1},                // int 8
	0x11: {kind: scalarHead, fixed: 2},                // int 16
	0x12: {kind: scalarHead, fixed: 4},                // int 32
	0x13: {kind: scalarHead, fixed: 8},                // int 64
	0x14: {kind: scalarHead, fixed: 2},                // fixext 1: a type byte and 1 byte
	0x15: {kind: scalarHead, fixed: 3},                // fixext 2
	0x16: {kind: scalarHead, fixed: 5},                // fixext 4
	0x17: {kind: scalarHead, fixed: 9},                // fixext 8
	0x18: {kind: scalarHead, fixed: 17},               // fixext 16
	0x19: {kind: bytesHead, lengthBytes: 1},           // str 8
	0x1a: {kind: bytesHead, lengthBytes: 2},           // str 16
	0x1b: {kind: bytesHead, lengthBytes: 4},           // str 32
	0x1c: {kind: arrayHead, lengthBytes: 2},           // array 16
	0x1d: {kind: arrayHead, lengthBytes: 4},           // array 32
	0x1e: {kind: mapHead, lengthBytes: 2},             // map 16
	0x1f: {kind: mapHead, lengthBytes: 4},             // map 32
}
