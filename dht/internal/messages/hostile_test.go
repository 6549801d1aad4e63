package messages_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"runtime"
	"testing"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
)

// TestTruncated cuts every vector everywhere: all but the whole is malformed, or
// has lost something that may be missing.
func TestTruncated(t *testing.T) {
	for _, v := range readPayloads(t).Payloads {
		c := codecs[v.Codec]
		whole, err := c.parse(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(v.Hex) {
			if v.Codec == "mutableSignable" {
				continue // not a message
			}
			m, err := c.parse(v.Hex[:n])
			if err != nil {
				if !errors.Is(err, messages.ErrMalformed) {
					t.Errorf("%s %s, %d bytes: %v", v.Codec, v.Note, n, err)
				}
				if !reflect.ValueOf(m).Elem().IsZero() {
					t.Errorf("%s %s, %d bytes: %+v with an error", v.Codec, v.Note, n, m)
				}
				continue
			}
			if v.Codec != "lookupRawReply" {
				t.Errorf("%s %s, %d bytes: %+v, no error", v.Codec, v.Note, n, m)
			}
		}
		// What other versions may append is ignored.
		longer, err := c.parse(append(bytes.Clone(v.Hex), 1, 2, 3))
		if v.Codec == "lookupRawReply" || v.Codec == "mutableSignable" {
			continue // these go to the end
		}
		if err != nil || !reflect.DeepEqual(longer, whole) {
			t.Errorf("%s %s with bytes at the end: %+v, %v", v.Codec, v.Note, longer, err)
		}
	}
}

// TestArraysAreNotAllocatedByCount announces arrays of a million elements.
func TestArraysAreNotAllocatedByCount(t *testing.T) {
	count := binary.LittleEndian.AppendUint32([]byte{0xfe}, 1<<20)
	key := make([]byte, 32)
	hostile := map[string][]byte{
		"noisePayload":     append([]byte{1, 1, 0, 0, 5}, count...),
		"holepunchPayload": append([]byte{4, 0, 0, 0}, count...),
		"peer":             append(key, count...),
		"lookupRawReply":   count,
		"announce":         append(append([]byte{1}, key...), count...),
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, b := range hostile {
		if m, err := codecs[name].parse(append(b, make([]byte, 600)...)); !errors.Is(err, messages.ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes allocated", got)
	}
}

func TestOtherVersion(t *testing.T) {
	p, err := messages.ParseNoisePayload([]byte{2, 0xff, 0xff})
	if err != nil || !reflect.DeepEqual(p, messages.NoisePayload{Version: 2}) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestWideStreamNumbers(t *testing.T) {
	wide := []byte{0xff, 0, 0, 0, 0, 1, 0, 0, 0} // 2^32
	for _, b := range [][]byte{
		append([]byte{1, 8, 0, 0, 1, 0}, append(bytes.Clone(wide), 0)...),
		append([]byte{1, 8, 0, 0, 1, 0, 7}, wide...),
	} {
		if p, err := messages.ParseNoisePayload(b); !errors.Is(err, messages.ErrMalformed) {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if p, err := messages.ParsePair(append(make([]byte, 33), append(bytes.Clone(wide), 0)...)); !errors.Is(err, messages.ErrMalformed) {
		t.Errorf("%+v, %v", p, err)
	}
}

// FuzzParse decodes bytes as every message. What decodes must survive being
// encoded, and decoded again.
func FuzzParse(f *testing.F) {
	for _, v := range readPayloads(f).Payloads {
		f.Add([]byte(v.Hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, c := range codecs {
			m, err := c.parse(b)
			if err != nil {
				if !errors.Is(err, messages.ErrMalformed) {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if p, ok := m.(*messages.NoisePayload); ok && p.Version != messages.Version {
				continue
			}
			encoded := m.Append(nil)
			again, err := c.parse(encoded)
			if err != nil || !reflect.DeepEqual(again, m) {
				t.Errorf("%s: %x is %+v, encoded as %x and decoded as %+v (%v)", name, b, m, encoded, again, err)
			}
		}
		if a, err := messages.ParseAddress(b); err == nil {
			if again, err := messages.ParseAddress(a.Append(nil)); err != nil || !reflect.DeepEqual(again, a) {
				t.Errorf("address %+v, then %+v (%v)", a, again, err)
			}
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{keyHex, keyZ32, "pear://" + keyZ32 + "/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := messages.ParseKey(s)
		if err != nil {
			return
		}
		if again, err := messages.ParseKey(messages.FormatKey(key)); err != nil || again != key {
			t.Errorf("%q is %x, then %x (%v)", s, key, again, err)
		}
	})
}
