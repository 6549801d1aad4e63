// Package protomux reads and writes the frames of protomux 3, which puts channels
// on a stream that keeps the bounds of messages. Blind relays of hyperdht 6 are
// spoken to in it.
//
// A frame is one message of the stream. In compact-encoding (see codec/compact):
//
//	open      0x00 | 0x01 | uint channel | string protocol | optional buffer id | handshake
//	reject    0x00 | 0x02 | uint channel
//	close     0x00 | 0x03 | uint channel
//	message   uint channel | uint type | body
//	batch     0x00 | 0x00 | uint channel | entry ...
//	entry     uint length | uint type | body       of the channel named before
//	          0x00 | uint channel                  the entries that follow are of this one
//
// Handshake and body go to the end of the frame or entry. Within a batch, channel 0
// has the control frames: their type is the second byte of the forms above.
//
// Each side numbers the channels that it opens from 1, and puts its own number on
// what it sends; a reject has the number that its receiver gave. A channel is there
// when both sides have opened it, that is the same protocol and id, in whatever
// order; one that is not wanted is rejected. A channel's first messages may come
// before the other side's open.
//
// Empty frames and unknown control frames are ignored.
package protomux

import (
	"errors"
	"fmt"
	"iter"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// ErrMalformed marks a frame that is none.
var ErrMalformed = errors.New("protomux: malformed frame")

// Kind is what a Frame does.
type Kind uint8

// The kinds, but for batches, which are many.
const (
	Message Kind = iota
	Open
	Reject
	Close
)

// Control types, on channel 0.
const (
	typeBatch = iota
	typeOpen
	typeReject
	typeClose
)

// Frame is one frame, or one entry of a batch. Its slices alias the input.
type Frame struct {
	Kind Kind
	// Channel is the sender's number of the channel, the receiver's in a Reject.
	Channel uint64
	// Protocol, ID (nil for none) and Handshake are of an Open.
	Protocol  string
	ID        []byte
	Handshake []byte
	// Type and Body are of a Message.
	Type uint64
	Body []byte
}

// Frames yields what is in a frame. An error is the last pair; it is
// ErrMalformed.
func Frames(b []byte) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		if len(b) == 0 {
			return
		}
		d := compact.NewDecoder(b)
		channel, kind := d.Uint(), d.Uint()
		if d.Err() == nil && channel == 0 && kind == typeBatch {
			batch(&d, yield)
			return
		}
		one(channel, kind, &d, yield)
	}
}

// batch yields the entries of a batch.
func batch(d *compact.Decoder, yield func(Frame, error) bool) {
	channel := d.Uint()
	for d.Len() > 0 {
		entry := d.Buffer()
		if d.Err() == nil && len(entry) == 0 {
			channel = d.Uint()
			continue
		}
		if d.Err() != nil {
			break
		}
		e := compact.NewDecoder(entry)
		kind := e.Uint()
		if channel == 0 && kind == typeBatch && e.Err() == nil {
			yield(Frame{}, fmt.Errorf("%w: a batch in a batch", ErrMalformed))
			return
		}
		if !one(channel, kind, &e, yield) {
			return
		}
	}
	if err := d.Err(); err != nil {
		yield(Frame{}, fmt.Errorf("%w: batch: %w", ErrMalformed, err))
	}
}

// one yields the frame whose channel and type were read from d, and says whether
// to go on.
func one(channel, kind uint64, d *compact.Decoder, yield func(Frame, error) bool) bool {
	var f Frame
	switch {
	case channel != 0:
		f = Frame{Kind: Message, Channel: channel, Type: kind, Body: d.Raw()}
	case kind == typeOpen:
		f = Frame{Kind: Open, Channel: d.Uint(), Protocol: d.String(), ID: d.OptionalBuffer(), Handshake: d.Raw()}
	case kind == typeReject:
		f = Frame{Kind: Reject, Channel: d.Uint()}
	case kind == typeClose:
		f = Frame{Kind: Close, Channel: d.Uint()}
	case d.Err() == nil:
		return true // of a later version
	}
	if err := d.Err(); err != nil {
		yield(Frame{}, fmt.Errorf("%w: %w", ErrMalformed, err))
		return false
	}
	return yield(f, nil)
}

// AppendOpen appends the frame that opens a channel. A nil id means none, and so
// does an empty one.
func AppendOpen(b []byte, channel uint64, protocol string, id, handshake []byte) []byte {
	b = compact.AppendUint(append(b, 0, typeOpen), channel)
	b = compact.AppendString(b, protocol)
	b = compact.AppendBuffer(b, id)
	return append(b, handshake...)
}

// AppendReject appends the frame that rejects the peer's channel.
func AppendReject(b []byte, channel uint64) []byte {
	return compact.AppendUint(append(b, 0, typeReject), channel)
}

// AppendClose appends the frame that closes the own channel.
func AppendClose(b []byte, channel uint64) []byte {
	return compact.AppendUint(append(b, 0, typeClose), channel)
}

// AppendMessage appends a message's frame up to its body, which the caller appends.
// A channel is at least 1.
func AppendMessage(b []byte, channel, kind uint64) []byte {
	return compact.AppendUint(compact.AppendUint(b, channel), kind)
}
