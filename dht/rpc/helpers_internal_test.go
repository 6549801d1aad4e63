package rpc

import (
	"bytes"
	"net/netip"
	"testing"
)

// recorder is a Socket that keeps what is sent.
type recorder struct {
	addr netip.AddrPort
	sent [][]byte
	to   []netip.AddrPort
}

func (r *recorder) WriteTo(b []byte, to netip.AddrPort) error {
	r.sent = append(r.sent, bytes.Clone(b))
	r.to = append(r.to, to)
	return nil
}
func (r *recorder) AddrPort() netip.AddrPort { return r.addr }
func (r *recorder) Close() error             { return nil }

// newIdleNode makes a node that is not started: it has neither goroutines nor a
// clock, and sends through recorders once it has some.
func newIdleNode(t testing.TB, o *Options) *Node {
	t.Helper()
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func addrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), uint16(1000+i%1000))
}
