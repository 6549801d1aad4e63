package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

var types = []wire.Type{
	wire.TypeOpen, wire.TypeOptions, wire.TypeStatus, wire.TypeHave, wire.TypeUnhave, wire.TypeWant, wire.TypeUnwant,
	wire.TypeRequest, wire.TypeCancel, wire.TypeData, wire.TypeClose, wire.TypeExtension,
}

// number draws a number that a message may carry, often one at an edge.
func number(t *rapid.T) uint64 {
	return rapid.OneOf(rapid.Uint64Range(0, 300), rapid.Uint64Range(0, wire.MaxNumber), rapid.Just(uint64(wire.MaxNumber))).Draw(t, "number")
}

func octets(t *rapid.T, most int) []byte {
	return rapid.SliceOfN(rapid.Byte(), 0, most).Draw(t, "bytes")
}

// drawMessage draws any message.
func drawMessage(t *rapid.T) wire.Message {
	var key tree.DiscoveryKey
	copy(key[:], octets(t, 32))
	flag := rapid.Bool()
	switch typ := rapid.SampledFrom(types).Draw(t, "type"); typ {
	case wire.TypeOpen:
		m := &wire.Open{DiscoveryKey: key}
		if b := octets(t, 40); len(b) > 0 {
			m.Capability = b
		}
		return m
	case wire.TypeOptions:
		return &wire.Options{Extensions: rapid.SliceOfN(rapid.String(), 0, 5).Draw(t, "names"), Ack: flag.Draw(t, "ack")}
	case wire.TypeStatus:
		return &wire.Status{Uploading: flag.Draw(t, "uploading"), Downloading: flag.Draw(t, "downloading")}
	case wire.TypeHave:
		m := &wire.Have{Start: number(t), Length: number(t), Ack: flag.Draw(t, "ack")}
		if flag.Draw(t, "bitfield") {
			m.Bitfield, m.HasBitfield = octets(t, 20), true
		}
		return m
	case wire.TypeUnhave:
		return &wire.Unhave{Start: number(t), Length: number(t)}
	case wire.TypeWant:
		return &wire.Want{Start: number(t), Length: number(t)}
	case wire.TypeUnwant:
		return &wire.Unwant{Start: number(t), Length: number(t)}
	case wire.TypeRequest:
		return &wire.Request{Index: number(t), Bytes: number(t), Hash: flag.Draw(t, "hash"), Nodes: number(t)}
	case wire.TypeCancel:
		return &wire.Cancel{Index: number(t), Bytes: number(t), Hash: flag.Draw(t, "hash")}
	case wire.TypeData:
		m := &wire.Data{Index: number(t), Proof: tree.Proof{Nodes: []tree.Node{}}}
		if flag.Draw(t, "value") {
			m.Value, m.HasValue = octets(t, 200), true
		}
		for range rapid.IntRange(0, 10).Draw(t, "nodes") {
			n := tree.Node{Index: tree.Index(number(t)), Size: number(t)}
			copy(n.Hash[:], octets(t, 32))
			m.Proof.Nodes = append(m.Proof.Nodes, n)
		}
		if m.Proof.HasSignature = flag.Draw(t, "signature"); m.Proof.HasSignature {
			copy(m.Proof.Signature[:], octets(t, 64))
		}
		return m
	case wire.TypeClose:
		if flag.Draw(t, "refusal") {
			return &wire.Close{DiscoveryKey: key, HasDiscoveryKey: true}
		}
		return &wire.Close{}
	default:
		return &wire.Extension{ID: number(t), Payload: octets(t, 50)}
	}
}

// What is encoded decodes as itself, on any channel and behind any bytes.
func TestMessageRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		channel := rapid.Uint64Range(0, wire.MaxChannel).Draw(t, "channel")
		b := m.AppendFrame([]byte("before"), channel)
		if !bytes.HasPrefix(b, []byte("before")) {
			t.Fatalf("AppendFrame changed what was there: %x", b)
		}
		var s wire.Splitter
		s.Feed(b[len("before"):])
		f, ok, err := s.Next()
		if !ok || err != nil || f.Channel != channel || f.Type != m.Type() || s.Buffered() != 0 {
			t.Fatalf("frame %x: %+v, %v, %v", b, f, ok, err)
		}
		if d, ok := m.(*wire.Data); ok && d.BodySize() != len(f.Body) {
			t.Fatalf("BodySize %d, want %d", d.BodySize(), len(f.Body))
		}
		got, err := wire.Decode(f)
		if err != nil {
			t.Fatal(err)
		}
		if !equal(m, got) {
			t.Fatalf("encoded %+v, decoded %+v", m, got)
		}
	})
}

// equal compares messages, an empty slice being as good as none.
func equal(a, b wire.Message) bool {
	if x, ok := a.(*wire.Options); ok {
		y, ok := b.(*wire.Options)
		return ok && slices.Equal(x.Extensions, y.Extensions) && x.Ack == y.Ack
	}
	if x, ok := a.(*wire.Data); ok {
		y, ok := b.(*wire.Data)
		return ok && x.Index == y.Index && x.HasValue == y.HasValue && bytes.Equal(x.Value, y.Value) &&
			slices.Equal(x.Proof.Nodes, y.Proof.Nodes) && x.Proof.HasSignature == y.Proof.HasSignature && x.Proof.Signature == y.Proof.Signature
	}
	return reflect.DeepEqual(a, b)
}

// Decoding does not depend on the order of fields, on unknown fields among them
// or on what the message held before; of a repeated field the last counts.
func TestDecodeTolerates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		if m.Type() == wire.TypeExtension {
			return // not made of fields
		}
		want, got := body(m), []byte(nil)
		var parts [][]byte
		for rest := want; len(rest) > 0; {
			_, _, n := protowire.ConsumeField(rest)
			parts = append(parts, rest[:n])
			rest = rest[n:]
		}
		repeated := m.Type() == wire.TypeOptions || m.Type() == wire.TypeData
		for i, p := range parts {
			if !repeated && rapid.Bool().Draw(t, "twice") && p[0]&7 == byte(protowire.VarintType) {
				parts = slices.Insert(parts, i, append([]byte{p[0]}, 3)) // overruled by what follows
				break
			}
		}
		if !repeated && len(parts) == len(splitFields(want)) {
			parts = rapid.Permutation(parts).Draw(t, "order")
		}
		for _, p := range parts {
			if rapid.Bool().Draw(t, "unknown") {
				got = append(got, rapid.SampledFrom(unknownFields).Draw(t, "field")...)
			}
			got = append(got, p...)
		}

		fresh, err := wire.Decode(wire.Frame{Type: m.Type(), Body: got})
		if err != nil {
			t.Fatalf("%x: %v", got, err)
		}
		used := drawMessage(t)
		for used.Type() != m.Type() {
			used = drawMessage(t)
		}
		if err := used.Decode(got); err != nil {
			t.Fatal(err)
		}
		plain, err := wire.Decode(wire.Frame{Type: m.Type(), Body: want})
		if err != nil || !equal(plain, fresh) || !equal(plain, used) {
			t.Fatalf("%x: %+v\n%x: %+v\ninto a used one: %+v", want, plain, got, fresh, used)
		}
	})
}

var unknownFields = [][]byte{
	{5 << 3, 0x80, 1}, {6<<3 | 1, 1, 2, 3, 4, 5, 6, 7, 8}, {7<<3 | 2, 3, 9, 9, 9}, {8<<3 | 5, 1, 2, 3, 4}, {0x82, 1, 0},
}

func splitFields(b []byte) (parts [][]byte) {
	for len(b) > 0 {
		_, _, n := protowire.ConsumeField(b)
		parts = append(parts, b[:n])
		b = b[n:]
	}
	return parts
}

// body returns m without its frame's head, which is short.
func body(m wire.Message) []byte {
	b := m.AppendFrame(nil, 1)
	_, n := protowire.ConsumeVarint(b)
	return b[n+1:]
}

func TestDecodeErrors(t *testing.T) {
	key, sig := make([]byte, 32), make([]byte, 64)
	cat := func(parts ...any) (b []byte) {
		for _, p := range parts {
			switch p := p.(type) {
			case int:
				b = append(b, byte(p))
			case []byte:
				b = append(b, p...)
			}
		}
		return b
	}
	node := cat(0x08, 2, 0x12, 32, key, 0x18, 5)
	over := protowire.AppendVarint(nil, wire.MaxNumber+1)
	for _, c := range []struct {
		typ   wire.Type
		body  []byte
		field string
		want  error
	}{
		{wire.TypeOpen, nil, "discoveryKey", wire.ErrMissing},
		{wire.TypeOpen, cat(0x12, 32, key), "discoveryKey", wire.ErrMissing},
		{wire.TypeOpen, cat(0x0a, 31, key[:31]), "discoveryKey", wire.ErrLength},
		{wire.TypeOpen, cat(0x0a, 32, key[:31]), "discoveryKey", wire.ErrMalformed},
		{wire.TypeOpen, cat(0x0a, 32, key, 0x12, 9), "capability", wire.ErrMalformed},
		{wire.TypeOpen, cat(0x08, 1), "discoveryKey", wire.ErrMalformed},
		{wire.TypeOptions, bytes.Repeat([]byte{0x0a, 0}, wire.MaxExtensions+1), "extensions", wire.ErrTooMany},
		{wire.TypeOptions, cat(0x10), "ack", wire.ErrMalformed},
		{wire.TypeStatus, cat(0x08, 0x80), "uploading", wire.ErrMalformed},
		{wire.TypeStatus, cat(0x80), "", wire.ErrMalformed},
		{wire.TypeStatus, cat(0x00, 0x00), "", wire.ErrMalformed},     // field number 0
		{wire.TypeStatus, cat(5<<3|3, 5<<3|4), "", wire.ErrMalformed}, // a group
		{wire.TypeStatus, cat(5<<3 | 6), "", wire.ErrMalformed},       // no such wire type
		{wire.TypeStatus, cat(5<<3|2, 9, key[:8]), "", wire.ErrMalformed},
		{wire.TypeStatus, cat(5<<3, bytes.Repeat([]byte{0xff}, 11)), "", wire.ErrMalformed},
		{wire.TypeHave, cat(0x10, 1), "start", wire.ErrMissing},
		{wire.TypeHave, cat(0x08, over), "start", wire.ErrNumber},
		{wire.TypeHave, cat(0x08, 1, 0x10, over), "length", wire.ErrNumber},
		{wire.TypeHave, cat(0x08, 1, 0x1a, 4, key[:3]), "bitfield", wire.ErrMalformed},
		{wire.TypeUnhave, nil, "start", wire.ErrMissing},
		{wire.TypeUnhave, cat(0x08, 1, 0x10, over), "length", wire.ErrNumber},
		{wire.TypeWant, nil, "start", wire.ErrMissing},
		{wire.TypeUnwant, cat(0x0d, 1, 2, 3, 4), "start", wire.ErrMalformed},
		{wire.TypeRequest, cat(0x10, 0), "index", wire.ErrMissing},
		{wire.TypeRequest, cat(0x08, 1, 0x20, over), "nodes", wire.ErrNumber},
		{wire.TypeRequest, cat(0x08, bytes.Repeat([]byte{0xff}, 10), 1), "index", wire.ErrMalformed},
		{wire.TypeCancel, cat(0x18, 1), "index", wire.ErrMissing},
		{wire.TypeData, cat(0x12, 1, 7), "index", wire.ErrMissing},
		{wire.TypeData, cat(0x08, 1, 0x12, 5, 7), "value", wire.ErrMalformed},
		{wire.TypeData, cat(0x08, 1, bytes.Repeat(cat(0x1a, len(node), node), wire.MaxNodes+1)), "nodes", wire.ErrTooMany},
		{wire.TypeData, cat(0x08, 1, 0x1a, 0), "nodes", wire.ErrMissing},
		{wire.TypeData, cat(0x08, 1, 0x1a, len(node)-2, node[:len(node)-2]), "nodes", wire.ErrMissing},
		{wire.TypeData, cat(0x08, 1, 0x1a, 35, 0x08, 2, 0x12, 31, key[:31]), "nodes", wire.ErrLength},
		{wire.TypeData, cat(0x08, 1, 0x1a, 36, node[:36]), "nodes", wire.ErrMissing},
		{wire.TypeData, cat(0x08, 1, 0x1a, 35, node[:35]), "nodes", wire.ErrMalformed},
		{wire.TypeData, cat(0x08, 1, 0x1a, 9, 0x08, over), "nodes", wire.ErrNumber},
		{wire.TypeData, cat(0x08, 1, 0x22, 63, sig[:63]), "signature", wire.ErrLength},
		{wire.TypeData, cat(0x08, 1, 0x22, 0), "signature", wire.ErrLength},
		{wire.TypeClose, cat(0x0a, 0), "discoveryKey", wire.ErrLength},
		{wire.TypeExtension, nil, "id", wire.ErrMalformed},
		{wire.TypeExtension, cat(0x80), "id", wire.ErrMalformed},
		{wire.TypeExtension, over, "id", wire.ErrNumber},
	} {
		m, err := wire.Decode(wire.Frame{Type: c.typ, Body: c.body})
		var e *wire.MessageError
		if m != nil || !errors.Is(err, c.want) || !errors.As(err, &e) || e.Type != c.typ || e.Field != c.field {
			t.Errorf("%v %x: %v, %v, want %v of %q", c.typ, c.body[:min(len(c.body), 50)], m, err, c.want, c.field)
		} else if !strings.Contains(err.Error(), c.typ.String()) || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%v %v says %q", c.typ, c.field, err)
		}
	}
}

// The largest numbers and the most values that are allowed.
func TestDecodeLimits(t *testing.T) {
	d := &wire.Data{Index: wire.MaxNumber, Proof: tree.Proof{Nodes: make([]tree.Node, wire.MaxNodes)}}
	for i := range d.Proof.Nodes {
		d.Proof.Nodes[i] = tree.Node{Index: wire.MaxNumber, Size: wire.MaxNumber}
	}
	for _, m := range []wire.Message{d, &wire.Options{Extensions: make([]string, wire.MaxExtensions)}} {
		got, err := wire.Decode(parseOne(t, m.AppendFrame(nil, 1)))
		if err != nil || !equal(m, got) {
			t.Errorf("%v at its limits: %v", m.Type(), err)
		}
	}
}

func TestUnknownTypes(t *testing.T) {
	for typ := wire.TypeClose + 1; typ < wire.TypeExtension; typ++ {
		f := parseOne(t, []byte{3, 1<<4 | byte(typ), 0xff, 0xff})
		if m, err := wire.Decode(f); m != nil || err != nil || f.Type != typ || typ.Known() {
			t.Errorf("%v: %v, %v", f.Type, m, err)
		}
	}
	if got := wire.Type(12).String(); got != "type(12)" {
		t.Error(got)
	}
}

// A decoded message refers to the body where it says so, and cannot be made to
// write behind it.
func TestDecodeAliases(t *testing.T) {
	b := (&wire.Data{Index: 1, Value: []byte("value"), HasValue: true}).AppendFrame(nil, 1)
	f := parseOne(t, append(b, "next"...)[:len(b)])
	var m wire.Data
	if err := m.Decode(f.Body); err != nil {
		t.Fatal(err)
	}
	f.Body[len(f.Body)-1] = 'E'
	if string(m.Value) != "valuE" {
		t.Errorf("value %q was copied", m.Value)
	}
	if cap(m.Value) != len(m.Value) {
		t.Errorf("capacity %d of a value of %d", cap(m.Value), len(m.Value))
	}
}
