package noise_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	flynn "github.com/flynn/noise"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/replicate/noise"
)

func newHandshake(tb testing.TB, cfg noise.Config) *noise.Handshake {
	tb.Helper()
	h, err := noise.NewHandshake(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// shake carries the messages of a and b, each in pieces that cut returns the
// length of, until neither has anything to say.
func shake(a, b *noise.Handshake, cut func(n int) int) error {
	toA, toB := []byte{}, []byte{}
	step := func(h *noise.Handshake, in *[]byte, out *[]byte) error {
		n := 0
		if len(*in) > 0 {
			n = cut(len(*in))
		}
		sent, rest, err := h.Step((*in)[:n])
		*in = (*in)[n:]
		if len(rest) > 0 {
			return fmt.Errorf("%d bytes behind the handshake", len(rest))
		}
		*out = append(*out, sent...)
		return err
	}
	for a.Done() == nil || b.Done() == nil || len(toA)+len(toB) > 0 {
		if err := step(a, &toA, &toB); err != nil {
			return err
		}
		if err := step(b, &toB, &toA); err != nil {
			return err
		}
	}
	return nil
}

func whole(n int) int { return n }

// pair returns the transports of a finished handshake.
func pair(tb testing.TB, mode noise.Mode) (initiator, responder *noise.Transport) {
	tb.Helper()
	a := newHandshake(tb, noise.Config{Initiator: true, Mode: mode})
	b := newHandshake(tb, noise.Config{Mode: mode})
	if err := shake(a, b, whole); err != nil {
		tb.Fatal(err)
	}
	return a.Done(), b.Done()
}

// Whatever the mode, the keys, how the handshake is cut into pieces and how the
// stream is cut into calls: both sides agree on everything and understand each
// other.
func TestBothSidesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := noise.Mode(rapid.IntRange(0, 2).Draw(t, "mode"))
		secrets := [2]noise.KeyPair{}
		for i := range secrets {
			secrets[i] = noise.NewKeyPair(noise.SecretKey(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "secret")))
		}
		var seen [2][]noise.PublicKey
		var hs [2]*noise.Handshake
		for i := range hs {
			h, err := noise.NewHandshake(noise.Config{Initiator: i == 0, Mode: mode, KeyPair: secrets[i], Authenticate: func(k noise.PublicKey) error {
				seen[i] = append(seen[i], k)
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			hs[i] = h
		}
		if err := shake(hs[0], hs[1], func(n int) int { return rapid.IntRange(1, n).Draw(t, "piece") }); err != nil {
			t.Fatal(err)
		}
		tr := [2]*noise.Transport{hs[0].Done(), hs[1].Done()}

		feedKey := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "feed key"))
		for i := range tr {
			key, ok := tr[i].RemotePublicKey()
			if ok != (mode != noise.Plain) {
				t.Fatalf("%v: remote key known: %v", mode, ok)
			}
			if ok && (key != secrets[1-i].Public || len(seen[i]) != 1 || seen[i][0] != key) {
				t.Fatalf("remote key %v, authenticated %v, want %v once", key, seen[i], secrets[1-i].Public)
			}
			if err := tr[i].VerifyCapability(feedKey, tr[1-i].AppendCapability(nil, feedKey)); err != nil {
				t.Fatal(err)
			}

			sent := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "sent")
			wire := bytes.Clone(sent)
			cut(t, wire, tr[i].Encrypt)
			if len(sent) > 16 && (mode == noise.Encrypted) == bytes.Equal(sent, wire) {
				t.Fatalf("%v: sent %x as %x", mode, sent, wire)
			}
			cut(t, wire, tr[1-i].Decrypt)
			if !bytes.Equal(sent, wire) {
				t.Fatalf("sent %x, received %x", sent, wire)
			}
		}
		h0, _ := tr[0].HandshakeHash()
		if h1, _ := tr[1].HandshakeHash(); h0 != h1 {
			t.Fatalf("handshake hashes %x and %x", h0, h1)
		}
	})
}

// cut applies f to all of b, in pieces.
func cut(t *rapid.T, b []byte, f func([]byte)) {
	for len(b) > 0 {
		n := rapid.IntRange(1, len(b)).Draw(t, "cut")
		f(b[:n])
		b = b[n:]
	}
}

// What follows the last message in the same read belongs to the transport.
func TestRestIsTheTransports(t *testing.T) {
	a := newHandshake(t, noise.Config{Initiator: true})
	b := newHandshake(t, noise.Config{})
	m1, _, err := a.Step(nil)
	if err != nil {
		t.Fatal(err)
	}
	m2, rest, err := b.Step(m1)
	if err != nil || rest != nil {
		t.Fatal(rest, err)
	}
	m3, rest, err := a.Step(m2)
	if err != nil || len(rest) != 0 {
		t.Fatal(rest, err)
	}
	frames := []byte("the first frames")
	a.Done().Encrypt(frames)
	out, rest, err := b.Step(append(m3, frames...))
	if err != nil || out != nil {
		t.Fatal(out, err)
	}
	b.Done().Decrypt(rest)
	if got := string(rest); got != "the first frames" {
		t.Errorf("rest decrypts to %q", got)
	}
	if _, rest, err = b.Step([]byte("more")); err != nil || string(rest) != "more" {
		t.Errorf("a finished handshake returned %q, %v", rest, err)
	}
}

func TestRefused(t *testing.T) {
	why := errors.New("not on the list")
	for _, initiator := range []bool{true, false} {
		a := newHandshake(t, noise.Config{Initiator: initiator, Authenticate: func(noise.PublicKey) error { return why }})
		b := newHandshake(t, noise.Config{Initiator: !initiator})
		err := shake(a, b, whole)
		for _, want := range []error{noise.ErrHandshake, noise.ErrRefused, why} {
			if !errors.Is(err, want) {
				t.Errorf("initiator %v: %v is not %v", initiator, err, want)
			}
		}
		if a.Done() != nil {
			t.Error("refused and done")
		}
		// The initiator refuses before the responder knows its key; the
		// responder when the initiator has already finished.
		if finished := b.Done() != nil; finished != !initiator {
			t.Errorf("initiator %v: the refused side finished: %v", initiator, finished)
		}
		if out, _, again := a.Step([]byte{1}); again != err || out != nil {
			t.Errorf("after %v, Step returned %x, %v", err, out, again)
		}
	}
}

// A changed bit anywhere, and a message that ends early, is an error or, in the
// plaintext of message 1, noticed at message 2 or 3.
func TestChangedMessages(t *testing.T) {
	const messages = 3
	for number := 1; number <= messages; number++ {
		for pos, last := 0, false; !last; pos++ {
			from := newHandshake(t, noise.Config{Initiator: true})
			to := newHandshake(t, noise.Config{})
			var in []byte
			var err error
			for n := 1; n <= messages+1 && err == nil; n++ {
				if in, _, err = from.Step(in); n == number {
					last = pos == len(in)-1
					if pos == 0 {
						in[0]-- // the length: one byte less belongs to the message
					} else {
						in[pos] ^= 0x40
					}
				}
				from, to = to, from
			}
			if !errors.Is(err, noise.ErrHandshake) {
				t.Fatalf("message %d changed at byte %d: %v", number, pos, err)
			}
		}
	}
}

func TestMessageSize(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		fail bool
	}{
		{[]byte{0}, true},
		{[]byte{0x80, 0x80, 0}, true},
		{[]byte{0x80, 0x80, 0x80, 1}, true},
		{protowire.AppendVarint(nil, noise.MaxMessage+1), true},
		{append([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), make([]byte, 80)...), true},
		{protowire.AppendVarint(nil, noise.MaxMessage), false},
		{[]byte{0xba, 0x80, 0}, false}, // 58, not in its shortest form
	} {
		h := newHandshake(t, noise.Config{})
		_, _, err := h.Step(c.in)
		if failed := errors.Is(err, noise.ErrHandshake); failed != c.fail {
			t.Errorf("Step(%x): %v", c.in, err)
		}
		if c.fail && c.in[0] != 'G' && !errors.Is(err, noise.ErrMessageSize) {
			t.Errorf("Step(%x): %v is not %v", c.in, err, noise.ErrMessageSize)
		}
	}
}

// A Noise implementation with other payloads than ours.
func foreign(t *testing.T, initiator bool) *flynn.HandshakeState {
	suite := flynn.NewCipherSuite(flynn.DH25519, flynn.CipherChaChaPoly, flynn.HashBLAKE2b)
	key, err := suite.GenerateKeypair(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hs, err := flynn.NewHandshakeState(flynn.Config{CipherSuite: suite, Pattern: flynn.HandshakeXX, Initiator: initiator, StaticKeypair: key})
	if err != nil {
		t.Fatal(err)
	}
	return hs
}

func TestPayloads(t *testing.T) {
	nonce := bytes.Repeat([]byte{7}, noise.NonceSize)
	good := append([]byte{0x0a, noise.NonceSize}, nonce...)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, c := range []struct {
		name         string
		first, third []byte
		want         error
	}{
		{"both", good, good, nil},
		{"the first only", good, nil, nil},
		{"the last counts", []byte{0xff}, good, nil},
		{"unknown fields", nil, join([]byte{0x10, 5, 0x1a, 2, 1, 2}, good, []byte{0x25, 1, 2, 3, 4}), nil},
		{"none", nil, nil, noise.ErrNoPayload},
		{"no nonce", nil, []byte{0x10, 5}, noise.ErrPayload},
		{"short nonce", good, []byte{0x0a, 1, 7}, noise.ErrPayload},
		{"long nonce", good, join([]byte{0x0a, noise.NonceSize + 1}, nonce, []byte{7}), noise.ErrPayload},
		{"truncated", nil, good[:20], noise.ErrPayload},
		{"a number for a nonce", nil, []byte{0x08, 7}, noise.ErrPayload},
		{"truncated unknown field", nil, join(good, []byte{0x1a, 9}), noise.ErrPayload},
		{"truncated tag", nil, join(good, []byte{0x80}), noise.ErrPayload},
	} {
		t.Run(c.name, func(t *testing.T) {
			remote := foreign(t, true)
			h := newHandshake(t, noise.Config{})
			send := func(payload []byte) (out []byte, cs *flynn.CipherState, err error) {
				m, cs, _, err := remote.WriteMessage(nil, payload)
				if err != nil {
					t.Fatal(err)
				}
				out, _, err = h.Step(append(protowire.AppendVarint(nil, uint64(len(m))), m...))
				return out, cs, err
			}
			out, _, err := send(c.first)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, _, err := remote.ReadMessage(nil, out[1:]); err != nil {
				t.Fatal(err)
			}
			_, sealed, err := send(c.third)
			if !errors.Is(err, c.want) || (c.want != nil && !errors.Is(err, noise.ErrHandshake)) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.want != nil {
				return
			}
			// The nonce that counted is the one that decrypts.
			b := []byte("frames")
			key := sealed.UnsafeKey()
			noise.NewCipher(&key, (*[noise.NonceSize]byte)(nonce)).XORKeyStream(b, b)
			if h.Done().Decrypt(b); string(b) != "frames" {
				t.Errorf("decrypted %q", b)
			}
		})
	}
}

// An initiator looks at the payload of message 2 before it sends message 3.
func TestResponderWithoutPayload(t *testing.T) {
	h := newHandshake(t, noise.Config{Initiator: true})
	m, _, err := h.Step(nil)
	if err != nil {
		t.Fatal(err)
	}
	remote := foreign(t, false)
	if _, _, _, err := remote.ReadMessage(nil, m[1:]); err != nil {
		t.Fatal(err)
	}
	m, _, _, err = remote.WriteMessage(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := h.Step(append([]byte{byte(len(m))}, m...))
	if !errors.Is(err, noise.ErrNoPayload) || out != nil {
		t.Errorf("sent %x, %v", out, err)
	}
}

// Points of small order make every shared secret zero; libsodium refuses them
// too.
func TestSmallOrderPoint(t *testing.T) {
	h := newHandshake(t, noise.Config{})
	_, _, err := h.Step(append([]byte{32}, make([]byte, 32)...))
	if !errors.Is(err, noise.ErrHandshake) {
		t.Errorf("zero point: %v", err)
	}
}

func TestCapabilities(t *testing.T) {
	a, b := pair(t, noise.Encrypted)
	other, _ := pair(t, noise.Encrypted)
	key := [32]byte{1}
	good := a.AppendCapability(nil, key)
	if err := b.VerifyCapability(key, good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		capability []byte
	}{
		{"absent", nil},
		{"empty", []byte{}},
		{"zero", make([]byte, noise.CapabilitySize)},
		{"short", good[:31]},
		{"long", append(bytes.Clone(good), 0)},
		{"of another feed", a.AppendCapability(nil, [32]byte{2})},
		{"of another connection", other.AppendCapability(nil, key)},
		{"our own, replayed", b.AppendCapability(nil, key)},
	} {
		if err := b.VerifyCapability(key, c.capability); !errors.Is(err, noise.ErrCapability) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	plain, _ := pair(t, noise.Plain)
	if got := plain.AppendCapability(nil, key); got != nil {
		t.Errorf("plain mode has capability %x", got)
	}
}

func TestKeyPairs(t *testing.T) {
	a, err := noise.GenerateKeyPair(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := noise.GenerateKeyPair(rand.Reader)
	if err != nil || a == b {
		t.Fatal(a.Public, b.Public, err)
	}
	if _, err := noise.NewHandshake(noise.Config{KeyPair: noise.KeyPair{Public: a.Public, Secret: b.Secret}}); !errors.Is(err, noise.ErrKeyPair) {
		t.Errorf("halves of two pairs: %v", err)
	}
	if _, err := noise.NewHandshake(noise.Config{Random: strings.NewReader("short")}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("no randomness: %v", err)
	}
	// Enough for the keys and the nonce, none for the ephemeral key.
	h := newHandshake(t, noise.Config{Initiator: true, Random: bytes.NewReader(make([]byte, 32+24))})
	if _, _, err := h.Step(nil); !errors.Is(err, io.EOF) {
		t.Errorf("no randomness for the ephemeral key: %v", err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	p := noise.KeyPairFromSeed([32]byte{1})
	secret := fmt.Sprintf("%x", [32]byte(p.Secret))
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("keys", "secret", p.Secret)
	for _, s := range []string{
		log.String(), p.Secret.String(), p.Secret.GoString(),
		fmt.Sprint(p), fmt.Sprintf("%x", p), fmt.Sprintf("%#v", p), fmt.Sprintf("%s %d %q", p.Secret, p.Secret, &p.Secret),
	} {
		if strings.Contains(s, secret) || strings.Contains(s, fmt.Sprint(p.Secret[0])+" "+fmt.Sprint(p.Secret[1])) || !strings.Contains(s, "redacted") {
			t.Errorf("printed %q", s)
		}
	}
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		encrypted, noise bool
		want             noise.Mode
		name             string
	}{
		{true, true, noise.Encrypted, "encrypted"},
		{true, false, noise.Encrypted, "encrypted"},
		{false, true, noise.NoiseOnly, "noise only"},
		{false, false, noise.Plain, "plain"},
	} {
		if got := noise.ModeOf(c.encrypted, c.noise); got != c.want || got.String() != c.name {
			t.Errorf("ModeOf(%v, %v) = %v, want %v", c.encrypted, c.noise, got, c.want)
		}
	}
	// A mode that is none must not pass for one without encryption.
	if _, err := noise.NewHandshake(noise.Config{Mode: 3}); err == nil {
		t.Error("a handshake in mode 3")
	}
}
