package compact_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// FuzzDecoder reads an input as a sequence of values that script names. Whatever
// was read must encode to bytes that read the same, no longer than those consumed.
func FuzzDecoder(f *testing.F) {
	order := []string{
		"uint", "int", "uint16", "uint32", "uint64", "buffer", "optionalBuffer", "string", "bool", "fixed32",
		"fixed64", "ipv4Address", "ipv6Address", "ipAddress", "ipv4AddressArray", "uintArray", "bufferArray", "raw",
	}
	groups := loadVectors(f)
	for i, name := range order {
		var vectors []vector
		if err := json.Unmarshal(groups[name], &vectors); err != nil {
			f.Fatal(err)
		}
		for _, v := range vectors {
			f.Add([]byte{byte(i)}, unhex(f, v.Hex))
		}
	}
	f.Add([]byte{0, 5, 14}, []byte{0xfd, 1, 0, 3, 'a', 'b', 'c', 0xfe, 0xff, 0xff, 0x0f, 0})

	f.Fuzz(func(t *testing.T, script, in []byte) {
		d := compact.NewDecoder(in)
		for _, s := range script {
			c := codecs[order[int(s)%len(order)]]
			start := d.Offset()
			v := c.decode(&d)
			if d.Err() != nil {
				return
			}
			read := in[start:d.Offset()]
			again := c.append(nil, v)
			if len(again) > len(read) {
				t.Fatalf("%x, %d bytes, encodes again in %d", read, len(read), len(again))
			}
			d2 := compact.NewDecoder(again)
			v2 := c.decode(&d2)
			if d2.Err() != nil || d2.Len() != 0 || !bytes.Equal(c.append(nil, v2), again) {
				t.Fatalf("%x reads as %v, which reads as %v (%v)", read, v, v2, d2.Err())
			}
		}
	})
}
