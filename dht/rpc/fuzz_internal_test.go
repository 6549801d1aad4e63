package rpc

import (
	"bytes"
	"net/netip"
	"testing"
)

// FuzzRequest decodes anything as a request. What decodes is encoded, and that
// decodes to the same.
func FuzzRequest(f *testing.F) {
	for _, v := range loadVectors(f).all() {
		f.Add(unhex(f, v.Hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, again requestPacket
		if p.decode(b) != nil {
			return
		}
		enc := p.append(nil)
		if len(enc) != p.size() || len(enc) > len(b) {
			t.Fatalf("%x encodes to %x, whose size should be %d", b, enc, p.size())
		}
		if err := again.decode(enc); err != nil || !equalRequests(&p, &again) {
			t.Fatalf("%x is %+v, but again %+v (%v)", b, p, again, err)
		}
	})
}

// FuzzReply does the same with replies.
func FuzzReply(f *testing.F) {
	for _, v := range loadVectors(f).all() {
		f.Add(unhex(f, v.Hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, again replyPacket
		if p.decode(b) != nil {
			return
		}
		enc := p.append(nil)
		if len(enc) != p.size() || len(enc) > len(b) {
			t.Fatalf("%x encodes to %x, whose size should be %d", b, enc, p.size())
		}
		if err := again.decode(enc); err != nil || !equalReplies(&p, &again) {
			t.Fatalf("%x is %+v, but again %+v (%v)", b, p, again, err)
		}
		if n := closerNodes(p.closer, bucketSize); len(n) > bucketSize || len(n) > p.closerLen() {
			t.Fatalf("%d closer nodes of %d", len(n), p.closerLen())
		}
	})
}

// FuzzNode feeds a node with datagrams from a few sources, cut from one input by
// their lengths, while it waits for replies. It must never send more than one answer
// to a request, nor keep more than its limits.
func FuzzNode(f *testing.F) {
	for i, v := range loadVectors(f).all() {
		b := unhex(f, v.Hex)
		if i%7 == 0 && len(b) < 256 {
			f.Add(append([]byte{byte(i), byte(len(b))}, b...))
		}
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		n := newIdleNode(t, &Options{OnRequest: func(r *Request) bool {
			if r.Command%2 == 1 {
				_ = r.Reply(r.Value, nil)
				_ = r.Clone()
				return true
			}
			return false
		}})
		server, client := &recorder{addr: addrOf(1)}, &recorder{addr: addrOf(2)}
		n.core.server, n.core.client = server, client
		n.core.bootstrapped = true
		n.core.calls.nextTID = 0
		done := 0
		for i := range 8 {
			n.tell(addrOf(i%4), requestPacket{internal: true}, func(*Reply, error) { done++ })
		}
		sent := func() int { return len(server.sent) + len(client.sent) }
		for len(script) >= 2 {
			from, size := addrOf(int(script[0])%4), min(int(script[1]), len(script)-2)
			b := script[2 : 2+size]
			script = script[2+size:]
			before := sent()
			on := Socket(server)
			if size%2 == 1 {
				on = client
			}
			n.Receive(on, b, from)
			// An answer, and a ping to who asked or who is said to be down.
			if sent() > before+3 {
				t.Fatalf("%d datagrams for %x", sent()-before, b)
			}
		}
		if done > 8 || len(n.core.calls.byTID) > 8+maxVets+maxChecks || n.core.table.size > 4 || len(n.core.delayed) > maxDelayed {
			t.Fatalf("%d done, %d waiting, %d nodes, %d delayed", done, len(n.core.calls.byTID), n.core.table.size, len(n.core.delayed))
		}
		for _, s := range []*recorder{server, client} {
			for i, b := range s.sent {
				var req requestPacket
				var rep replyPacket
				if req.decode(b) != nil && rep.decode(b) != nil {
					t.Fatalf("sent %x", b)
				}
				if s.to[i] == (netip.AddrPort{}) || bytes.Equal(b, nil) {
					t.Fatal("sent to nowhere")
				}
			}
		}
	})
}
