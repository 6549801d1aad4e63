package secretstream_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/dht/secretstream"
	"github.com/cairn-feeds/cairn/tools/peers"
)

// The other end in these tests is @hyperswarm/secret-stream 6.9.2 over TCP. It has
// key 2, this side key 1.

// reference is one connection with the reference peer.
type reference struct {
	*peers.Peer
	t    *testing.T
	conn string     // its name there
	raw  net.Conn   // this end of the connection
	args peers.Args // that name, to tell its events from others
}

// meet connects with p, which connects or listens with these arguments.
func meet(t *testing.T, p *peers.Peer, weInitiate bool, args peers.Args) reference {
	t.Helper()
	ctx := t.Context()
	args["seed"] = peers.Hex(key(2).Seed())
	r := reference{Peer: p, t: t}
	if weInitiate {
		args["server"] = t.Name()
		listening, err := p.Call(ctx, "secretListen", args)
		if err != nil {
			t.Fatal(err)
		}
		if r.raw, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", listening.Int("port"))); err != nil {
			t.Fatal(err)
		}
		connection, err := p.Event(ctx, "connection", peers.Args{"server": t.Name()})
		if err != nil {
			t.Fatal(err)
		}
		r.conn = connection.Text("conn")
	} else {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		args["port"] = l.Addr().(*net.TCPAddr).Port
		connection, err := p.Call(ctx, "secretConnect", args)
		if err != nil {
			t.Fatal(err)
		}
		r.conn = connection.Text("conn")
		if r.raw, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { r.raw.Close() })
	r.args = peers.Args{"conn": r.conn}
	return r
}

// call runs a command on the connection.
func (r reference) call(command string, args peers.Args) {
	r.t.Helper()
	all := peers.Args{"conn": r.conn}
	for name, v := range args {
		all[name] = v
	}
	if _, err := r.Call(r.t.Context(), command, all); err != nil {
		r.t.Fatal(err)
	}
}

// event waits for an event of the connection.
func (r reference) event(name string) peers.Message {
	r.t.Helper()
	m, err := r.Event(r.t.Context(), name, r.args)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// bothRoles runs f with this side as the initiator and as the responder.
func bothRoles(t *testing.T, f func(t *testing.T, weInitiate bool)) {
	for _, weInitiate := range []bool{true, false} {
		t.Run(fmt.Sprintf("initiator=%v", weInitiate), func(t *testing.T) { f(t, weInitiate) })
	}
}

func TestReferenceStreams(t *testing.T) {
	p := peers.Start(t, peers.HyperDHT6)
	const size = 8 << 20
	for _, pattern := range []secretstream.Pattern{secretstream.XX, secretstream.IK, secretstream.XK} {
		t.Run(pattern.String(), func(t *testing.T) {
			bothRoles(t, func(t *testing.T, weInitiate bool) {
				r := meet(t, p, weInitiate, peers.Args{
					"publicKey": peers.Hex(public(1)),
					"sink":      true,
					"autoEnd":   false,
					"opts":      peers.Args{"pattern": pattern.String()},
				})
				o := &secretstream.Options{Key: key(1), Pattern: pattern}
				if weInitiate {
					o.RemoteKey = public(2)
				}
				c := mustNew(t, r.raw, weInitiate, o)
				if err := c.Handshake(soon(t)); err != nil {
					t.Fatal(err)
				}
				open := r.event("open")
				hash := c.HandshakeHash()
				if !bytes.Equal(open.Bytes("handshakeHash"), hash[:]) {
					t.Errorf("handshake hash %x, the reference has %s", hash, open.Text("handshakeHash"))
				}
				if !public(1).Equal(ed25519.PublicKey(open.Bytes("remotePublicKey"))) || !c.RemotePublicKey().Equal(public(2)) {
					t.Errorf("the remotes are %s and %x", open.Text("remotePublicKey"), c.RemotePublicKey())
				}

				content := peers.Pattern(0, size)
				sent := make(chan error, 1)
				go func() {
					// In messages of all sizes.
					for n, rest := 1, content; len(rest) > 0; n = n*3 + 1 {
						n = min(n%200_000+1, len(rest))
						if err := c.WriteMessage(rest[:n]); err != nil {
							sent <- err
							return
						}
						rest = rest[n:]
					}
					sent <- c.CloseWrite()
				}()
				pumped := make(chan error, 1)
				go func() {
					_, err := r.Call(soon(t), "pump", peers.Args{"conn": r.conn, "bytes": size, "chunk": 65_537})
					if err == nil {
						_, err = r.Call(soon(t), "end", r.args)
					}
					pumped <- err
				}()
				got, err := io.ReadAll(c)
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d bytes, want %d (%v)", len(got), size, err)
				}
				for _, err := range []error{<-sent, <-pumped} {
					if err != nil {
						t.Error(err)
					}
				}
				end := r.event("end")
				sum := sha256.Sum256(content)
				if end.Int("bytes") != size || end.Text("sha256") != hex.EncodeToString(sum[:]) {
					t.Errorf("the reference got %v", end)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				r.event("conn-close")
			})
		})
	}
}

func TestReferenceMessages(t *testing.T) {
	p := peers.Start(t, peers.HyperDHT6)
	bothRoles(t, func(t *testing.T, weInitiate bool) {
		r := meet(t, p, weInitiate, peers.Args{})
		c := mustNew(t, r.raw, weInitiate, &secretstream.Options{Key: key(1)})
		messages := [][]byte{[]byte("hello"), {}, {0}, peers.Pattern(7, 100_000)}
		for _, m := range messages {
			if err := c.WriteMessage(m); err != nil {
				t.Fatal(err)
			}
			got := r.event("data")
			if !bytes.Equal(got.Bytes("data"), m) {
				t.Errorf("the reference got %d bytes, want %d", len(got.Bytes("data")), len(m))
			}
			r.call("write", peers.Args{"data": peers.Hex(m)})
			if back, err := c.ReadMessage(); err != nil || !bytes.Equal(back, m) {
				t.Errorf("%d bytes, want %d (%v)", len(back), len(m), err)
			}
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r.event("end")
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("it ends when we do, but: %v", err)
		}
	})
}

func TestReferenceHalfClose(t *testing.T) {
	p := peers.Start(t, peers.HyperDHT6)
	bothRoles(t, func(t *testing.T, weInitiate bool) {
		r := meet(t, p, weInitiate, peers.Args{"autoEnd": false})
		c := mustNew(t, r.raw, weInitiate, &secretstream.Options{Key: key(1), KeepAlive: 5 * time.Second})
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r.event("end")
		r.call("write", peers.Args{"data": peers.Hex([]byte("still here"))})
		if m, err := c.ReadMessage(); err != nil || string(m) != "still here" {
			t.Errorf("%q, %v", m, err)
		}
		r.call("end", nil)
		if _, err := c.ReadMessage(); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		r.event("conn-close")

		// And the other way round.
		r = meet(t, p, weInitiate, peers.Args{"autoEnd": false})
		c = mustNew(t, r.raw, weInitiate, &secretstream.Options{Key: key(1)})
		r.call("end", nil)
		if _, err := c.ReadMessage(); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if _, err := c.Write([]byte("still here")); err != nil {
			t.Error(err)
		}
		if got := r.event("data"); string(got.Bytes("data")) != "still here" {
			t.Errorf("the reference got %q", got.Bytes("data"))
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		r.event("end")
		r.event("conn-close")
	})
}

func TestReferenceKeepAlive(t *testing.T) {
	p := peers.Start(t, peers.HyperDHT6)
	bothRoles(t, func(t *testing.T, weInitiate bool) {
		// Both sides send keep-alives, neither delivers them.
		r := meet(t, p, weInitiate, peers.Args{"opts": peers.Args{"keepAlive": 20}})
		c := mustNew(t, r.raw, weInitiate, &secretstream.Options{Key: key(1), KeepAlive: 20 * time.Millisecond, Timeout: 2 * time.Second})
		if err := c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if m, err := c.ReadMessage(); !isDeadline(err) {
			t.Errorf("%q, %v", m, err)
		}
		if n := c.RawBytesRead(); n < 2*17 || n%17 != 0 {
			t.Errorf("%d bytes of keep-alives", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if m, err := r.Event(ctx, "data", r.args); err == nil {
			t.Errorf("the reference delivered %v", m)
		}
		c.Destroy()

		// A reference without a keep-alive delivers ours.
		r = meet(t, p, weInitiate, peers.Args{})
		mustNew(t, r.raw, weInitiate, &secretstream.Options{Key: key(1), KeepAlive: 20 * time.Millisecond})
		if got := r.event("data"); len(got.Bytes("data")) != 0 {
			t.Errorf("the reference got %v", got)
		}
	})
}

func isDeadline(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() && !errors.Is(err, secretstream.ErrTimeout)
}

func TestReferenceWrongKey(t *testing.T) {
	p := peers.Start(t, peers.HyperDHT6)
	for _, pattern := range []secretstream.Pattern{secretstream.IK, secretstream.XK} {
		t.Run(pattern.String(), func(t *testing.T) {
			bothRoles(t, func(t *testing.T, weInitiate bool) {
				r := meet(t, p, weInitiate, peers.Args{
					"publicKey": peers.Hex(public(9)),
					"opts":      peers.Args{"pattern": pattern.String()},
				})
				c := mustNew(t, r.raw, weInitiate, &secretstream.Options{Key: key(1), RemoteKey: public(9), Pattern: pattern})
				if err := c.Handshake(soon(t)); !errors.Is(err, secretstream.ErrHandshake) {
					t.Error(err)
				}
				if weInitiate {
					r.event("conn-error") // it found out first
				}
			})
		})
	}
	t.Run("XX", func(t *testing.T) {
		r := meet(t, p, true, peers.Args{})
		c := mustNew(t, r.raw, true, &secretstream.Options{Key: key(1), RemoteKey: public(9)})
		if err := c.Handshake(soon(t)); !errors.Is(err, secretstream.ErrHandshake) {
			t.Error(err)
		}
	})
}

// tampered flips one bit of what is written.
type tampered struct {
	net.Conn
	at int
}

func (w *tampered) Write(b []byte) (int, error) {
	if w.at >= 0 && w.at < len(b) {
		b = bytes.Clone(b)
		b[w.at] ^= 1
	}
	w.at -= len(b)
	return w.Conn.Write(b)
}

// TestReferenceRefusesWhatWeRefuse damages each part of what we send.
func TestReferenceRefusesWhatWeRefuse(t *testing.T) {
	p := peers.Start(t, peers.HyperDHT6)
	const (
		header  = 3 + 32 + 3 + 64 // after the Noise messages of an initiator
		message = header + 3 + 56
	)
	for name, at := range map[string]int{
		"ephemeral key":        3 + 1,
		"static key":           3 + 32 + 3 + 1,
		"end of the handshake": header - 1,
		"stream id":            header + 3,
		"cipher header":        header + 3 + 32,
		"tag":                  message + 3,
		"text":                 message + 3 + 1,
		"MAC":                  message + 3 + 1 + 5 + 15,
	} {
		t.Run(name, func(t *testing.T) {
			r := meet(t, p, true, peers.Args{})
			c := mustNew(t, &tampered{r.raw, at}, true, &secretstream.Options{Key: key(1)})
			if _, err := c.Write([]byte("hello")); err != nil && at > 40 {
				t.Error(err)
			}
			e := r.event("conn-error")
			r.event("conn-close")
			t.Logf("the reference says: %s", e.Text("error"))
			if _, err := io.Copy(io.Discard, c); err == nil && at < header {
				t.Error("we noticed nothing")
			}
		})
	}
}
