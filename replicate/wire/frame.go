package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// MaxBody is the largest body that a frame may have, in bytes.
	MaxBody = 8 << 20

	// KeepAlive is the one byte of a keep-alive frame.
	KeepAlive = 0x00

	// MaxChannel is the largest channel number that a frame can carry.
	// Hypercore 9 computes with 32 bits and cannot tell channels from 2^28 on
	// apart.
	MaxChannel = 1<<(maxHeadVarint*7-typeBits) - 1
)

const (
	typeBits = 4
	typeMask = 1<<typeBits - 1

	// maxHeadVarint is the length in bytes of the longest varint in a frame's
	// head.
	maxHeadVarint = 8
)

// Type is the kind of a frame's message.
type Type uint8

// The types of messages. 11 to 14 mean nothing yet.
const (
	TypeOpen      Type = 0
	TypeOptions   Type = 1
	TypeStatus    Type = 2
	TypeHave      Type = 3
	TypeUnhave    Type = 4
	TypeWant      Type = 5
	TypeUnwant    Type = 6
	TypeRequest   Type = 7
	TypeCancel    Type = 8
	TypeData      Type = 9
	TypeClose     Type = 10
	TypeExtension Type = 15
)

var typeNames = [...]string{
	"Open", "Options", "Status", "Have", "Unhave", "Want", "Unwant", "Request", "Cancel", "Data", "Close",
	TypeExtension: "Extension",
}

// String returns the message's name.
func (t Type) String() string {
	if t.Known() {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// Known says whether messages of type t have a meaning. Others are ignored.
func (t Type) Known() bool { return int(t) < len(typeNames) && typeNames[t] != "" }

// Frame is one message as it came, before its body is decoded.
type Frame struct {
	Channel uint64 // in the numbering of the frame's sender
	Type    Type   // 0 to 15
	Body    []byte // refers to the buffer that the frame was found in
}

// appendHead appends what comes before a body of the given length.
func appendHead(dst []byte, channel uint64, t Type, body int) []byte {
	header := channel<<typeBits | uint64(t)
	dst = protowire.AppendVarint(dst, uint64(protowire.SizeVarint(header)+body))
	return protowire.AppendVarint(dst, header)
}

// parseFrame returns the first frame of b and how many bytes of b it and the
// keep-alives before it take. If b ends before the frame does, n is the length
// of the keep-alives and need is at least 1: how many bytes are missing as far
// as can be told. A frame that is not allowed is an error before its body is
// there.
func parseFrame(b []byte) (f Frame, n, need int, err error) {
	var size uint64
	at := 0
	for size == 0 {
		n += at // a keep-alive, if anything
		if size, at, err = parseHeadVarint(b[n:]); err != nil {
			return Frame{}, 0, 0, err
		}
		if at == 0 {
			return Frame{}, n, 1, nil
		}
	}
	if size > maxHeadVarint+MaxBody {
		return Frame{}, 0, 0, fmt.Errorf("%w: %d bytes", ErrFrameSize, size)
	}
	rest := b[n+at:]
	missing := int(size) - len(rest)
	header, headerSize, err := parseHeadVarint(rest[:min(len(rest), int(size))])
	switch {
	case err != nil:
		return Frame{}, 0, 0, err
	case headerSize == 0 && missing <= 0:
		return Frame{}, 0, 0, fmt.Errorf("%w: %d bytes do not hold the header", ErrFrameSize, size)
	case headerSize > 0 && int(size)-headerSize > MaxBody:
		return Frame{}, 0, 0, fmt.Errorf("%w: %d bytes", ErrFrameSize, size)
	case missing > 0:
		return Frame{}, n, missing, nil
	}
	return Frame{
		Channel: header >> typeBits,
		Type:    Type(header & typeMask),
		Body:    rest[headerSize:size:size],
	}, n + at + int(size), 0, nil
}

// parseHeadVarint returns the varint at the start of b and its length, or the
// length 0 if b ends before it does.
func parseHeadVarint(b []byte) (v uint64, n int, err error) {
	for i := range min(len(b), maxHeadVarint) {
		v |= uint64(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return v, i + 1, nil
		}
	}
	if len(b) >= maxHeadVarint {
		return 0, 0, ErrFrameVarint
	}
	return 0, 0, nil
}
