package static

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/codec/varint"
	"github.com/cairn-feeds/cairn/tree"
)

// This file is about frames and messages, which are not exported.

// sample is a message of the vectors.
type sample struct {
	Name  string
	Frame string
}

// samples are all frames of testdata/hypercore1.json.
func samples(t testing.TB) map[string][]sample {
	t.Helper()
	b, err := os.ReadFile("testdata/hypercore1.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Frames   []sample
		Sessions map[string]struct{ Sent map[string][]sample }
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	all := map[string][]sample{"frames": v.Frames}
	for name, s := range v.Sessions {
		for side, sent := range s.Sent {
			all[name+" "+side] = sent
		}
	}
	return all
}

func (s sample) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(s.Frame)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newFrameReader(src io.Reader) *frameReader {
	return &frameReader{src: src, most: MaxFrame, onRead: func() {}}
}

// TestVectors decodes everything that the reference wrote, and encodes it again to the same
// bytes.
func TestVectors(t *testing.T) {
	seen := map[string]int{}
	for where, all := range samples(t) {
		for i, s := range all {
			frame := s.bytes(t)
			payload, err := newFrameReader(bytes.NewReader(frame)).read()
			if err != nil {
				t.Fatalf("%s %d %s: %v", where, i, s.Name, err)
			}
			var again []byte
			switch s.Name {
			case "Handshake":
				var m handshake
				if err := m.decode(payload); err != nil {
					t.Errorf("%s %d: %v", where, i, err)
				}
				again = m.appendFrame(nil)
			case "Extension":
				again = appendExtension(nil, int(payload[0]-typeExtension), payload[1:])
			default:
				var m message
				if err := m.decode(payload); err != nil {
					t.Errorf("%s %d %s: %v", where, i, s.Name, err)
				}
				if m.typ.String() != s.Name {
					t.Errorf("%s %d: %v, want %s", where, i, m.typ, s.Name)
				}
				again = m.appendFrame(nil)
			}
			if !bytes.Equal(again, frame) {
				t.Errorf("%s %d %s: encoded again\n%x, want\n%x", where, i, s.Name, again, frame)
			}
			seen[s.Name]++
		}
	}
	for _, name := range []string{"Handshake", "Join", "Leave", "Have", "Pause", "Unpause", "Request", "Response", "Cancel", "Extension"} {
		if seen[name] == 0 {
			t.Errorf("no sample of %s", name)
		}
	}
}

func TestFrames(t *testing.T) {
	var stream []byte
	var want [][]byte
	for _, n := range []int{1, 0, 127, 128, 20_000, 0, 3, MaxFrame, 5, 300_000} {
		payload := bytes.Repeat([]byte{byte(n)}, n)
		stream = append(varint.Append(stream, uint64(n)), payload...)
		if n > 0 {
			want = append(want, payload)
		}
	}
	for name, src := range map[string]io.Reader{
		"whole": bytes.NewReader(stream), "halves": iotest.HalfReader(bytes.NewReader(stream)), "with its end": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		r := newFrameReader(src)
		for i, w := range want {
			got, err := r.read()
			if err != nil || !bytes.Equal(got, w) {
				t.Fatalf("%s: frame %d has %d bytes, %v, want %d", name, i, len(got), err, len(w))
			}
		}
		if _, err := r.read(); err != io.EOF {
			t.Errorf("%s: at the end %v", name, err)
		}
		if name != "with its end" && cap(r.buf) > 16*minBuffer { // there, nothing is read behind the last frame
			t.Errorf("%s: %d bytes are kept", name, cap(r.buf))
		}
	}
	for hexed, want := range map[string]error{
		"":                   io.EOF,
		"0000":               io.EOF,
		"80":                 io.ErrUnexpectedEOF,
		"0501":               io.ErrUnexpectedEOF,
		"818080818080818001": ErrFrame, // a length of nine bytes
		"8180c002":           ErrFrame, // 5 MiB and one byte
	} {
		b, err := hex.DecodeString(hexed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newFrameReader(bytes.NewReader(b)).read(); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", hexed, err, want)
		}
	}
	// A length alone takes no memory.
	r := newFrameReader(io.MultiReader(bytes.NewReader([]byte{0x80, 0x80, 0xc0, 0x02}), iotest.ErrReader(io.ErrClosedPipe)))
	if _, err := r.read(); !errors.Is(err, io.ErrClosedPipe) || cap(r.buf) > minBuffer {
		t.Errorf("%v with %d bytes", err, cap(r.buf))
	}
}

func TestBits(t *testing.T) {
	for _, runs := range [][]bitmap.Run{
		{},
		{{Start: 0, End: 1}},
		{{Start: 0, End: 2}},
		{{Start: 7, End: 9}},
		{{Start: 65535, End: 65537}},
		{{Start: 3, End: 4}, {Start: 200_000, End: 300_001}},
	} {
		set := bitmap.NewSet(runs...)
		b := appendBits([]byte("x"), set)[1:]
		if len(runs) > 0 && len(b) != int(runs[len(runs)-1].End+7)/8 || len(runs) == 0 && !bytes.Equal(b, []byte{0}) {
			t.Errorf("%v: %d bytes", set, len(b))
		}
		for n := range uint64(len(b) * 8) {
			if bit := b[n/8]&(0x80>>(n%8)) != 0; bit != set.Has(n) {
				t.Errorf("%v: bit %d is %v", set, n, bit)
			}
		}
		if again := parseBits(append(b, 0, 0)); !again.Equal(set) {
			t.Errorf("%v was parsed as %v", set, again)
		}
	}
	if set := parseBits(bytes.Repeat([]byte{0xff}, MaxFrame)); set.Len() != MaxBlocks {
		t.Errorf("%d blocks", set.Len())
	}
}

// FuzzMessage decodes anything as a message: an error that says so, or a message that is
// encoded and decoded as itself.
func FuzzMessage(f *testing.F) {
	for _, all := range samples(f) {
		for _, s := range all {
			if payload, err := newFrameReader(bytes.NewReader(s.bytes(f))).read(); err == nil {
				f.Add(payload)
			}
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var h handshake
		if err := h.decode(payload); err == nil {
			again := handshake{}
			b, _ := newFrameReader(bytes.NewReader(h.appendFrame(nil))).read()
			if err := again.decode(b); err != nil || again.protocol != h.protocol || !bytes.Equal(again.id, h.id) || !slices.Equal(again.extensions, h.extensions) {
				t.Fatalf("%x: %+v, encoded again %+v, %v", payload, h, again, err)
			}
		} else if !errors.Is(err, ErrMessage) && !errors.Is(err, ErrProtocol) {
			t.Fatalf("%x: %v", payload, err)
		}
		if len(payload) == 0 || payload[0] > byte(typeCancel) {
			return
		}
		var m message
		if err := m.decode(payload); err != nil {
			if !errors.Is(err, ErrMessage) {
				t.Fatalf("%x: %v", payload, err)
			}
			return
		}
		b, err := newFrameReader(bytes.NewReader(m.appendFrame(nil))).read()
		if err != nil {
			t.Fatal(err)
		}
		var again message
		if err := again.decode(b); err != nil || again.typ != m.typ || again.channel != m.channel || again.block != m.block || again.id != m.id ||
			!slices.Equal(again.blocks, m.blocks) || !bytes.Equal(again.bitfield, m.bitfield) || !bytes.Equal(again.data, m.data) || !slices.Equal(again.proof, m.proof) {
			t.Fatalf("%x: %+v, encoded again %+v, %v", payload, m, again, err)
		}
	})
}

// FuzzFrames cuts anything into frames, the same ones wherever reads end.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x00\x01a\x02bc"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, bytewise := newFrameReader(bytes.NewReader(stream)), newFrameReader(iotest.OneByteReader(bytes.NewReader(stream)))
		for {
			a, errA := whole.read()
			b, errB := bytewise.read()
			if !bytes.Equal(a, b) || (errA == nil) != (errB == nil) || errA != nil && errA.Error() != errB.Error() {
				t.Fatalf("%x, %v; byte by byte %x, %v", a, errA, b, errB)
			}
			if errA != nil {
				return
			}
		}
	})
}

func BenchmarkResponse(b *testing.B) {
	m := message{typ: typeResponse, channel: 3, block: 70000, data: make([]byte, 1024)}
	for i := range 17 {
		m.proof = append(m.proof, tree.Node{Index: tree.Index(1 << i)})
	}
	frame := m.appendFrame(nil)
	_, head, err := varint.Consume(frame, maxFrameVarint)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(frame)))
		buf := make([]byte, 0, 4096)
		for b.Loop() {
			buf = m.appendFrame(buf[:0])
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(frame)))
		var again message
		for b.Loop() {
			if err := again.decode(frame[head:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// script encodes messages for the tests of hostile peers.
func script(messages ...message) []byte {
	hello := handshake{protocol: "hypercore", id: make([]byte, 32)}
	b := hello.appendFrame(nil)
	for i := range messages {
		b = messages[i].appendFrame(b)
	}
	return b
}

// Script is script for the tests outside of the package.
var Script = script

// Message is message for the tests outside of the package.
type Message = message

// NewMessage makes one.
func NewMessage(typ byte, channel uint64, id tree.Hash, block uint64, blocks []uint64, bitfield, data []byte, proof []tree.Node) Message {
	return message{messageType(typ), channel, id, block, blocks, bitfield, data, proof}
}
