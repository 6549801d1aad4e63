package compact_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// A codec of the vector file: how its JSON values are read, written and read back.
type codec struct {
	parse  func(t *testing.T, raw json.RawMessage) any
	append func(b []byte, v any) []byte
	decode func(d *compact.Decoder) any
}

// codecOf builds a codec from typed functions.
func codecOf[T any](parse func(*testing.T, json.RawMessage) T, enc func([]byte, T) []byte, dec func(*compact.Decoder) T) codec {
	return codec{
		parse:  func(t *testing.T, raw json.RawMessage) any { return parse(t, raw) },
		append: func(b []byte, v any) []byte { return enc(b, v.(T)) },
		decode: func(d *compact.Decoder) any { return dec(d) },
	}
}

var codecs = map[string]codec{
	"uint":             codecOf(plain[uint64], compact.AppendUint, (*compact.Decoder).Uint),
	"int":              codecOf(plain[int64], compact.AppendInt, (*compact.Decoder).Int),
	"uint16":           codecOf(plain[uint16], compact.AppendUint16, (*compact.Decoder).Uint16),
	"uint32":           codecOf(plain[uint32], compact.AppendUint32, (*compact.Decoder).Uint32),
	"uint64":           codecOf(plain[uint64], compact.AppendUint64, (*compact.Decoder).Uint64),
	"buffer":           codecOf(hexBytes, compact.AppendBuffer, (*compact.Decoder).Buffer),
	"optionalBuffer":   codecOf(hexBytes, compact.AppendBuffer, (*compact.Decoder).OptionalBuffer),
	"raw":              codecOf(hexBytes, appendRaw, (*compact.Decoder).Raw),
	"string":           codecOf(plain[string], compact.AppendString, (*compact.Decoder).String),
	"bool":             codecOf(plain[bool], compact.AppendBool, (*compact.Decoder).Bool),
	"fixed32":          codecOf(fixed32, appendFixed32, (*compact.Decoder).Fixed32),
	"fixed64":          codecOf(fixed64, appendFixed64, (*compact.Decoder).Fixed64),
	"ipv4Address":      codecOf(address, compact.AppendIPv4Address, (*compact.Decoder).IPv4Address),
	"ipv6Address":      codecOf(address, compact.AppendIPv6Address, (*compact.Decoder).IPv6Address),
	"ipAddress":        codecOf(address, compact.AppendIPAddress, (*compact.Decoder).IPAddress),
	"ipv4AddressArray": codecOf(list(address), compact.AppendIPv4AddressArray, (*compact.Decoder).IPv4AddressArray),
	"uintArray":        codecOf(list(plain[uint64]), compact.AppendUintArray, (*compact.Decoder).UintArray),
	"bufferArray":      codecOf(list(hexBytes), compact.AppendBufferArray, (*compact.Decoder).BufferArray),
	"bitfield7":        codecOf(plain[byte], compact.AppendBitfield7, (*compact.Decoder).Bitfield7),
}

func plain[T any](t *testing.T, raw json.RawMessage) (v T) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func hexBytes(t *testing.T, raw json.RawMessage) []byte {
	t.Helper()
	s := plain[*string](t, raw)
	if s == nil {
		return nil
	}
	b, err := hex.DecodeString(*s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func fixed32(t *testing.T, raw json.RawMessage) [32]byte { return [32]byte(hexBytes(t, raw)) }
func fixed64(t *testing.T, raw json.RawMessage) [64]byte { return [64]byte(hexBytes(t, raw)) }

func appendRaw(b, v []byte) []byte              { return append(b, v...) }
func appendFixed32(b []byte, v [32]byte) []byte { return append(b, v[:]...) }
func appendFixed64(b []byte, v [64]byte) []byte { return append(b, v[:]...) }
func address(t *testing.T, raw json.RawMessage) netip.AddrPort {
	t.Helper()
	a := plain[struct {
		Host netip.Addr
		Port uint16
	}](t, raw)
	return netip.AddrPortFrom(a.Host, a.Port)
}

func list[T any](element func(*testing.T, json.RawMessage) T) func(*testing.T, json.RawMessage) []T {
	return func(t *testing.T, raw json.RawMessage) (out []T) {
		t.Helper()
		for _, e := range plain[[]json.RawMessage](t, raw) {
			out = append(out, element(t, e))
		}
		return out
	}
}

type vector struct {
	Codec string
	Value json.RawMessage
	Hex   string
	Error string
}

func loadVectors(t testing.TB) map[string]json.RawMessage {
	t.Helper()
	b, err := os.ReadFile("testdata/compact-encoding.json")
	if err != nil {
		t.Fatal(err)
	}
	var groups map[string]json.RawMessage
	if err := json.Unmarshal(b, &groups); err != nil {
		t.Fatal(err)
	}
	return groups
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	groups := loadVectors(t)
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			vectors := plain[[]vector](t, groups[name])
			if len(vectors) == 0 {
				t.Fatal("no vectors")
			}
			for _, v := range vectors {
				want, value := unhex(t, v.Hex), c.parse(t, v.Value)
				if got := c.append(nil, value); !bytes.Equal(got, want) {
					t.Errorf("%v encodes to %x, want %x", value, got, want)
				}
				d := compact.NewDecoder(want)
				if got := c.decode(&d); d.Err() != nil || d.Len() != 0 || !same(got, value) {
					t.Errorf("%x decodes to %v (%v, %d bytes left), want %v", want, got, d.Err(), d.Len(), value)
				}
			}
		})
	}
}

// same is equality that takes no interest in nil and empty slices, which JSON
// cannot tell apart; TestNone does.
func same(a, b any) bool {
	av, bv := reflect.ValueOf(a), reflect.ValueOf(b)
	if av.Kind() == reflect.Slice && av.Len() == 0 && bv.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a, b)
}

func TestDecodeOnly(t *testing.T) {
	for _, v := range plain[[]vector](t, loadVectors(t)["decodeOnly"]) {
		c := codecs[v.Codec]
		d := compact.NewDecoder(unhex(t, v.Hex))
		got, want := c.decode(&d), c.parse(t, v.Value)
		if d.Err() != nil || got != want {
			t.Errorf("%s %s decodes to %v (%v), want %v", v.Codec, v.Hex, got, d.Err(), want)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, v := range plain[[]vector](t, loadVectors(t)["decodeErrors"]) {
		want := compact.ErrOutOfBounds
		if strings.HasPrefix(v.Error, "uint must be") {
			want = compact.ErrTooBig
		}
		c := codecs[v.Codec]
		d := compact.NewDecoder(unhex(t, v.Hex))
		got := c.decode(&d)
		if !errors.Is(d.Err(), want) {
			t.Errorf("%s %s: error %v, want %v", v.Codec, v.Hex, d.Err(), want)
		}
		if rv := reflect.ValueOf(got); !rv.IsZero() {
			t.Errorf("%s %s: %v beside an error", v.Codec, v.Hex, got)
		}
	}
}

// TestHyperDHTAddress reads and writes a whole structure from its parts: the
// address of a hyperdht server, whose bare form is a key without anything after it.
func TestHyperDHTAddress(t *testing.T) {
	type vec struct {
		Key, Hex string
		Nodes    json.RawMessage
	}
	for _, v := range plain[[]vec](t, loadVectors(t)["hyperdhtAddress"]) {
		want := unhex(t, v.Hex)
		var nodes []netip.AddrPort
		if string(v.Nodes) != "null" {
			nodes = list(address)(t, v.Nodes)
		}

		d := compact.NewDecoder(want)
		key, gotNodes := d.Fixed32(), []netip.AddrPort(nil)
		bare := d.Len() == 0
		if !bare && d.Uint()&1 != 0 {
			gotNodes = d.IPv4AddressArray()
		}
		if d.Err() != nil || hex.EncodeToString(key[:]) != v.Key || !same(gotNodes, nodes) {
			t.Errorf("%s: key %x nodes %v, %v", v.Hex, key, gotNodes, d.Err())
		}

		got := append([]byte(nil), key[:]...)
		switch {
		case bare:
		case nodes == nil:
			got = compact.AppendUint(got, 0)
		default:
			got = compact.AppendIPv4AddressArray(compact.AppendUint(got, 1), nodes)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("encodes to %x, want %x", got, want)
		}
	}
}
