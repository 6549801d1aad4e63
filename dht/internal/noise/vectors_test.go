package noise_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/cairn-feeds/cairn/dht/internal/noise"
)

// hexBytes is bytes written as hex in JSON.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type party struct {
	Seed, PublicKey, EphemeralSeed, EphemeralPublicKey hexBytes
}

type vectors struct {
	Vectors []struct {
		Name, ProtocolName   string
		Prologue             hexBytes
		Initiator, Responder party
		Messages             []struct {
			From             string
			Payload, Message hexBytes
		}
		Hash, InitiatorTx, InitiatorRx, RemoteStaticSeenByResponder hexBytes
	}
	DH []struct {
		SecretKey, RemotePublicKey, Shared hexBytes
	}
}

func readVectors(tb testing.TB) vectors {
	tb.Helper()
	b, err := os.ReadFile("testdata/noise-ik.json")
	if err != nil {
		tb.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		tb.Fatal(err)
	}
	if len(v.Vectors) == 0 || len(v.DH) == 0 {
		tb.Fatal("testdata/noise-ik.json has no vectors")
	}
	return v
}

func patternOf(tb testing.TB, protocolName string) noise.Pattern {
	tb.Helper()
	for _, p := range []noise.Pattern{noise.XX, noise.IK, noise.XK} {
		if protocolName == "Noise_"+p.String()+"_Ed25519_ChaChaPoly_BLAKE2b" {
			return p
		}
	}
	tb.Fatalf("unknown protocol %q", protocolName)
	return 0
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			pattern := patternOf(t, v.ProtocolName)
			side := func(initiator bool, p party) *noise.Handshake {
				c := noise.Config{
					Pattern:   pattern,
					Initiator: initiator,
					Key:       ed25519.NewKeyFromSeed(p.Seed),
					Prologue:  v.Prologue,
					Random:    bytes.NewReader(p.EphemeralSeed),
				}
				if initiator && pattern != noise.XX {
					c.RemoteKey = ed25519.PublicKey(v.Responder.PublicKey)
				}
				h, err := noise.New(c)
				if err != nil {
					t.Fatal(err)
				}
				return h
			}
			initiator, responder := side(true, v.Initiator), side(false, v.Responder)
			for i, m := range v.Messages {
				from, to := initiator, responder
				if m.From == "responder" {
					from, to = to, from
				}
				got, err := from.Send([]byte("before"), m.Payload)
				if err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
				if want := "before" + string(m.Message); string(got) != want {
					t.Fatalf("message %d is\n%x, want\n%x", i, got, want)
				}
				payload, err := to.Recv([]byte("before"), m.Message)
				if err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
				if want := "before" + string(m.Payload); string(payload) != want {
					t.Fatalf("payload %d is %x, want %x", i, payload, want)
				}
			}
			want := noise.Result{
				TX:              [32]byte(v.InitiatorTx),
				RX:              [32]byte(v.InitiatorRx),
				Hash:            [64]byte(v.Hash),
				PublicKey:       ed25519.PublicKey(v.Initiator.PublicKey),
				RemotePublicKey: ed25519.PublicKey(v.Responder.PublicKey),
			}
			checkResult(t, "initiator", initiator, want)
			want.TX, want.RX = want.RX, want.TX
			want.PublicKey, want.RemotePublicKey = want.RemotePublicKey, ed25519.PublicKey(v.RemoteStaticSeenByResponder)
			checkResult(t, "responder", responder, want)
		})
	}
}

func checkResult(t *testing.T, name string, h *noise.Handshake, want noise.Result) {
	t.Helper()
	got, ok := h.Result()
	if !ok || !h.Complete() {
		t.Fatalf("%s: not complete", name)
	}
	if got.TX != want.TX || got.RX != want.RX || got.Hash != want.Hash {
		t.Errorf("%s: keys %x %x %x, want %x %x %x", name, got.TX, got.RX, got.Hash, want.TX, want.RX, want.Hash)
	}
	if !got.PublicKey.Equal(want.PublicKey) || !got.RemotePublicKey.Equal(want.RemotePublicKey) {
		t.Errorf("%s: %x with %x, want %x with %x", name, got.PublicKey, got.RemotePublicKey, want.PublicKey, want.RemotePublicKey)
	}
}
