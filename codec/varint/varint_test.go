package varint_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/codec/varint"
)

func Example() {
	b := varint.Append(nil, 300)
	fmt.Printf("% x\n", b)
	v, n, err := varint.Consume(append(b, "rest"...), varint.MaxFrame)
	fmt.Println(v, n, err)
	_, _, err = varint.Consume(b[:1], varint.MaxFrame)
	fmt.Println(err)
	// Output:
	// ac 02
	// 300 2 <nil>
	// varint: truncated
}

func TestConsume(t *testing.T) {
	ff := func(n int, last ...byte) []byte { return append(bytes.Repeat([]byte{0xff}, n), last...) }
	for _, c := range []struct {
		bytes []byte
		limit int
		v     uint64
		n     int
		err   error
	}{
		{[]byte{0}, 8, 0, 1, nil},
		{[]byte{0x7f, 1}, 8, 127, 1, nil},
		{[]byte{0x80, 1}, 8, 128, 2, nil},
		{[]byte{0x80, 0}, 8, 0, 2, nil},
		{[]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0}, 8, 0, 8, nil},
		{ff(7, 0x7f), 8, 1<<56 - 1, 8, nil},
		{ff(8, 0x01), 8, 0, 0, varint.ErrTooLong},
		{ff(8), 8, 0, 0, varint.ErrTooLong},
		{ff(7), 8, 0, 0, varint.ErrTruncated},
		{nil, 8, 0, 0, varint.ErrTruncated},
		{ff(9, 0x01), 10, 1<<64 - 1, 10, nil},
		{ff(9, 0x00), 10, 1<<63 - 1, 10, nil},
		{ff(9, 0x02), 10, 0, 0, varint.ErrOverflow},
		{ff(9, 0x7f), 10, 0, 0, varint.ErrOverflow},
		{ff(9), 10, 0, 0, varint.ErrTruncated},
		{ff(10, 0x01), 10, 0, 0, varint.ErrTooLong},
		{ff(10, 0x01), 100, 0, 0, varint.ErrTooLong},
		{ff(9, 0x80), 10, 0, 0, varint.ErrTooLong},
		{[]byte{0x80}, 1, 0, 0, varint.ErrTooLong},
		{[]byte{0}, 0, 0, 0, varint.ErrTooLong},
	} {
		v, n, err := varint.Consume(c.bytes, c.limit)
		if v != c.v || n != c.n || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("Consume(%x, %d) = %d, %d, %v, want %d, %d, %v", c.bytes, c.limit, v, n, err, c.v, c.n, c.err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Uint64().Draw(t, "v")
		b := varint.Append([]byte("x"), want)[1:]
		if !bytes.Equal(b, binary.AppendUvarint(nil, want)) || len(b) != varint.Len(want) {
			t.Fatalf("Append(%d) = %x, Len %d", want, b, varint.Len(want))
		}
		v, n, err := varint.Consume(append(b, 0xff), varint.Max)
		if v != want || n != len(b) || err != nil {
			t.Fatalf("Consume(%x) = %d, %d, %v, want %d", b, v, n, err, want)
		}
		for end := range b {
			if _, _, err := varint.Consume(b[:end], varint.Max); !errors.Is(err, varint.ErrTruncated) {
				t.Fatalf("Consume(%x) = %v, want ErrTruncated", b[:end], err)
			}
		}
	})
}

// FuzzConsume agrees with encoding/binary about all integers, and about which bytes
// are not one.
func FuzzConsume(f *testing.F) {
	f.Add([]byte{0xac, 2}, 10)
	f.Add([]byte{0x80, 0x80}, 8)
	f.Add(bytes.Repeat([]byte{0xff}, 11), 10)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		v, n, err := varint.Consume(b, limit)
		want, size := binary.Uvarint(b)
		switch {
		case err == nil && (v != want || n != size || n > limit):
			t.Fatalf("Consume(%x, %d) = %d, %d, want %d, %d", b, limit, v, n, want, size)
		case err != nil && size > 0 && size <= limit:
			t.Fatalf("Consume(%x, %d): %v, want %d, %d", b, limit, err, want, size)
		case errors.Is(err, varint.ErrTruncated) && (size != 0 || len(b) >= limit):
			t.Fatalf("Consume(%x, %d): %v, want %d", b, limit, err, size)
		}
	})
}

func BenchmarkConsume(b *testing.B) {
	for _, v := range []uint64{5, 1 << 20, 1 << 50} {
		buf := varint.Append(nil, v)
		b.Run(fmt.Sprintf("bytes=%d", len(buf)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := varint.Consume(buf, varint.MaxFrame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	dst := make([]byte, 0, varint.Max)
	b.ReportAllocs()
	for b.Loop() {
		varint.Append(dst, 1<<50)
	}
}
