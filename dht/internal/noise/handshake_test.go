package noise_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"

	"github.com/cairn-feeds/cairn/dht/internal/noise"
)

func key(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }

func public(b byte) ed25519.PublicKey { return ed25519.PublicKey(key(b)[32:]) }

func mustNew(tb testing.TB, c noise.Config) *noise.Handshake {
	tb.Helper()
	h, err := noise.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// pair returns both sides: key 1 initiates, key 2 responds.
func pair(tb testing.TB, p noise.Pattern) (initiator, responder *noise.Handshake) {
	tb.Helper()
	return mustNew(tb, noise.Config{Pattern: p, Initiator: true, Key: key(1), RemoteKey: public(2)}),
		mustNew(tb, noise.Config{Pattern: p, Key: key(2)})
}

// run lets two sides talk to the end, message i carrying its number, and
// returns all messages.
func run(initiator, responder *noise.Handshake) (messages [][]byte, err error) {
	for i := 0; !initiator.Complete() || !responder.Complete(); i++ {
		from, to := initiator, responder
		if i%2 == 1 {
			from, to = to, from
		}
		m, err := from.Send(nil, []byte{byte(i)})
		if err != nil {
			return messages, fmt.Errorf("sending %d: %w", i, err)
		}
		messages = append(messages, m)
		payload, err := to.Recv(nil, m)
		if err != nil {
			return messages, fmt.Errorf("receiving %d: %w", i, err)
		}
		if !bytes.Equal(payload, []byte{byte(i)}) {
			return messages, fmt.Errorf("payload %d is %x", i, payload)
		}
	}
	return messages, nil
}

func TestPatterns(t *testing.T) {
	sizes := map[noise.Pattern][]int{
		noise.XX: {32, 96, 64},
		noise.IK: {96, 48},
		noise.XK: {48, 48, 64},
	}
	for p, sizes := range sizes {
		t.Run(p.String(), func(t *testing.T) {
			initiator, responder := pair(t, p)
			messages, err := run(initiator, responder)
			if err != nil {
				t.Fatal(err)
			}
			if len(messages) != len(sizes) {
				t.Fatalf("%d messages, want %d", len(messages), len(sizes))
			}
			for i, m := range messages {
				if len(m) != sizes[i]+1 {
					t.Errorf("message %d has %d bytes, want %d and a payload of 1", i, len(m), sizes[i])
				}
			}
			a, _ := initiator.Result()
			b, _ := responder.Result()
			if a.TX != b.RX || a.RX != b.TX || a.Hash != b.Hash || a.TX == a.RX {
				t.Error("the sides have different keys")
			}
			if !a.RemotePublicKey.Equal(public(2)) || !b.RemotePublicKey.Equal(public(1)) {
				t.Errorf("remotes are %x and %x", a.RemotePublicKey, b.RemotePublicKey)
			}
			for _, h := range []*noise.Handshake{initiator, responder} {
				if _, err := h.Send(nil, nil); !errors.Is(err, noise.ErrTurn) {
					t.Errorf("Send at the end: %v", err)
				}
				if _, err := h.Recv(nil, messages[0]); !errors.Is(err, noise.ErrTurn) {
					t.Errorf("Recv at the end: %v", err)
				}
			}
		})
	}
}

// TestResponderSeesInitiatorEarly is what a server's firewall needs: key and
// payload of an IK initiator before anything is answered.
func TestResponderSeesInitiatorEarly(t *testing.T) {
	initiator, responder := pair(t, noise.IK)
	if responder.RemotePublicKey() != nil {
		t.Error("a key before any message")
	}
	m, err := initiator.Send(nil, []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := responder.Recv(nil, m)
	if err != nil || string(payload) != "payload" {
		t.Fatalf("%q, %v", payload, err)
	}
	if !responder.RemotePublicKey().Equal(public(1)) || responder.Complete() {
		t.Errorf("remote %x, complete %v", responder.RemotePublicKey(), responder.Complete())
	}
	if _, ok := responder.Result(); ok {
		t.Error("a result before the end")
	}
}

func TestTurns(t *testing.T) {
	initiator, responder := pair(t, noise.XX)
	if _, err := responder.Send(nil, nil); !errors.Is(err, noise.ErrTurn) {
		t.Errorf("responder first: %v", err)
	}
	if _, err := initiator.Recv(nil, make([]byte, 32)); !errors.Is(err, noise.ErrTurn) {
		t.Errorf("initiator receives first: %v", err)
	}
	if _, err := run(initiator, responder); err != nil {
		t.Errorf("ErrTurn is not final: %v", err)
	}
}

func TestBadConfig(t *testing.T) {
	for name, c := range map[string]noise.Config{
		"no key":                  {},
		"short key":               {Key: key(1)[:32]},
		"unknown pattern":         {Pattern: 17, Key: key(1)},
		"IK to nobody":            {Pattern: noise.IK, Initiator: true, Key: key(1)},
		"XK to nobody":            {Pattern: noise.XK, Initiator: true, Key: key(1)},
		"short remote public key": {Initiator: true, Key: key(1), RemoteKey: public(2)[:31]},
	} {
		if h, err := noise.New(c); h != nil || err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestWrongRemote dials key 2 and gets key 3.
func TestWrongRemote(t *testing.T) {
	for _, p := range []noise.Pattern{noise.XX, noise.IK, noise.XK} {
		initiator, _ := pair(t, p)
		stranger := mustNew(t, noise.Config{Pattern: p, Key: key(3)})
		messages, err := run(initiator, stranger)
		if !errors.Is(err, noise.ErrFailed) {
			t.Errorf("%v: %v", p, err)
		}
		if want := map[noise.Pattern]int{noise.XX: 2, noise.IK: 1, noise.XK: 1}[p]; len(messages) != want {
			t.Errorf("%v: %d messages before the failure, want %d", p, len(messages), want)
		}
		// An XX or XK responder learns of it with the last message.
		if p == noise.IK {
			continue
		}
		initiator, _ = pair(t, p)
		picky := mustNew(t, noise.Config{Pattern: p, Key: key(2), RemoteKey: public(4)})
		if _, err := run(initiator, picky); !errors.Is(err, noise.ErrFailed) {
			t.Errorf("%v: a responder that expects key 4 took key 1: %v", p, err)
		}
	}
}

func TestPrologueMustMatch(t *testing.T) {
	initiator := mustNew(t, noise.Config{Pattern: noise.IK, Initiator: true, Key: key(1), RemoteKey: public(2), Prologue: []byte("a")})
	responder := mustNew(t, noise.Config{Pattern: noise.IK, Key: key(2), Prologue: []byte("b")})
	if _, err := run(initiator, responder); !errors.Is(err, noise.ErrFailed) {
		t.Error(err)
	}
}

// fixedPair is pair with ephemeral keys that are the same every time, so that
// messages are too.
func fixedPair(tb testing.TB, p noise.Pattern) (initiator, responder *noise.Handshake) {
	tb.Helper()
	return mustNew(tb, noise.Config{Pattern: p, Initiator: true, Key: key(1), RemoteKey: public(2), Random: bytes.NewReader(bytes.Repeat([]byte{5}, 32))}),
		mustNew(tb, noise.Config{Pattern: p, Key: key(2), Random: bytes.NewReader(bytes.Repeat([]byte{6}, 32))})
}

// TestDamage flips a bit of each byte, and cuts each tail, of each message of
// each pattern: the receiver fails and stays failed or, where the message was in
// the clear, the next one fails.
func TestDamage(t *testing.T) {
	for _, p := range []noise.Pattern{noise.XX, noise.IK, noise.XK} {
		whole, err := run(fixedPair(t, p))
		if err != nil {
			t.Fatal(err)
		}
		for i := range whole {
			for at := range whole[i] {
				flipped := bytes.Clone(whole[i])
				flipped[at] ^= 1 << (at % 8)
				for _, damaged := range [][]byte{flipped, whole[i][:at]} {
					if !fails(t, p, i, damaged) {
						t.Errorf("%v: message %d damaged at %d (%d bytes) went unnoticed", p, i, at, len(damaged))
					}
				}
			}
		}
	}
}

// fails runs the handshake of fixedPair with message index replaced.
func fails(t *testing.T, p noise.Pattern, index int, message []byte) bool {
	from, to := fixedPair(t, p)
	for i := 0; !from.Complete() || !to.Complete(); i++ {
		m, err := from.Send(nil, []byte{byte(i)})
		if err != nil {
			return true
		}
		if i == index {
			m = message
		}
		if _, err := to.Recv(nil, m); err != nil {
			if _, again := to.Recv(nil, m); !errors.Is(again, noise.ErrFailed) {
				t.Errorf("after a failure: %v", again)
			}
			return true
		}
		from, to = to, from
	}
	return false
}

func TestTooLong(t *testing.T) {
	initiator, responder := pair(t, noise.XX)
	if _, err := initiator.Send(nil, make([]byte, noise.MaxMessage-31)); !errors.Is(err, noise.ErrFailed) {
		t.Errorf("sending: %v", err)
	}
	if _, err := responder.Recv(nil, make([]byte, noise.MaxMessage+1)); !errors.Is(err, noise.ErrFailed) {
		t.Errorf("receiving: %v", err)
	}
}

func FuzzRecv(f *testing.F) {
	for i, p := range []noise.Pattern{noise.XX, noise.IK, noise.XK} {
		messages, err := run(pair(f, p))
		if err != nil {
			f.Fatal(err)
		}
		for n, m := range messages {
			f.Add(uint8(i), uint8(n), m)
		}
	}
	for _, v := range readVectors(f).Vectors {
		for n, m := range v.Messages {
			f.Add(uint8(patternOf(f, v.ProtocolName)), uint8(n), []byte(m.Message))
		}
	}
	f.Fuzz(func(t *testing.T, pattern, index uint8, message []byte) {
		p := noise.Pattern(pattern % 3)
		from, to := pair(t, p)
		for range index % 3 {
			m, err := from.Send(nil, nil)
			if err != nil {
				return // the last message was sent
			}
			if _, err := to.Recv(nil, m); err != nil {
				t.Fatal(err)
			}
			from, to = to, from
		}
		if to.Complete() {
			return
		}
		payload, err := to.Recv(nil, message)
		if err != nil {
			if payload != nil || to.Complete() || !errors.Is(err, noise.ErrFailed) {
				t.Fatalf("payload %x, complete %v with error %v", payload, to.Complete(), err)
			}
			return
		}
		// A first message can come from anybody; the others answer an ephemeral
		// key that is new each time.
		if index%3 != 0 {
			t.Fatalf("%v took a forged message %d: %x", p, index%3, message)
		}
	})
}

func BenchmarkHandshake(b *testing.B) {
	for _, p := range []noise.Pattern{noise.XX, noise.IK} {
		b.Run("pattern="+p.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := run(pair(b, p)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
