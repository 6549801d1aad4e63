package messages_test

import (
	"net/netip"
	"testing"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
)

func BenchmarkHandshake(b *testing.B) {
	m := messages.Handshake{Mode: messages.FromRelay, Noise: make([]byte, 150), PeerAddress: netip.MustParseAddrPort("1.2.3.4:5678")}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = m.Append(buf[:0])
		if _, err := messages.ParseHandshake(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMutablePut(b *testing.B) {
	m := messages.MutablePut{MutableValue: messages.MutableValue{Seq: 1, Value: make([]byte, 500)}}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = m.Append(buf[:0])
		if _, err := messages.ParseMutablePut(buf); err != nil {
			b.Fatal(err)
		}
	}
}
