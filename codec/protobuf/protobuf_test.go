package protobuf_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/codec/protobuf"
)

// have is a message with most kinds of fields.
type have struct {
	Start    uint64
	Length   uint64
	Bitfield []byte
	Ack      bool
	Names    []string
}

func (m *have) append(dst []byte) []byte {
	dst = protobuf.AppendUint64(dst, 1, m.Start)
	dst = protobuf.AppendUint64(dst, 2, m.Length)
	if m.Bitfield != nil {
		dst = protobuf.AppendBytes(dst, 3, m.Bitfield)
	}
	dst = protobuf.AppendBool(dst, 4, m.Ack)
	for _, name := range m.Names {
		dst = protobuf.AppendString(dst, 100, name)
	}
	return dst
}

func (m *have) decode(b []byte) error {
	*m = have{Length: 1}
	r := protobuf.NewReader(b)
	for r.Next() {
		switch r.Number() {
		case 1:
			m.Start = r.Uint64()
		case 2:
			m.Length = r.Uint64()
			if m.Length == 0 {
				r.Fail(errZero)
			}
		case 3:
			m.Bitfield = r.Bytes()
		case 4:
			m.Ack = r.Bool()
		case 100:
			m.Names = append(m.Names, r.Text())
		}
	}
	return r.Finish(1)
}

var errZero = errors.New("zero")

func Example() {
	b := protobuf.AppendUint64(nil, 1, 300)
	b = protobuf.AppendBytes(b, 3, []byte("hi"))
	fmt.Printf("% x\n", b)

	r := protobuf.NewReader(b)
	for r.Next() {
		switch r.Number() {
		case 1:
			fmt.Println("start", r.Uint64())
		case 3:
			fmt.Printf("bitfield %q\n", r.Bytes())
		}
	}
	fmt.Println(r.Finish(1, 2))
	// Output:
	// 08 ac 02 1a 02 68 69
	// start 300
	// bitfield "hi"
	// protobuf: malformed message: required field 2 is missing
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		hex  string
		is   error // beside ErrMalformed
		text string
	}{
		{"", nil, "required field 1 is missing"},
		{"1001", nil, "required field 1 is missing"},
		{"0a01", io.ErrUnexpectedEOF, "field 1 at byte 0"},
		{"080112", io.ErrUnexpectedEOF, "field 2 at byte 2"},
		{"08", io.ErrUnexpectedEOF, "field 1 at byte 0"},
		{"0880", io.ErrUnexpectedEOF, "field 1"},
		{"80", io.ErrUnexpectedEOF, "field 0 at byte 0"},
		{"08ffffffffffffffffff7f", nil, "field 1"},
		{"0001", nil, "field 0"},
		{"0f", nil, "field 1"}, // no such type
		{"0c", nil, "field 1"}, // end of a group that was not begun
		{"0b08", io.ErrUnexpectedEOF, "field 1"},
		{"1affffffffffffffffff01", io.ErrUnexpectedEOF, "field 3"},
		{"0a0161", nil, "field 1 is bytes, want varint"},
		{"0d01020304", nil, "field 1 is fixed32, want varint"},
		{"08011801", nil, "field 3 is varint, want bytes"},
		{"08010b0c", nil, "field 1 is type 3, want varint"},
		{"08011000", errZero, "field 2: zero"},
		{"0801a20601ff", protobuf.ErrUTF8, "field 100"},
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		var m have
		err = m.decode(b)
		if !errors.Is(err, protobuf.ErrMalformed) || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v, %q", c.hex, err, c.is, c.text)
		}
	}
	var m have
	if _, ok := errors.AsType[*protobuf.MissingError](m.decode(nil)); !ok {
		t.Error("no MissingError")
	}
	if e, ok := errors.AsType[*protobuf.TypeError](m.decode([]byte("\x0a\x00"))); !ok || e.Want != protobuf.Varint || e.Got != protobuf.Bytes {
		t.Errorf("TypeError %v", e)
	}
	if e, ok := errors.AsType[*protobuf.SyntaxError](m.decode([]byte("\x08\x01\x08"))); !ok || e.Offset != 2 {
		t.Errorf("SyntaxError %v", e)
	}
	if e, ok := errors.AsType[*protobuf.ValueError](m.decode([]byte("\x10\x00"))); !ok || e.Field != 2 {
		t.Errorf("ValueError %v", e)
	}
}

// TestSkips reads around fields that nobody knows, of every type.
func TestSkips(t *testing.T) {
	b := protobuf.AppendFixed64(nil, 50, 1)
	b = protobuf.AppendUint64(b, 1, 7)
	b = protobuf.AppendFixed32(b, 51, 1)
	b = protobuf.AppendString(b, 52, "unknown")
	b = protobuf.AppendUint64(b, 1<<29-1, 1)
	b = append(b, 0x9b, 0x03, 0x08, 0x01, 0x9c, 0x03) // group 51
	b = protobuf.AppendUint64(b, 1, 8)                // again: the last one counts
	b = protobuf.AppendBytes(b, 3, nil)
	var m have
	if err := m.decode(b); err != nil || m.Start != 8 || m.Length != 1 || m.Bitfield == nil || len(m.Bitfield) != 0 {
		t.Errorf("%x = %+v, %v", b, m, err)
	}
	r := protobuf.NewReader(b)
	if !r.Next() || r.Number() != 50 || r.Fixed64() != 1 || !r.Next() || !r.Next() || r.Fixed32() != 1 {
		t.Errorf("fixed fields: %v", r.Finish())
	}
}

func drawHave(t *rapid.T) have {
	m := have{
		Start:  rapid.Uint64().Draw(t, "start"),
		Length: rapid.Uint64Range(1, 1<<64-1).Draw(t, "length"),
		Ack:    rapid.Bool().Draw(t, "ack"),
	}
	if rapid.Bool().Draw(t, "bitfield") {
		m.Bitfield = append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...)
	}
	for range rapid.IntRange(0, 3).Draw(t, "names") {
		m.Names = append(m.Names, rapid.String().Draw(t, "name"))
	}
	return m
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawHave(t)
		b := want.append([]byte("x"))[1:]
		size := protobuf.SizeUint64(1, want.Start) + protobuf.SizeUint64(2, want.Length) + protobuf.SizeBool(4)
		if want.Bitfield != nil {
			size += protobuf.SizeBytes(3, len(want.Bitfield))
		}
		for _, name := range want.Names {
			size += protobuf.SizeBytes(100, len(name))
		}
		if len(b) != size {
			t.Fatalf("%d bytes, want %d", len(b), size)
		}
		var got have
		if err := got.decode(b); err != nil || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
			t.Fatalf("%x = %+v, %v, want %+v", b, got, err, want)
		}
	})
}

// FuzzReader agrees with protowire on which bytes are fields.
func FuzzReader(f *testing.F) {
	f.Add((&have{Start: 300, Bitfield: []byte("hi"), Ack: true, Names: []string{"a", "b"}}).append(nil))
	f.Add([]byte("\x0b\x08\x01\x0c"))
	f.Add([]byte("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m have
		err := m.decode(b)
		valid := true
		for rest := b; len(rest) > 0; {
			_, _, n := protowire.ConsumeField(rest)
			if n < 0 {
				valid = false
				break
			}
			rest = rest[n:]
		}
		r := protobuf.NewReader(b)
		for r.Next() {
		}
		if (r.Finish() == nil) != valid {
			t.Fatalf("%x: %v, valid: %v", b, r.Finish(), valid)
		}
		if err != nil {
			if !errors.Is(err, protobuf.ErrMalformed) {
				t.Fatalf("%x: %v", b, err)
			}
			return
		}
		var again have
		if err := again.decode(m.append(nil)); err != nil || again.Start != m.Start || !bytes.Equal(again.Bitfield, m.Bitfield) || len(again.Names) != len(m.Names) {
			t.Fatalf("%x = %+v, encoded again %+v, %v", b, m, again, err)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	m := have{Start: 1 << 20, Length: 1 << 20, Bitfield: make([]byte, 1000)}
	encoded := m.append(nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(encoded)))
	for b.Loop() {
		if err := m.decode(encoded); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	m := have{Start: 1 << 20, Length: 1 << 20, Bitfield: make([]byte, 1000)}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = m.append(dst[:0])
	}
}

func TestAllocations(t *testing.T) {
	m := have{Start: 1, Length: 1, Bitfield: make([]byte, 10)}
	dst := m.append(nil)
	if n := testing.AllocsPerRun(100, func() { dst = m.append(dst[:0]) }); n > 0 {
		t.Errorf("append: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := m.decode(dst); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("decode: %v allocations", n)
	}
}
