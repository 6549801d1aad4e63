package wire_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/cairn-feeds/cairn/replicate/wire"
)

// Any body of any type is a message or an error that says what is wrong with
// it. A message is encoded and decoded again as itself.
func FuzzDecode(f *testing.F) {
	v := loadMessages(f)
	for _, m := range append(v.Messages, v.Extensions...) {
		f.Add(uint8(m.Type), []byte(m.Body))
	}
	f.Fuzz(func(t *testing.T, typ uint8, body []byte) {
		frame := wire.Frame{Channel: 1, Type: wire.Type(typ % 16), Body: body}
		m, err := wire.Decode(frame)
		if err != nil {
			var e *wire.MessageError
			if m != nil || !errors.As(err, &e) || e.Type != frame.Type {
				t.Fatalf("%v %x: %v, %v", frame.Type, body, m, err)
			}
			return
		}
		if m == nil {
			if frame.Type.Known() {
				t.Fatalf("%v %x: no message", frame.Type, body)
			}
			return
		}
		b := m.AppendFrame(nil, frame.Channel)
		again, err := wire.Decode(parseOne(t, b))
		if err != nil || !equal(m, again) {
			t.Fatalf("%v %x: %+v\nencoded as %x: %+v, %v", frame.Type, body, m, b, again, err)
		}
	})
}

// Any stream gives the same frames and ends the same way whether it is read or
// fed, and wherever it is cut.
func FuzzFrames(f *testing.F) {
	for _, s := range loadMessages(f).Streams {
		f.Add([]byte(s.Bytes), uint16(5))
	}
	f.Add(appendFrame([]byte{0, 0x80, 0}, 300, wire.TypeData, make([]byte, 5000)), uint16(4096))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint16(1))
	f.Add([]byte{1, 0x80, 1}, uint16(2))
	f.Fuzz(func(t *testing.T, stream []byte, at uint16) {
		var read []wire.Frame
		r := wire.NewReader(bytes.NewReader(stream))
		var readErr error
		for readErr == nil {
			var frame wire.Frame
			if frame, readErr = r.Next(); readErr == nil {
				r.Keep()
				read = append(read, frame)
			}
		}

		var fed []wire.Frame
		var s wire.Splitter
		var fedErr error
		cut := min(int(at), len(stream))
		for _, piece := range [][]byte{stream[:cut], stream[cut:]} {
			s.Feed(piece)
			for fedErr == nil {
				var frame wire.Frame
				var ok bool
				if frame, ok, fedErr = s.Next(); !ok {
					break
				}
				s.Keep()
				fed = append(fed, frame)
			}
		}
		if fedErr == nil {
			if fedErr = io.EOF; s.Buffered() > 0 {
				fedErr = io.ErrUnexpectedEOF
			}
		}

		if len(read) != len(fed) || readErr.Error() != fedErr.Error() {
			t.Fatalf("read %d frames, %v; fed %d frames, %v", len(read), readErr, len(fed), fedErr)
		}
		for i := range read {
			a, b := read[i], fed[i]
			if a.Channel != b.Channel || a.Type != b.Type || !bytes.Equal(a.Body, b.Body) {
				t.Fatalf("frame %d read as %+v, fed as %+v", i, a, b)
			}
		}
	})
}
