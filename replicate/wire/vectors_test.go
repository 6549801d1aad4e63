package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-feeds/cairn/replicate/wire"
)

// hexBytes is bytes that JSON holds as hexadecimal text.
type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	var err error
	*h, err = hex.DecodeString(s)
	return err
}

func load(tb testing.TB, name string, v any) {
	tb.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		tb.Fatal(err)
	}
}

// vectorMessage is a message of wire-messages.json, or a log entry of the others.
type vectorMessage struct {
	Name    string
	Channel uint64
	Type    wire.Type
	Body    hexBytes
	Frame   hexBytes
	Decoded any
	ID      uint64
	Payload hexBytes
}

type messageVectors struct {
	Messages   []vectorMessage
	Extensions []vectorMessage
	Streams    []struct {
		Bytes  hexBytes
		Frames []string
	}
}

func loadMessages(tb testing.TB) *messageVectors {
	v := new(messageVectors)
	load(tb, "wire-messages.json", v)
	if len(v.Messages) == 0 || len(v.Extensions) == 0 || len(v.Streams) == 0 {
		tb.Fatal("vectors are empty")
	}
	return v
}

// parseOne returns the only frame of b.
func parseOne(tb testing.TB, b []byte) wire.Frame {
	tb.Helper()
	var s wire.Splitter
	s.Feed(b)
	f, ok, err := s.Next()
	if !ok || err != nil || s.Buffered() > 0 {
		tb.Fatalf("frame %x: %v, %v, %d bytes more", b, ok, err, s.Buffered())
	}
	return f
}

// canonical is what hypercore 9 would write for messages of the vectors that it
// decodes but never writes.
var canonical = map[string]string{
	"0111":       "03111000",             // Options without ack on a feed's channel
	"0112":       "051208001000",         // Status without fields
	"041408ac02": "061408ac021001",       // Unhave without length
	"03170803":   "09170803100018002000", // Request without what is zero
}

func TestMessageVectors(t *testing.T) {
	v := loadMessages(t)
	used := 0
	for _, c := range v.Messages {
		f := parseOne(t, c.Frame)
		if f.Channel != c.Channel || f.Type != c.Type || f.Type.String() != c.Name || !bytes.Equal(f.Body, c.Body) {
			t.Errorf("frame %x: %+v", c.Frame, f)
			continue
		}
		m, err := wire.Decode(f)
		if err != nil {
			t.Errorf("%s %x: %v", c.Name, c.Body, err)
			continue
		}
		if got := asVector(t, m); !reflect.DeepEqual(got, c.Decoded) {
			t.Errorf("%s %x decodes as\n%v, want\n%v", c.Name, c.Body, got, c.Decoded)
		}
		want := hex.EncodeToString(c.Frame)
		if other, ok := canonical[want]; ok {
			want = other
			used++
		}
		if got := hex.EncodeToString(m.AppendFrame(nil, c.Channel)); got != want {
			t.Errorf("%s %v encodes as\n%s, want\n%s", c.Name, c.Decoded, got, want)
		}
	}
	if used != len(canonical) {
		t.Errorf("%d of %d canonical forms used", used, len(canonical))
	}
}

func TestExtensionVectors(t *testing.T) {
	for _, c := range loadMessages(t).Extensions {
		f := parseOne(t, c.Frame)
		var m wire.Extension
		if err := m.Decode(f.Body); err != nil || m.ID != c.ID || !bytes.Equal(m.Payload, c.Payload) || f.Channel != c.Channel {
			t.Errorf("extension %x: %v %+v, %v", c.Frame, f.Channel, m, err)
		}
		if got := m.AppendFrame(nil, f.Channel); !bytes.Equal(got, c.Frame) {
			t.Errorf("extension encodes as %x, want %x", got, c.Frame)
		}
	}
}

// However a stream is cut, its frames are the same.
func TestStreamVectors(t *testing.T) {
	for _, c := range loadMessages(t).Streams {
		for piece := 1; piece <= len(c.Bytes); piece++ {
			var s wire.Splitter
			var got []string
			for p := range slices.Chunk([]byte(c.Bytes), piece) {
				s.Feed(p)
				for {
					f, ok, err := s.Next()
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						break
					}
					got = append(got, name(f))
				}
			}
			if !slices.Equal(got, c.Frames) || s.Buffered() != 0 {
				t.Fatalf("in pieces of %d: %v, want %v", piece, got, c.Frames)
			}
		}
	}
}

func name(f wire.Frame) string {
	b, _ := json.Marshal(f.Channel)
	return f.Type.String() + "@" + string(b)
}

// Every frame of the recorded sessions, decoded and encoded, is the same frame.
func TestSessionVectors(t *testing.T) {
	var frames []vectorMessage
	var sessions struct {
		Sessions map[string]struct{ Log []vectorMessage }
	}
	load(t, "sessions.json", &sessions)
	for _, s := range sessions.Sessions {
		frames = append(frames, s.Log...)
	}
	var transport struct {
		Modes map[string]struct{ Frames map[string][]vectorMessage }
	}
	load(t, "transport.json", &transport)
	for _, m := range transport.Modes {
		for _, f := range m.Frames {
			frames = append(frames, f...)
		}
	}

	seen := map[wire.Type]int{}
	keepAlives := 0
	for _, c := range frames {
		if len(c.Frame) == 0 {
			continue // an event
		}
		if bytes.Equal(c.Frame, []byte{wire.KeepAlive}) {
			keepAlives++
			continue
		}
		f := parseOne(t, c.Frame)
		if f.Type != c.Type || f.Channel != c.Channel {
			t.Errorf("frame %x: %v, want type %v on channel %d", c.Frame, name(f), c.Type, c.Channel)
		}
		m, err := wire.Decode(f)
		if err != nil {
			t.Errorf("frame %x: %v", c.Frame, err)
			continue
		}
		if got := m.AppendFrame(nil, f.Channel); !bytes.Equal(got, c.Frame) {
			t.Errorf("%v encodes as\n%x, want\n%x", f.Type, got, c.Frame)
		}
		seen[f.Type]++
	}
	for _, want := range []wire.Type{
		wire.TypeOpen, wire.TypeOptions, wire.TypeStatus, wire.TypeHave, wire.TypeUnhave, wire.TypeWant,
		wire.TypeRequest, wire.TypeData, wire.TypeClose, wire.TypeExtension,
	} {
		if seen[want] == 0 {
			t.Errorf("no %v in the sessions", want)
		}
	}
	if keepAlives == 0 {
		t.Error("no keep-alive in the sessions")
	}
}

// asVector is m in the form of a vector's "decoded": as what JSON decodes to.
func asVector(tb testing.TB, m wire.Message) any {
	tb.Helper()
	optional := func(b []byte, has bool) any {
		if !has {
			return nil
		}
		return hex.EncodeToString(b)
	}
	var v map[string]any
	switch m := m.(type) {
	case *wire.Open:
		v = map[string]any{"discoveryKey": m.DiscoveryKey, "capability": optional(m.Capability, m.Capability != nil)}
	case *wire.Options:
		v = map[string]any{"extensions": append([]string{}, m.Extensions...), "ack": m.Ack}
	case *wire.Have:
		v = map[string]any{"start": m.Start, "length": m.Length, "bitfield": optional(m.Bitfield, m.HasBitfield), "ack": m.Ack}
	case *wire.Data:
		nodes := make([]any, len(m.Proof.Nodes))
		for i, n := range m.Proof.Nodes {
			nodes[i] = map[string]any{"index": n.Index, "hash": n.Hash, "size": n.Size}
		}
		v = map[string]any{
			"index": m.Index, "value": optional(m.Value, m.HasValue), "nodes": nodes,
			"signature": optional(m.Proof.Signature[:], m.Proof.HasSignature),
		}
	case *wire.Close:
		v = map[string]any{"discoveryKey": optional(m.DiscoveryKey[:], m.HasDiscoveryKey)}
	default: // all fields of the others are numbers and flags
		v = map[string]any{}
		r := reflect.ValueOf(m).Elem()
		for i := range r.NumField() {
			v[strings.ToLower(r.Type().Field(i).Name)] = r.Field(i).Interface()
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		tb.Fatal(err)
	}
	return out
}
