package noise

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"testing"
	"testing/iotest"
)

// hexBytes is bytes that JSON holds as hexadecimal text or null.
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

type vectorPair struct{ Seed, PublicKey, SecretKey hexBytes }

type vectorSide struct {
	StaticPublicKey, RemoteStaticPublicKey, HandshakeHash hexBytes
	TxKey, RxKey                                          hexBytes
	NonceSent                                             hexBytes
	Capability, RemoteCapability                          hexBytes
}

type vectorFrame struct{ Frame hexBytes }

type vectorMode struct {
	Initiator, Responder vectorSide
	Sent                 struct{ Initiator, Responder []hexBytes }
	Frames               struct{ Initiator, Responder []vectorFrame }
}

type vectors struct {
	Keys struct {
		InitiatorStatic, ResponderStatic       vectorPair
		InitiatorEphemeral, ResponderEphemeral vectorPair
	}
	FeedKey hexBytes
	Modes   struct{ Encrypted, NoiseOnly, Plain vectorMode }
}

func loadVectors(tb testing.TB) *vectors {
	tb.Helper()
	b, err := os.ReadFile("testdata/transport.json")
	if err != nil {
		tb.Fatal(err)
	}
	v := new(vectors)
	if err := json.Unmarshal(b, v); err != nil {
		tb.Fatal(err)
	}
	return v
}

// config is the configuration with which a side of the session was held.
func (v *vectors) config(mode Mode, initiator bool) Config {
	static, ephemeral, side := v.Keys.ResponderStatic, v.Keys.ResponderEphemeral, v.Modes.Encrypted.Responder
	if initiator {
		static, ephemeral, side = v.Keys.InitiatorStatic, v.Keys.InitiatorEphemeral, v.Modes.Encrypted.Initiator
	}
	return Config{
		Initiator: initiator,
		Mode:      mode,
		KeyPair:   KeyPairFromSeed([32]byte(static.Seed)),
		Random:    bytes.NewReader(append(bytes.Clone(side.NonceSent), ephemeral.SecretKey...)),
	}
}

func TestVectorKeyPairs(t *testing.T) {
	v := loadVectors(t)
	for _, p := range []vectorPair{v.Keys.InitiatorStatic, v.Keys.ResponderStatic, v.Keys.InitiatorEphemeral, v.Keys.ResponderEphemeral} {
		got := KeyPairFromSeed([32]byte(p.Seed))
		if !bytes.Equal(got.Secret[:], p.SecretKey) || !bytes.Equal(got.Public[:], p.PublicKey) {
			t.Errorf("KeyPairFromSeed(%x) = %x, %v, want %x, %x", p.Seed, got.Secret[:], got.Public, p.SecretKey, p.PublicKey)
		}
	}
}

// Each side, given what the other wrote, writes what it wrote in the recorded
// session, byte for byte, however the bytes arrive.
func TestVectorSessions(t *testing.T) {
	v := loadVectors(t)
	for _, mode := range []Mode{Encrypted, NoiseOnly, Plain} {
		m := map[Mode]*vectorMode{Encrypted: &v.Modes.Encrypted, NoiseOnly: &v.Modes.NoiseOnly, Plain: &v.Modes.Plain}[mode]
		for _, pieces := range []int{1, 7, 1 << 20} {
			t.Run(mode.String()+"/initiator", func(t *testing.T) {
				testVectorSide(t, v, mode, true, m.Initiator, m.Sent.Initiator, m.Sent.Responder, m.Frames.Initiator, m.Frames.Responder, pieces)
			})
			t.Run(mode.String()+"/responder", func(t *testing.T) {
				testVectorSide(t, v, mode, false, m.Responder, m.Sent.Responder, m.Sent.Initiator, m.Frames.Responder, m.Frames.Initiator, pieces)
			})
		}
	}
}

func testVectorSide(t *testing.T, v *vectors, mode Mode, initiator bool, side vectorSide, sent, received []hexBytes, frames, remoteFrames []vectorFrame, pieces int) {
	cfg := v.config(mode, initiator)
	var authenticated []byte
	cfg.Authenticate = func(k PublicKey) error { authenticated = append(authenticated, k[:]...); return nil }
	h, err := NewHandshake(cfg)
	if err != nil {
		t.Fatal(err)
	}

	// All that the remote wrote, in pieces; what the handshake leaves of it is
	// the transport's.
	in := bytes.Join(asSlices(received), nil)
	out, rest, err := h.Step(nil)
	if err != nil {
		t.Fatal(err)
	}
	for h.Done() == nil {
		n := min(pieces, len(in))
		if n == 0 {
			t.Fatal("handshake wants more than the remote sent")
		}
		var more []byte
		if more, rest, err = h.Step(in[:n]); err != nil {
			t.Fatal(err)
		}
		out, in = append(out, more...), in[n:]
	}
	in = append(bytes.Clone(rest), in...)

	tr := h.Done()
	for _, f := range frames {
		b := bytes.Clone(f.Frame)
		tr.Encrypt(b)
		out = append(out, b...)
	}
	if want := bytes.Join(asSlices(sent), nil); !bytes.Equal(out, want) {
		t.Errorf("wrote\n%x, want\n%x", out, want)
	}

	var want []byte
	for _, f := range remoteFrames {
		want = append(want, f.Frame...)
	}
	got, err := io.ReadAll(tr.Reader(iotest.HalfReader(bytes.NewReader(in))))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read\n%x, %v, want\n%x", got, err, want)
	}

	if !bytes.Equal(authenticated, side.RemoteStaticPublicKey) {
		t.Errorf("authenticated %x, want %x", authenticated, side.RemoteStaticPublicKey)
	}
	key, ok := tr.RemotePublicKey()
	hash, _ := tr.HandshakeHash()
	if mode == Plain {
		if ok || h.PublicKey() != (PublicKey{}) {
			t.Errorf("plain mode has keys %v, %v", key, h.PublicKey())
		}
	} else {
		for _, c := range []struct {
			name      string
			got, want []byte
		}{
			{"remote key", key[:], side.RemoteStaticPublicKey},
			{"handshake hash", hash[:], side.HandshakeHash},
			{"transmit key", tr.txKey[:], side.TxKey},
			{"receive key", tr.rxKey[:], side.RxKey},
		} {
			if !bytes.Equal(c.got, c.want) {
				t.Errorf("%s %x, want %x", c.name, c.got, c.want)
			}
		}
	}
	if got := tr.AppendCapability(nil, [32]byte(v.FeedKey)); !bytes.Equal(got, side.Capability) {
		t.Errorf("capability %x, want %x", got, side.Capability)
	}
	if err := tr.VerifyCapability([32]byte(v.FeedKey), side.RemoteCapability); err != nil {
		t.Errorf("remote capability: %v", err)
	}
}

func asSlices(h []hexBytes) [][]byte {
	s := make([][]byte, len(h))
	for i := range h {
		s[i] = h[i]
	}
	return s
}
