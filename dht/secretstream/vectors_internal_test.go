package secretstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
)

// givenKeys are those of the NoiseSecretStream vectors.
func (v *vectorFile) givenKeys(initiator bool) *Keys {
	s := v.NoiseSecretStream
	k := &Keys{TX: [32]byte(s.InitiatorTx), RX: [32]byte(s.InitiatorRx), Hash: [64]byte(s.HandshakeHash)}
	if !initiator {
		k.TX, k.RX = k.RX, k.TX
	}
	return k
}

// randomOf yields what a stream draws at its start: its cipher header, as in the
// first frame of wire, and the counter of unordered messages before the first.
func randomOf(firstFrame, firstBody []byte) io.Reader {
	counter := bytes.Clone(firstBody[:boxCounterSize])
	for i := range counter {
		counter[i]--
		if counter[i] != 0xff {
			break
		}
	}
	return bytes.NewReader(append(bytes.Clone(firstFrame[lengthSize+idSize:]), counter...))
}

func TestStreamVectors(t *testing.T) {
	v := readVectors(t)
	s := v.NoiseSecretStream
	if id := StreamID([64]byte(s.HandshakeHash), true); !bytes.Equal(id[:], s.InitiatorStreamID) {
		t.Errorf("initiator is %x, want %x", id, s.InitiatorStreamID)
	}
	if id := StreamID([64]byte(s.HandshakeHash), false); !bytes.Equal(id[:], s.ResponderStreamID) {
		t.Errorf("responder is %x, want %x", id, s.ResponderStreamID)
	}
	var written [][]byte
	for _, w := range s.ResponderWrites {
		written = append(written, []byte(w))
	}
	for _, c := range []struct {
		name      string
		initiator bool
		wire      []hexBytes
		body      []byte
		messages  [][]byte
	}{
		{"initiator", true, s.InitiatorWire, v.Unordered.InitiatorMessages[0].Body, toBytes(s.ReceivedByResponder)},
		{"responder", false, s.ResponderWire, v.Unordered.ResponderMessages[0].Body, written},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw, far := net.Pipe()
			conn, err := newConn(raw, c.initiator, &Options{Keys: v.givenKeys(c.initiator)}, randomOf(c.wire[0], c.body))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Destroy()
			for _, m := range c.messages {
				if err := conn.WriteMessage(m); err != nil {
					t.Fatal(err)
				}
			}
			want := bytes.Join(toBytes(c.wire), nil)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("wrote\n%x, want\n%x (%v)", got, want, err)
			}

			// The other side reads these bytes.
			raw, far = net.Pipe()
			peer, err := New(raw, !c.initiator, &Options{Keys: v.givenKeys(!c.initiator)})
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Destroy()
			go io.Copy(io.Discard, far)
			go far.Write(want)
			for i, want := range c.messages {
				if got, err := peer.ReadMessage(); err != nil || !bytes.Equal(got, want) {
					t.Errorf("message %d is %x, want %x (%v)", i, got, want, err)
				}
			}
		})
	}
}

func toBytes(h []hexBytes) [][]byte {
	var b [][]byte
	for _, x := range h {
		b = append(b, x)
	}
	return b
}

// datagrams is a raw stream that is silent but for datagrams.
type datagrams struct {
	net.Conn
	in   chan []byte
	sent [][]byte
}

func (d *datagrams) Send(b []byte) error {
	d.sent = append(d.sent, bytes.Clone(b))
	return nil
}

func (d *datagrams) Receive(ctx context.Context) ([]byte, error) {
	select {
	case b := <-d.in:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestUnorderedVectors(t *testing.T) {
	v := readVectors(t)
	u := v.Unordered
	for _, c := range []struct {
		name      string
		initiator bool
		key       []byte
		messages  []struct{ Plaintext, Body hexBytes }
	}{
		{"initiator", true, u.InitiatorSendKey, u.InitiatorMessages},
		{"responder", false, u.ResponderSendKey, u.ResponderMessages},
	} {
		t.Run(c.name, func(t *testing.T) {
			newEnd := func(initiator bool, random io.Reader) (*Conn, *datagrams) {
				raw, _ := net.Pipe()
				d := &datagrams{Conn: raw, in: make(chan []byte, 100)}
				conn, err := newConn(d, initiator, &Options{Keys: v.givenKeys(initiator)}, random)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Destroy() })
				return conn, d
			}
			conn, out := newEnd(c.initiator, randomOf(v.NoiseSecretStream.InitiatorWire[0], c.messages[0].Body))
			if !bytes.Equal(conn.boxes.tx[:], c.key) {
				t.Errorf("key %x, want %x", conn.boxes.tx, c.key)
			}
			peer, in := newEnd(!c.initiator, bytes.NewReader(make([]byte, 100)))
			for i, m := range c.messages {
				if err := conn.Send(m.Plaintext); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(out.sent[i], m.Body) {
					t.Errorf("message %d: sent %x, want %x", i, out.sent[i], m.Body)
				}
				// What is not authentic is passed over.
				in.in <- nil
				in.in <- m.Body[:UnorderedOverhead-1]
				in.in <- append(bytes.Clone(m.Body[:len(m.Body)-1]), m.Body[len(m.Body)-1]^1)
				in.in <- m.Body
				got, err := peer.Receive(t.Context())
				if err != nil || !bytes.Equal(got, m.Plaintext) {
					t.Errorf("message %d: received %x, want %x (%v)", i, got, m.Plaintext, err)
				}
			}
		})
	}
}

func TestUnorderedNonceEnds(t *testing.T) {
	v := readVectors(t)
	raw, _ := net.Pipe()
	conn, err := New(&datagrams{Conn: raw}, true, &Options{Keys: v.givenKeys(true)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Destroy()
	conn.boxes.mu.left = 1
	if err := conn.Send([]byte("last")); err != nil {
		t.Fatal(err)
	}
	if err := conn.Send([]byte("one more")); !errors.Is(err, errExhausted) {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, errExhausted) {
		t.Errorf("the stream goes on: %v", err)
	}
}
