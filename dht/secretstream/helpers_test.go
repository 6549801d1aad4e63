package secretstream_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/dht/secretstream"
	"github.com/cairn-feeds/cairn/dht/udx"
)

func key(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }

func public(b byte) ed25519.PublicKey { return ed25519.PublicKey(key(b)[32:]) }

// keys are those of both ends of a handshake that never happened.
func keys() (initiator, responder *secretstream.Keys) {
	initiator = &secretstream.Keys{
		TX:              [32]byte(bytes.Repeat([]byte{0x11}, 32)),
		RX:              [32]byte(bytes.Repeat([]byte{0x22}, 32)),
		Hash:            [64]byte(bytes.Repeat([]byte{0x33}, 64)),
		PublicKey:       public(1),
		RemotePublicKey: public(2),
	}
	responder = &secretstream.Keys{
		TX: initiator.RX, RX: initiator.TX, Hash: initiator.Hash,
		PublicKey: initiator.RemotePublicKey, RemotePublicKey: initiator.PublicKey,
	}
	return initiator, responder
}

func mustNew(tb testing.TB, raw io.ReadWriteCloser, initiator bool, o *secretstream.Options) *secretstream.Conn {
	tb.Helper()
	c, err := secretstream.New(raw, initiator, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Destroy() })
	return c
}

// tcp returns both ends of a connection over the loopback interface.
func tcp(tb testing.TB) (dialed, accepted net.Conn) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	if dialed, err = net.Dial("tcp", l.Addr().String()); err != nil {
		tb.Fatal(err)
	}
	if accepted, err = l.Accept(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { dialed.Close(); accepted.Close() })
	return dialed, accepted
}

// plain hides all methods of a stream but those of io.ReadWriteCloser.
type plain struct{ io.ReadWriteCloser }

// overUDX returns both ends of a UDX stream over the loopback interface.
func overUDX(tb testing.TB) (a, b *udx.Stream) {
	tb.Helper()
	var socket [2]*udx.Socket
	var stream [2]*udx.Stream
	for i := range stream {
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		mux := udx.New(nil)
		tb.Cleanup(func() { mux.Close() })
		if socket[i], err = mux.Attach(conn, nil); err != nil {
			tb.Fatal(err)
		}
		accept := func(*udx.Socket, netip.AddrPort) bool { return false }
		if stream[i], err = mux.NewStream(&udx.StreamOptions{Firewall: accept}); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range stream {
		other := 1 - i
		if err := stream[i].Connect(socket[i], udx.Remote{ID: stream[other].ID(), Addr: socket[other].AddrPort()}); err != nil {
			tb.Fatal(err)
		}
	}
	return stream[0], stream[1]
}

// streams are the raw streams that tests run on.
var streams = map[string]func(tb testing.TB) (a, b io.ReadWriteCloser){
	"tcp":  func(tb testing.TB) (a, b io.ReadWriteCloser) { return tcp(tb) },
	"udx":  func(tb testing.TB) (a, b io.ReadWriteCloser) { return overUDX(tb) },
	"pipe": func(testing.TB) (a, b io.ReadWriteCloser) { return net.Pipe() },
	"plain": func(testing.TB) (a, b io.ReadWriteCloser) {
		x, y := net.Pipe()
		return plain{x}, plain{y}
	},
}

// handshakes are the ways to begin a stream.
var handshakes = map[string]func() (initiator, responder secretstream.Options){
	"XX": func() (initiator, responder secretstream.Options) {
		return secretstream.Options{Key: key(1)}, secretstream.Options{Key: key(2)}
	},
	"IK": func() (initiator, responder secretstream.Options) {
		return secretstream.Options{Key: key(1), RemoteKey: public(2), Pattern: secretstream.IK}, secretstream.Options{Key: key(2), Pattern: secretstream.IK}
	},
	"XK": func() (initiator, responder secretstream.Options) {
		return secretstream.Options{Key: key(1), RemoteKey: public(2), Pattern: secretstream.XK}, secretstream.Options{Key: key(2), Pattern: secretstream.XK}
	},
	"given": func() (initiator, responder secretstream.Options) {
		i, r := keys()
		return secretstream.Options{Keys: i}, secretstream.Options{Keys: r}
	},
}

// pair returns both ends of a stream.
func pair(tb testing.TB, stream, handshake string) (initiator, responder *secretstream.Conn) {
	tb.Helper()
	a, b := streams[stream](tb)
	i, r := handshakes[handshake]()
	return mustNew(tb, a, true, &i), mustNew(tb, b, false, &r)
}

// soon is a context for what should take milliseconds.
func soon(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	tb.Cleanup(cancel)
	return ctx
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}
