package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"pgregory.net/rapid"
)

// vector is a datagram of the reference with its decoded fields.
type vector struct {
	Hex           string
	Type          *uint8
	DataOffset    uint8
	ID            uint32
	Rwnd          uint32
	Seq           uint32
	Ack           uint32
	Sacks         [][2]uint32
	PayloadLength int
}

func vectors(t testing.TB) (all []vector) {
	t.Helper()
	b, err := os.ReadFile("../../testdata/udx-packets.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Sessions    []struct{ Datagrams []vector }
		Handcrafted []struct{ Tx, Replies []vector }
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	for _, s := range file.Sessions {
		all = append(all, s.Datagrams...)
	}
	for _, h := range file.Handcrafted {
		all = append(all, h.Tx...)
		all = append(all, h.Replies...)
	}
	if len(all) < 100 {
		t.Fatalf("only %d vectors", len(all))
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// encode is the packet as a sender packs it.
func encode(p Packet) []byte {
	b := p.Append(nil)
	if p.Flags.Has(Sack) && p.Offset == 0 {
		for i := range p.SackBlocks() {
			b = AppendSackBlock(b, p.SackBlock(i))
		}
		return b
	}
	b = append(b, make([]byte, p.Offset)...)
	return append(b, p.Payload...)
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		b := unhex(t, v.Hex)
		p, err := Parse(b)
		if v.Type == nil { // what the reference does not take for a packet
			if !errors.Is(err, ErrNotUDX) {
				t.Errorf("%s: parsed, %v", v.Hex, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%.60s: %v", v.Hex, err)
			continue
		}
		want := Header{Flags(*v.Type), v.DataOffset, v.ID, v.Rwnd, v.Seq, v.Ack}
		if p.Header != want {
			t.Errorf("%.60s: header %+v, want %+v", v.Hex, p.Header, want)
		}
		if !p.Flags.Has(Sack) && len(p.Payload) != v.PayloadLength {
			t.Errorf("%.60s: payload of %d bytes, want %d", v.Hex, len(p.Payload), v.PayloadLength)
		}
		if p.SackBlocks() != len(v.Sacks) {
			t.Errorf("%.60s: %d blocks, want %d", v.Hex, p.SackBlocks(), len(v.Sacks))
		}
		for i, s := range v.Sacks {
			if got := p.SackBlock(i); got != (SackBlock{s[0], s[1]}) {
				t.Errorf("%.60s: block %d is %v, want %v", v.Hex, i, got, s)
			}
		}
		if StreamID(b) != v.ID {
			t.Errorf("%.60s: stream %d, want %d", v.Hex, StreamID(b), v.ID)
		}
		// The four bytes that the scripted peer put before a payload are no zeros.
		if string(p.Payload) == "ok" && p.Offset == 4 {
			continue
		}
		if got := encode(p); !bytes.Equal(got, b) {
			t.Errorf("encoded as %x, want %s", got, v.Hex)
		}
	}
}

func TestParse(t *testing.T) {
	header := Header{Flags: Data, Stream: 1, Seq: 2, Ack: 3}
	with := func(flags Flags, offset uint8, rest ...byte) []byte {
		h := header
		h.Flags, h.Offset = flags, offset
		return append(h.Append(nil), rest...)
	}
	eight := []byte{1, 0, 0, 0, 2, 0, 0, 0}
	for _, tc := range []struct {
		name    string
		b       []byte
		err     error
		blocks  int
		payload string
	}{
		{"empty", nil, ErrNotUDX, 0, ""},
		{"short", with(Data, 0)[:19], ErrNotUDX, 0, ""},
		{"magic", append([]byte{0xfe}, with(Data, 0)[1:]...), ErrNotUDX, 0, ""},
		{"version", append([]byte{0xff, 2}, with(Data, 0)[2:]...), ErrNotUDX, 0, ""},
		{"offset to the end", with(Data, 2, 0, 0), nil, 0, ""},
		{"offset beyond the end", with(Data, 3, 0, 0), ErrOffset, 0, ""},
		{"blocks", with(Sack, 0, eight...), nil, 1, string(eight)},
		{"blocks before data", with(Sack|Data, 8, append(eight, "data"...)...), nil, 1, "data"},
		{"half a block", with(Sack, 0, append(eight, 1, 2, 3)...), nil, 1, string(eight) + "\x01\x02\x03"},
		{"no block", with(Sack, 0), nil, 0, ""},
	} {
		p, err := Parse(tc.b)
		if !errors.Is(err, tc.err) || (tc.err == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.err)
		}
		if p.SackBlocks() != tc.blocks || string(p.Payload) != tc.payload {
			t.Errorf("%s: %d blocks and %q, want %d and %q", tc.name, p.SackBlocks(), p.Payload, tc.blocks, tc.payload)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Packet{Header: Header{
			Flags:  Flags(rapid.Uint8().Draw(t, "flags")) &^ Sack,
			Offset: rapid.Uint8().Draw(t, "offset"),
			Stream: rapid.Uint32().Draw(t, "stream"),
			Window: rapid.Uint32().Draw(t, "window"),
			Seq:    rapid.Uint32().Draw(t, "seq"),
			Ack:    rapid.Uint32().Draw(t, "ack"),
		}, Payload: rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "payload")}
		b := encode(p)
		got, err := Parse(b)
		if err != nil || got.Header != p.Header || !bytes.Equal(got.Payload, p.Payload) {
			t.Fatalf("%+v, %v; want %+v", got, err, p)
		}
		id := rapid.Uint32().Draw(t, "id")
		SetStreamID(b, id)
		if got, _ := Parse(b); got.Stream != id || got.Seq != p.Seq || got.Window != p.Window {
			t.Fatalf("after SetStreamID: %+v", got)
		}
	})
}

func TestSeqDiff(t *testing.T) {
	for _, tc := range []struct {
		a, b uint32
		want int32
	}{{1, 0, 1}, {0, 1, -1}, {5, 0xfffffffe, 7}, {0xfffffffe, 5, -7}, {7, 7, 0}} {
		if got := SeqDiff(tc.a, tc.b); got != tc.want {
			t.Errorf("SeqDiff(%d, %d) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestFlagsString(t *testing.T) {
	for f, want := range map[Flags]string{0: "ACK", Data: "DATA", Data | End: "DATA|END", 0x41: "DATA|0x40"} {
		if got := f.String(); got != want {
			t.Errorf("%#x: %q, want %q", uint8(f), got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(unhex(f, v.Hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			if p.Flags != 0 || p.Payload != nil || p.Blocks != nil {
				t.Error("a packet beside an error")
			}
			return
		}
		if len(p.Payload)+int(p.Offset)+HeaderSize != len(b) {
			t.Errorf("%d bytes of payload and %d skipped of %d", len(p.Payload), p.Offset, len(b))
		}
		for i := range p.SackBlocks() {
			p.SackBlock(i)
		}
		if again := p.Append(nil); !bytes.Equal(again[2:], b[2:HeaderSize]) {
			t.Errorf("header %x became %x", b[:HeaderSize], again)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	packet := append(Header{Flags: Data, Stream: 7, Seq: 9}.Append(nil), make([]byte, 1152)...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(packet); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	buf := make([]byte, 0, HeaderSize)
	b.ReportAllocs()
	for b.Loop() {
		Header{Flags: Data, Stream: 7, Seq: 9}.Append(buf)
	}
}
