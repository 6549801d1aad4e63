package zbase32_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/codec/zbase32"
)

func Example() {
	text := zbase32.Encode([]byte("hello"))
	b, err := zbase32.Decode(text)
	fmt.Printf("%s %s %v\n", text, b, err)
	_, err = zbase32.Decode("pb1sa5dl")
	fmt.Println(err)
	// Output:
	// pb1sa5dx hello <nil>
	// zbase32: character 'l' at position 7
}

func TestVectors(t *testing.T) {
	var vectors struct {
		Z32        []struct{ Value, Z32 string }
		KeyParsing struct {
			Hex, Z32 string
			Invalid  []struct{ In string }
		}
	}
	file, err := os.ReadFile("testdata/z32.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors.Z32 {
		b, err := hex.DecodeString(v.Value)
		if err != nil {
			t.Fatal(err)
		}
		if got := zbase32.Encode(b); got != v.Z32 {
			t.Errorf("Encode(%x) = %q, want %q", b, got, v.Z32)
		}
		if got := zbase32.Append([]byte("x"), b); string(got) != "x"+v.Z32 {
			t.Errorf("Append(%x) = %q, want %q", b, got, v.Z32)
		}
		if got, err := zbase32.Decode(v.Z32); err != nil || !bytes.Equal(got, b) {
			t.Errorf("Decode(%q) = %x, %v, want %x", v.Z32, got, err, b)
		}
	}
	key, err := zbase32.DecodeKey(vectors.KeyParsing.Z32)
	if err != nil || hex.EncodeToString(key[:]) != vectors.KeyParsing.Hex {
		t.Errorf("DecodeKey(%q) = %x, %v, want %s", vectors.KeyParsing.Z32, key, err, vectors.KeyParsing.Hex)
	}
	for _, v := range vectors.KeyParsing.Invalid {
		if key, err := zbase32.DecodeKey(v.In); err == nil || key != [32]byte{} {
			t.Errorf("DecodeKey(%q) = %x, %v", v.In, key, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		text string
		want error
	}{
		{"y", zbase32.ErrLength},
		{"yyy", zbase32.ErrLength},
		{"yyyyyy", zbase32.ErrLength},
		{"yb", zbase32.ErrTrailingBits},
		{"yyyb", zbase32.ErrTrailingBits},
		{strings.Repeat("9", 52), zbase32.ErrTrailingBits},
	} {
		if got, err := zbase32.Decode(c.text); !errors.Is(err, c.want) || got != nil {
			t.Errorf("Decode(%q) = %x, %v, want %v", c.text, got, err, c.want)
		}
	}
	for _, c := range "lv02YBND \n\r=é\x00" {
		_, err := zbase32.Decode("yb" + string(c) + "y")
		bad, ok := errors.AsType[*zbase32.CharacterError](err)
		if !ok || bad.Offset != 2 || bad.Byte != string(c)[0] {
			t.Errorf("character %q: %v", c, err)
		}
	}
	for _, n := range []int{0, 51, 53, 104} {
		if _, err := zbase32.DecodeKey(strings.Repeat("y", n)); !errors.Is(err, zbase32.ErrLength) {
			t.Errorf("key of %d characters: %v, want ErrLength", n, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		got, err := zbase32.Decode(zbase32.Encode(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%x = %x, %v", want, got, err)
		}
	})
}

// FuzzDecode takes a text only if it is the one that encoding gives.
func FuzzDecode(f *testing.F) {
	f.Add("pb1sa5dx")
	f.Add("yyyb")
	f.Add("yb\nnd")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := zbase32.Decode(s)
		if err == nil && zbase32.Encode(b) != s {
			t.Fatalf("%q = %x, encoded again %q", s, b, zbase32.Encode(b))
		}
	})
}

func BenchmarkDecodeKey(b *testing.B) {
	text := zbase32.Encode(bytes.Repeat([]byte{0xa5}, 32))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := zbase32.DecodeKey(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	key := bytes.Repeat([]byte{0xa5}, 32)
	dst := make([]byte, 0, zbase32.KeyLen)
	b.ReportAllocs()
	for b.Loop() {
		zbase32.Append(dst, key)
	}
}
