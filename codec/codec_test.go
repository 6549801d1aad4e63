package codec_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/codec"
)

type message struct {
	From string   `json:"from" msgpack:"from"`
	Seq  uint64   `json:"seq" msgpack:"seq"`
	Tags []string `json:"tags,omitempty" msgpack:"tags,omitempty"`
}

// TestBytes compares the bytes of values with what the JavaScript codecs make of them.
func TestBytes(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		want  string
	}{
		{"binary", []byte("a\x00\xff"), "a\x00\xff"},
		{"", "text", "text"},
		{"utf-8", "héllo", "h\xc3\xa9llo"},
		{"utf8", []byte("text"), "text"},
		{"json", map[string]any{"b": []any{1, "<&>", nil, true}, "a": 1.5}, `{"a":1.5,"b":[1,"<&>",null,true]}` + "\n"},
		{"ndjson", "line", `"line"` + "\n"},
		{"json", nil, "null\n"},
		{"msgpack", map[string]any{"b": 300, "a": []byte{1}}, "\x82\xa1a\xc4\x01\x01\xa1b\xcd\x01\x2c"},
		{"msgpack", int64(-1), "\xff"},
	} {
		e, err := codec.ByName(c.name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Append([]byte("before"), c.value)
		if err != nil || string(got) != "before"+c.want {
			t.Errorf("%s of %v = %q, %v, want %q", c.name, c.value, got, err, c.want)
		}
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name, bytes string
		want        any
	}{
		{"binary", "\x00\xff", []byte{0, 0xff}},
		{"utf-8", "h\xc3\xa9", "hé"},
		{"json", "[1,{}]\n", []any{1.0, map[string]any{}}},
		{"json", "[1,{}]", []any{1.0, map[string]any{}}},
		{"json", " null \r\n", nil},
		{"msgpack", "\x93\x05\xcc\xff\xcf\xff\xff\xff\xff\xff\xff\xff\xff", []any{int64(5), int64(255), uint64(math.MaxUint64)}},
		{"msgpack", "\x82\xa1a\xc4\x01x\xa1b\xd1\xff\x00", map[string]any{"a": []byte("x"), "b": int64(-256)}},
		{"msgpack", "\xca\x3f\xc0\x00\x00", 1.5},
		{"msgpack", "\xc0", nil},
	} {
		e, err := codec.ByName(c.name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Decode([]byte(c.bytes))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s of %q = %#v, %v, want %#v", c.name, c.bytes, got, err, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		name, bytes string
		want        error // nil: an error of the library
	}{
		{"utf-8", "\xff", codec.ErrUTF8},
		{"json", "", nil},
		{"json", "{", nil},
		{"json", "1\n2\n", nil},
		{"json", strings.Repeat("[", 1<<20), nil},
		{"msgpack", "", codec.ErrTruncated},
		{"msgpack", "\xc1", codec.ErrInvalid},
		{"msgpack", "\x01\x02", codec.ErrTrailing},
		{"msgpack", "\xa5abc", codec.ErrTruncated},
		{"msgpack", "\xcd\x01", codec.ErrTruncated},
		{"msgpack", "\xc6\xff\xff\xff\xff", codec.ErrTruncated},
		{"msgpack", "\xdd\xff\xff\xff\xff\x01", codec.ErrTruncated},
		{"msgpack", "\xdf\xff\xff\xff\xff\x01", codec.ErrTruncated},
		{"msgpack", "\x92\x01", codec.ErrTruncated},
		{"msgpack", "\x81\x90\x01", nil}, // a key that is an array
		{"msgpack", "\xd4\x05\x00", nil}, // an extension that nobody registered
		{"msgpack", strings.Repeat("\x91", codec.MaxDepth+1) + "\x01", codec.ErrTooDeep},
		{"msgpack", strings.Repeat("\x91", 8<<20) + "\x01", codec.ErrTooDeep},
	} {
		e, err := codec.ByName(c.name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Decode([]byte(c.bytes))
		refused, ok := errors.AsType[*codec.DecodeError](err)
		if !ok || refused.Encoding != c.name || got != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s of %.20q = %v, %v, want %v", c.name, c.bytes, got, err, c.want)
		}
	}
	// Keys that Go cannot compare make the library panic.
	if got, err := codec.Msgpack[map[any]any]().Decode([]byte("\x81\x90\x01")); !errors.Is(err, codec.ErrInvalid) || got != nil {
		t.Errorf("array as key = %v, %v, want ErrInvalid", got, err)
	}
	deep := strings.Repeat("\x91", codec.MaxDepth) + "\x01"
	if _, err := codec.Msgpack[any]().Decode([]byte(deep)); err != nil {
		t.Errorf("%d levels: %v", codec.MaxDepth, err)
	}
}

func TestAppendRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		want  error
	}{
		{"binary", 5, codec.ErrType},
		{"utf-8", 5, codec.ErrType},
		{"utf-8", "\xff", codec.ErrUTF8},
		{"json", math.NaN(), nil},
		{"json", func() {}, nil},
		{"msgpack", func() {}, nil},
	} {
		e, err := codec.ByName(c.name)
		if err != nil {
			t.Fatal(err)
		}
		dst := []byte("before")
		got, err := e.Append(dst, c.value)
		refused, ok := errors.AsType[*codec.EncodeError](err)
		if !ok || refused.Encoding != c.name || got != nil || c.want != nil && !errors.Is(err, c.want) || string(dst) != "before" {
			t.Errorf("%s of %T = %q, %v, want %v", c.name, c.value, got, err, c.want)
		}
	}
	if _, err := codec.ByName("protobuf"); !errors.Is(err, codec.ErrUnknownEncoding) || !strings.Contains(err.Error(), "protobuf") {
		t.Errorf("ByName: %v", err)
	}
}

func TestTyped(t *testing.T) {
	want := message{From: "a", Seq: 1 << 60, Tags: []string{"x"}}
	for name, e := range map[string]codec.Encoding[message]{
		"json":      codec.JSON[message](),
		"json text": codec.JSONText[message](),
		"msgpack":   codec.Msgpack[message](),
		"own":       codec.New(codec.JSON[message]().Append, codec.JSON[message]().Decode),
	} {
		b, err := e.Append(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Decode(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q = %v, %v, want %v", name, b, got, err, want)
		}
		if got, err := e.Decode(append([]byte("\x01"), b...)); err == nil || !reflect.DeepEqual(got, message{}) {
			t.Errorf("%s: damaged bytes give %v, %v", name, got, err)
		}
		if ends := bytes.HasSuffix(b, []byte("\n")); ends != (name == "json" || name == "own") {
			t.Errorf("%s: ends with a newline: %v", name, ends)
		}
		a := codec.Any(name, e)
		if anyway, err := a.Append(nil, want); err != nil || !bytes.Equal(anyway, b) {
			t.Errorf("%s: as any: %q, %v, want %q", name, anyway, err, b)
		}
		if _, err := a.Append(nil, &want); !errors.Is(err, codec.ErrType) {
			t.Errorf("%s: as any, of a pointer: %v, want ErrType", name, err)
		}
		if got, err := a.Decode(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: as any: %v, %v, want %v", name, got, err, want)
		}
		if got, err := a.Decode(nil); err == nil || got != nil {
			t.Errorf("%s: as any, of nothing: %v, %v", name, got, err)
		}
	}
}

// drawValue draws what every self-describing encoding can hold.
func drawValue(t *rapid.T, depth int) any {
	kinds := 7
	if depth == 0 {
		kinds = 5
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.Float64().Draw(t, "float")
	case 3:
		return rapid.Int64().Draw(t, "int")
	case 4:
		return rapid.String().Draw(t, "string")
	case 5:
		list := []any{}
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			list = append(list, drawValue(t, depth-1))
		}
		return list
	default:
		object := map[string]any{}
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			object[rapid.String().Draw(t, "key")] = drawValue(t, depth-1)
		}
		return object
	}
}

// TestRoundTrip encodes any value and decodes the same, and equal values give equal bytes.
func TestRoundTrip(t *testing.T) {
	e := codec.Msgpack[any]()
	rapid.Check(t, func(t *rapid.T) {
		want := drawValue(t, 3)
		b, err := e.Append(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Decode(slices.Clone(b))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%x = %#v, %v, want %#v", b, got, err, want)
		}
		again, err := e.Append(nil, got)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%#v = %x, %v, then %x", want, b, err, again)
		}
	})
}

// FuzzMsgpack decodes any bytes. They are taken as the library takes them, unless they
// are nested too deeply or more than one value.
func FuzzMsgpack(f *testing.F) {
	for _, s := range []string{"", "\xc0", "\x93\x05\xcc\xff\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "\x82\xa1a\xc4\x01x\xa1b\xd1\xff\x00", "\xd6\xff\x01\x02\x03\x04", "\xc7\x0c\xff\x01\x02\x03\x04\x01\x02\x03\x04\x01\x02\x03\x04", "\xdc\x00\x01\xc3", "\xde\x00\x01\xd9\x01a\xcb\x01\x02\x03\x04\x05\x06\x07\x08"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := codec.Msgpack[any]().Decode(b)
		codec.Msgpack[map[any]any]().Decode(b)
		codec.Msgpack[message]().Decode(b)
		if err != nil {
			return
		}
		var want any
		if err := msgpack.Unmarshal(b, &want); err != nil {
			t.Fatalf("%x = %v, the library says %v", b, got, err)
		}
		again, err := codec.Msgpack[any]().Append(nil, got)
		if err != nil {
			t.Fatal(err)
		}
		// A time keeps its instant, not its form; NaN is not equal to itself.
		if _, err := codec.Msgpack[any]().Decode(again); err != nil {
			t.Fatalf("%x, encoded again %x: %v", b, again, err)
		}
	})
}

// FuzzJSON decodes any bytes: all that is JSON, but for numbers that are too large.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{"", "null\n", `{"a":[1,2.5,"x"]}`, "1\n2\n", "[[[["} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := codec.JSON[any]().Decode(b)
		_, tooLarge := errors.AsType[*json.UnmarshalTypeError](err)
		if (err == nil || tooLarge) != json.Valid(b) {
			t.Fatalf("%q = %v, %v, valid: %v", b, got, err, json.Valid(b))
		}
		if err != nil {
			return
		}
		again, err := codec.JSON[any]().Append(nil, got)
		if err != nil || bytes.IndexByte(again, '\n') != len(again)-1 {
			t.Fatalf("%q, encoded again %q, %v", b, again, err)
		}
		same, err := codec.JSON[any]().Decode(again)
		if err != nil || !reflect.DeepEqual(same, got) {
			t.Fatalf("%q = %v, encoded again %q = %v, %v", b, got, again, same, err)
		}
	})
}

func BenchmarkEncodings(b *testing.B) {
	value := message{From: "somebody", Seq: 12345, Tags: []string{"a", "b"}}
	for name, e := range map[string]codec.Encoding[message]{"json": codec.JSON[message](), "msgpack": codec.Msgpack[message]()} {
		encoded, err := e.Append(nil, value)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("append/"+name, func(b *testing.B) {
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = e.Append(dst[:0], value)
			}
		})
		b.Run("decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Decode(encoded); err != nil {
					b.Fatal(err, hex.EncodeToString(encoded))
				}
			}
		})
	}
}
