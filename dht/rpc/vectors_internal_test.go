package rpc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"testing"
)

// vectorMessage is a datagram of the vector file.
type vectorMessage struct {
	Note, Hex, Kind   string
	Flags             byte
	TID               uint16
	To                vectorAddr
	ID, Token, Target *string
	Internal          bool
	Command           uint64
	CloserNodes       []vectorAddr
	Error             uint64
	Value             *string
}

type vectorAddr struct {
	Host netip.Addr
	Port uint16
	ID   string
}

func (a vectorAddr) addrPort() netip.AddrPort { return netip.AddrPortFrom(a.Host, a.Port) }

type vectorFile struct {
	Synthetic struct {
		Requests, Replies, Invalid []vectorMessage
	}
	NodeIDs  []vectorAddr
	Captures []struct {
		Name      string
		Datagrams []vectorMessage
	}
}

func loadVectors(t testing.TB) *vectorFile {
	t.Helper()
	b, err := os.ReadFile("testdata/dht-rpc-messages.json")
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return &f
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// optionalHex turns null into nil, and the empty string into an empty slice.
func optionalHex(t testing.TB, s *string) []byte {
	t.Helper()
	if s == nil {
		return nil
	}
	return append([]byte{}, unhex(t, *s)...)
}

// all yields every valid message of the file.
func (f *vectorFile) all() []vectorMessage {
	all := append(append([]vectorMessage(nil), f.Synthetic.Requests...), f.Synthetic.Replies...)
	for _, c := range f.Captures {
		for _, d := range c.Datagrams {
			if d.Kind != "request" && d.Kind != "response" {
				continue // a probe of hole punching, a packet of UDX
			}
			d.Note = c.Name
			all = append(all, d)
		}
	}
	return all
}

func TestMessageVectors(t *testing.T) {
	requests, replies := 0, 0
	for _, v := range loadVectors(t).all() {
		b := unhex(t, v.Hex)
		switch v.Kind {
		case "request":
			requests++
			checkRequestVector(t, &v, b)
		case "response":
			replies++
			checkReplyVector(t, &v, b)
		}
	}
	if requests < 100 || replies < 100 {
		t.Errorf("only %d requests and %d replies were checked", requests, replies)
	}
}

func checkRequestVector(t *testing.T, v *vectorMessage, b []byte) {
	t.Helper()
	want := requestPacket{
		tid: v.TID, to: v.To.addrPort(), id: optionalHex(t, v.ID), token: optionalHex(t, v.Token),
		internal: v.Internal, command: v.Command, target: optionalHex(t, v.Target), value: optionalHex(t, v.Value),
	}
	if got := want.append(nil); !bytes.Equal(got, b) || want.size() != len(b) {
		t.Errorf("%s: encodes to %x (size %d), want %x", v.Note, got, want.size(), b)
	}
	var got requestPacket
	if err := got.decode(b); err != nil {
		t.Errorf("%s: %v", v.Note, err)
		return
	}
	if !equalRequests(&got, &want) {
		t.Errorf("%s: decodes to %+v, want %+v", v.Note, got, want)
	}
}

func equalRequests(a, b *requestPacket) bool {
	return a.tid == b.tid && a.to == b.to && equal(a.id, b.id) && equal(a.token, b.token) &&
		a.internal == b.internal && a.command == b.command && equal(a.target, b.target) && equal(a.value, b.value)
}

// equal tells nil from empty.
func equal(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func checkReplyVector(t *testing.T, v *vectorMessage, b []byte) {
	t.Helper()
	want := replyPacket{
		tid: v.TID, to: v.To.addrPort(), id: optionalHex(t, v.ID), token: optionalHex(t, v.Token),
		code: Code(v.Error), value: optionalHex(t, v.Value),
	}
	var nodes []netip.AddrPort
	for _, n := range v.CloserNodes {
		nodes = append(nodes, n.addrPort())
		want.closer = appendCloser(want.closer, n.addrPort())
	}
	if got := want.append(nil); !bytes.Equal(got, b) || want.size() != len(b) {
		t.Errorf("%s: encodes to %x (size %d), want %x", v.Note, got, want.size(), b)
	}
	var got replyPacket
	if err := got.decode(b); err != nil {
		t.Errorf("%s: %v", v.Note, err)
		return
	}
	if !equalReplies(&got, &want) {
		t.Errorf("%s: decodes to %+v, want %+v", v.Note, got, want)
	}
	for i, n := range closerNodes(got.closer, bucketSize) {
		if n != nodes[i] {
			t.Errorf("%s: closer node %d is %v, want %v", v.Note, i, n, nodes[i])
		}
	}
}

func equalReplies(a, b *replyPacket) bool {
	return a.tid == b.tid && a.to == b.to && equal(a.id, b.id) && equal(a.token, b.token) &&
		bytes.Equal(a.closer, b.closer) && a.code == b.code && equal(a.value, b.value)
}

func TestNodeIDVectors(t *testing.T) {
	f := loadVectors(t)
	for _, v := range f.NodeIDs {
		if got := IDOf(v.addrPort()).String(); got != v.ID {
			t.Errorf("id of %v is %s, want %s", v.addrPort(), got, v.ID)
		}
	}
	// In the captures the ids that nodes claim are those of where they sent from.
	claimed := 0
	for _, c := range f.Captures {
		for _, d := range c.Datagrams {
			if d.Kind == "response" && d.ID != nil {
				claimed++
			}
		}
	}
	if len(f.NodeIDs) == 0 || claimed == 0 {
		t.Error("no ids to check")
	}
	if !IDOf(netip.MustParseAddrPort("[::1]:1")).IsZero() {
		t.Error("an IPv6 address has an id")
	}
}

// TestInvalidVectors passes to a node what it must not even notice.
func TestInvalidVectors(t *testing.T) {
	v := loadVectors(t).Synthetic.Invalid
	if len(v) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range v {
		b := unhex(t, v.Hex)
		n := newIdleNode(t, nil)
		s := &recorder{addr: netip.MustParseAddrPort("10.0.0.1:1000")}
		n.core.server, n.core.client = s, &recorder{}
		n.Receive(s, b, netip.MustParseAddrPort("10.0.0.2:2000"))
		if len(s.sent) != 0 {
			t.Errorf("%s: answered with %x", v.Note, s.sent)
		}
	}
}

// TestTruncatedVectors cuts every message at every place. What is left of it is
// never taken for a whole one, unless the last field was of no fixed end.
func TestTruncatedVectors(t *testing.T) {
	for _, v := range loadVectors(t).all() {
		b := unhex(t, v.Hex)
		for n := range b {
			var req requestPacket
			var rep replyPacket
			if req.decode(b[:n]) == nil || rep.decode(b[:n]) == nil {
				t.Errorf("%s: %d of %d bytes decode", v.Note, n, len(b))
			}
		}
		// Longer is all right: later versions may append fields.
		var req requestPacket
		var rep replyPacket
		if longer := append(b, 1, 2, 3); req.decode(longer) != nil && rep.decode(longer) != nil {
			t.Errorf("%s: does not decode with bytes after its end", v.Note)
		}
	}
}
