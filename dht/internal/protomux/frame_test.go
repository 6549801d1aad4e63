package protomux_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/cairn-feeds/cairn/dht/internal/protomux"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// known has frames that protomux 3 wrote (the first seven), and what a client of a
// blind relay sent in hyperdht 6.34.
var known = []struct {
	hex    string
	frames []protomux.Frame
}{
	{"000101036f6e6500026869", []protomux.Frame{{Kind: protomux.Open, Channel: 1, Protocol: "one", Handshake: []byte("\x02hi")}}},
	{"0001020374776f026964", []protomux.Frame{{Kind: protomux.Open, Channel: 2, Protocol: "two", ID: []byte("id"), Handshake: []byte{}}}},
	{"01000474657874", []protomux.Frame{{Kind: protomux.Message, Channel: 1, Body: []byte("\x04text")}}},
	{"010109", []protomux.Frame{{Kind: protomux.Message, Channel: 1, Type: 1, Body: []byte{9}}}},
	{"000001030001780300017900020400fd2c0100010101", []protomux.Frame{
		{Kind: protomux.Message, Channel: 1, Body: []byte("\x01x")},
		{Kind: protomux.Message, Channel: 1, Body: []byte("\x01y")},
		{Kind: protomux.Message, Channel: 2, Body: []byte{0xfd, 0x2c, 1}},
		{Kind: protomux.Message, Channel: 1, Type: 1, Body: []byte{}},
	}},
	{"0000020200010000020302", []protomux.Frame{
		{Kind: protomux.Message, Channel: 2, Body: []byte{1}},
		{Kind: protomux.Close, Channel: 2},
	}},
	{"000200", []protomux.Frame{{Kind: protomux.Reject}}},
	{"0001010b626c696e642d72656c617902abcd", []protomux.Frame{{Kind: protomux.Open, Channel: 1, Protocol: "blind-relay", ID: []byte{0xab, 0xcd}, Handshake: []byte{}}}},
	{"", nil},
	{"0009ff", nil}, // unknown control frame
}

func collect(b []byte) (frames []protomux.Frame, err error) {
	for f, e := range protomux.Frames(b) {
		if e != nil {
			return frames, e
		}
		frames = append(frames, f)
	}
	return frames, nil
}

func TestKnown(t *testing.T) {
	for _, c := range known {
		b := unhex(t, c.hex)
		frames, err := collect(b)
		if err != nil || !reflect.DeepEqual(frames, c.frames) {
			t.Errorf("%s: %+v, want %+v (%v)", c.hex, frames, c.frames, err)
		}
		if len(frames) == 1 {
			if got := appendFrame(nil, frames[0]); !bytes.Equal(got, b) {
				t.Errorf("%+v written as %x, want %s", frames[0], got, c.hex)
			}
		}
	}
}

func appendFrame(b []byte, f protomux.Frame) []byte {
	switch f.Kind {
	case protomux.Open:
		return protomux.AppendOpen(b, f.Channel, f.Protocol, f.ID, f.Handshake)
	case protomux.Reject:
		return protomux.AppendReject(b, f.Channel)
	case protomux.Close:
		return protomux.AppendClose(b, f.Channel)
	default:
		return append(protomux.AppendMessage(b, f.Channel, f.Type), f.Body...)
	}
}

func TestMalformed(t *testing.T) {
	for _, s := range []string{
		"00",           // no type
		"01",           // no type
		"fd01",         // half a number
		"0001",         // open without a channel
		"00010105",     // protocol of five bytes, none there
		"0001010061ff", // id of 97 bytes
		"0002",         // reject without a channel
		"0003",
		"0000",             // batch without a channel
		"00000105",         // entry of five bytes
		"000001030001",     // entry cut short
		"00000100",         // no channel after the switch
		"0000000400000100", // batch in a batch
		"0000000103",       // close without a channel, in a batch
	} {
		if frames, err := collect(unhex(t, s)); !errors.Is(err, protomux.ErrMalformed) {
			t.Errorf("%s: %+v, %v", s, frames, err)
		}
	}
}

func TestFramesStops(t *testing.T) {
	for range protomux.Frames(unhex(t, known[4].hex)) {
		break // a second yield would panic
	}
}

func FuzzFrames(f *testing.F) {
	for _, c := range known {
		f.Add(unhex(f, c.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for frame, err := range protomux.Frames(b) {
			if err != nil {
				if !errors.Is(err, protomux.ErrMalformed) {
					t.Errorf("%x: %v", b, err)
				}
				break
			}
			encoded := appendFrame(nil, frame)
			if again, err := collect(encoded); err != nil || len(again) != 1 || !reflect.DeepEqual(again[0], frame) {
				t.Errorf("%+v, then %+v (%v)", frame, again, err)
			}
		}
	})
}

// A frame with two messages.
func Example() {
	for frame, err := range protomux.Frames([]byte("\x00\x00\x01\x03\x00hi\x04\x07you")) {
		fmt.Println(frame.Channel, frame.Type, string(frame.Body), err)
	}
	// Output:
	// 1 0 hi <nil>
	// 1 7 you <nil>
}
