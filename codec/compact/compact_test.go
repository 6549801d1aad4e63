package compact_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// naiveUint is the table of the package comment in arbitrary precision.
func naiveUint(v uint64) []byte {
	le := new(big.Int).SetUint64(v).Bytes()
	for i, j := 0, len(le)-1; i < j; i, j = i+1, j-1 {
		le[i], le[j] = le[j], le[i]
	}
	for _, form := range []struct{ first, width int }{{-1, 1}, {0xfd, 2}, {0xfe, 4}, {0xff, 8}} {
		if len(le) > form.width || form.width == 1 && v >= 0xfd {
			continue
		}
		out := make([]byte, form.width)
		copy(out, le)
		if form.first >= 0 {
			out = append([]byte{byte(form.first)}, out...)
		}
		return out
	}
	panic("unreachable")
}

// anyUint draws from all lengths of uint alike.
func anyUint(max uint64) *rapid.Generator[uint64] {
	return rapid.Custom(func(t *rapid.T) uint64 {
		bits := rapid.IntRange(0, 64).Draw(t, "bits")
		return min(max, rapid.Uint64Max(1<<bits-1).Draw(t, "uint"))
	})
}

func TestUintModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyUint(compact.MaxUint).Draw(t, "v")
		got := compact.AppendUint(nil, v)
		if want := naiveUint(v); !bytes.Equal(got, want) {
			t.Fatalf("%d is %x, want %x", v, got, want)
		}
		if compact.UintSize(v) != len(got) {
			t.Fatalf("UintSize(%d) = %d, want %d", v, compact.UintSize(v), len(got))
		}
	})
}

// TestSequences writes random values one after the other and reads them back, with
// every truncation of the whole failing at the value that it cuts.
func TestSequences(t *testing.T) {
	type value struct {
		end  int
		read func(*compact.Decoder) error
	}
	expect := func(got, want any) error {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("read %v, want %v", got, want)
		}
		return nil
	}
	rapid.Check(t, func(t *rapid.T) {
		var (
			b      []byte
			values []value
			bytesG = rapid.SliceOfN(rapid.Byte(), 0, 300)
			port   = rapid.Uint16()
			v4     = rapid.Custom(func(t *rapid.T) netip.AddrPort {
				return netip.AddrPortFrom(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4"))), port.Draw(t, "port"))
			})
			v6 = rapid.Custom(func(t *rapid.T) netip.AddrPort {
				return netip.AddrPortFrom(netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "v6"))), port.Draw(t, "port"))
			})
		)
		put := func(read func(*compact.Decoder) error) { values = append(values, value{len(b), read}) }
		kinds := []func(){
			func() {
				v := anyUint(compact.MaxUint).Draw(t, "uint")
				b = compact.AppendUint(b, v)
				put(func(d *compact.Decoder) error { return expect(d.Uint(), v) })
			},
			func() {
				v := rapid.Int64Range(compact.MinInt, compact.MaxInt).Draw(t, "int")
				b = compact.AppendInt(b, v)
				put(func(d *compact.Decoder) error { return expect(d.Int(), v) })
			},
			func() {
				v := rapid.Uint32Max(1<<24-1).Draw(t, "uint24")
				b = compact.AppendUint24(b, v)
				put(func(d *compact.Decoder) error { return expect(d.Uint24(), v) })
			},
			func() {
				v := anyUint(compact.MaxUint).Draw(t, "uint64")
				b = compact.AppendUint64(b, v)
				put(func(d *compact.Decoder) error { return expect(d.Uint64(), v) })
			},
			func() {
				v := bytesG.Draw(t, "buffer")
				size := len(b)
				b = compact.AppendBuffer(b, v)
				if size += compact.BufferSize(len(v)); size != len(b) {
					t.Fatalf("BufferSize is wrong by %d", size-len(b))
				}
				put(func(d *compact.Decoder) error { return expect(d.Buffer(), v) })
			},
			func() {
				v := rapid.String().Draw(t, "string")
				b = compact.AppendString(b, v)
				put(func(d *compact.Decoder) error { return expect(d.String(), v) })
			},
			func() {
				v := rapid.SliceOfN(bytesG, 0, 9).Draw(t, "buffers")
				b = compact.AppendBufferArray(b, v)
				put(func(d *compact.Decoder) error { return expect(d.BufferArray(), v) })
			},
			func() {
				v := rapid.SliceOfN(anyUint(compact.MaxUint), 0, 9).Draw(t, "uints")
				b = compact.AppendUintArray(b, v)
				put(func(d *compact.Decoder) error { return expect(d.UintArray(), v) })
			},
			func() {
				v := rapid.SliceOfN(v4, 0, 9).Draw(t, "ipv4s")
				b = compact.AppendIPv4AddressArray(b, v)
				put(func(d *compact.Decoder) error { return expect(d.IPv4AddressArray(), v) })
			},
			func() {
				v := rapid.SliceOfN(v6, 0, 9).Draw(t, "ipv6s")
				b = compact.AppendIPv6AddressArray(b, v)
				put(func(d *compact.Decoder) error { return expect(d.IPv6AddressArray(), v) })
			},
			func() {
				v := rapid.OneOf(v4, v6).Draw(t, "ip")
				b = compact.AppendIPAddress(b, v)
				put(func(d *compact.Decoder) error { return expect(d.IPAddress(), v) })
			},
		}
		for range rapid.IntRange(1, 8).Draw(t, "values") {
			kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, "kind")]()
		}

		d := compact.NewDecoder(b)
		for i, v := range values {
			if err := v.read(&d); err != nil || d.Err() != nil || d.Offset() != v.end {
				t.Fatalf("value %d: %v, %v, at %d instead of %d", i, err, d.Err(), d.Offset(), v.end)
			}
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		start := 0
		d = compact.NewDecoder(b[:cut])
		for _, v := range values {
			v.read(&d)
			if v.end > cut {
				break
			}
			start = v.end
		}
		var de *compact.DecodeError
		if !errors.As(d.Err(), &de) || !errors.Is(de, compact.ErrOutOfBounds) || de.Offset < start {
			t.Fatalf("cut at %d: %v, want out of bounds at %d or later", cut, d.Err(), start)
		}
	})
}

// TestNone tells values of length 0 from none.
func TestNone(t *testing.T) {
	d := compact.NewDecoder([]byte{0})
	if v := d.Buffer(); v == nil || len(v) != 0 {
		t.Errorf("an empty buffer is %#v", v)
	}
	d = compact.NewDecoder([]byte{0})
	if v := d.OptionalBuffer(); v != nil || d.Err() != nil {
		t.Errorf("no buffer is %#v, %v", v, d.Err())
	}
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name   string
		in     []byte
		read   func(*compact.Decoder)
		offset int
		want   error
	}{
		{"array above the limit", []byte{0xfe, 1, 0, 0x10, 0}, func(d *compact.Decoder) { d.UintArray() }, 0, compact.ErrArrayTooBig},
		{"array longer than the input", []byte{0xfe, 0, 0, 0x10, 0, 1}, func(d *compact.Decoder) { d.UintArray() }, 0, compact.ErrOutOfBounds},
		{"array of addresses", append([]byte{2}, make([]byte, 11)...), func(d *compact.Decoder) { d.IPv4AddressArray() }, 0, compact.ErrOutOfBounds},
		{"array with a bad element", []byte{2, 1, 0xfd}, func(d *compact.Decoder) { d.UintArray() }, 2, compact.ErrOutOfBounds},
		{"buffer of 2^53-1 bytes", compact.AppendUint(nil, compact.MaxUint), func(d *compact.Decoder) { d.Buffer() }, 0, compact.ErrOutOfBounds},
		{"uint64 of 2^53", []byte{0, 0, 0, 0, 0, 0, 0x20, 0}, func(d *compact.Decoder) { d.Uint64() }, 0, compact.ErrTooBig},
		{"family", []byte{5, 1, 2, 3, 4, 5, 6}, func(d *compact.Decoder) { d.IPAddress() }, 0, compact.ErrFamily},
		{"wide bitfield", []byte{0xfe, 1, 2}, func(d *compact.Decoder) { d.Bitfield7() }, 0, compact.ErrOutOfBounds},
		{"second value", []byte{7, 3, 1}, func(d *compact.Decoder) { d.Uint(); d.Buffer() }, 1, compact.ErrOutOfBounds},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := compact.NewDecoder(tt.in)
			tt.read(&d)
			var de *compact.DecodeError
			if !errors.As(d.Err(), &de) || !errors.Is(d.Err(), tt.want) || de.Offset != tt.offset {
				t.Fatalf("error %v, want %v at byte %d", d.Err(), tt.want, tt.offset)
			}
			first := d.Err()
			if v := d.Uint8(); v != 0 || d.Err() != first || d.Len() != 0 {
				t.Errorf("after the error: %d, %v, %d left", v, d.Err(), d.Len())
			}
		})
	}
}

func TestWideBitfield(t *testing.T) {
	for _, in := range [][]byte{{5}, {0xfd, 5, 9}, {0xfe, 5, 9, 9, 9}, {0xff, 5, 9, 9, 9, 9, 9, 9, 9}} {
		d := compact.NewDecoder(in)
		if got := d.Bitfield7(); got != 5 || d.Len() != 0 || d.Err() != nil {
			t.Errorf("%x reads %d, %v, %d left", in, got, d.Err(), d.Len())
		}
	}
}

func TestEncoderPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"uint":     func() { compact.AppendUint(nil, compact.MaxUint+1) },
		"uint64":   func() { compact.AppendUint64(nil, math.MaxUint64) },
		"int":      func() { compact.AppendInt(nil, compact.MaxInt+1) },
		"int min":  func() { compact.AppendInt(nil, compact.MinInt-1) },
		"uint24":   func() { compact.AppendUint24(nil, 1<<24) },
		"ipv4":     func() { compact.AppendIPv4Address(nil, netip.MustParseAddrPort("[::1]:1")) },
		"bitfield": func() { compact.AppendBitfield7(nil, 0x80) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	addr := netip.MustParseAddrPort("88.99.3.86:49737")
	value := make([]byte, 64)
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = compact.AppendUint(buf[:0], 300)
		buf = compact.AppendIPv4Address(buf, addr)
		buf = compact.AppendBuffer(buf, value)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecode(b *testing.B) {
	addr := netip.MustParseAddrPort("88.99.3.86:49737")
	buf := compact.AppendBuffer(compact.AppendIPv4Address(compact.AppendUint(nil, 300), addr), make([]byte, 64))
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		d := compact.NewDecoder(buf)
		if d.Uint() != 300 || d.IPv4Address() != addr || len(d.Buffer()) != 64 || d.Err() != nil {
			b.Fatal(d.Err())
		}
	}
}
