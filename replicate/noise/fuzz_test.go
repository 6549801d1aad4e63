package noise_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/cairn-feeds/cairn/replicate/noise"
)

// Any bytes, cut anywhere, given to either role: no panic, the same end as in
// one piece, and errors that are the remote's.
func FuzzHandshake(f *testing.F) {
	raw, err := os.ReadFile("testdata/transport.json")
	if err != nil {
		f.Fatal(err)
	}
	var v struct {
		Modes map[string]struct{ Sent map[string][]string }
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		f.Fatal(err)
	}
	for role, sent := range v.Modes["encrypted"].Sent {
		var all []byte
		for _, s := range sent {
			b, err := hex.DecodeString(s)
			if err != nil {
				f.Fatal(err)
			}
			all = append(all, b...)
		}
		f.Add(role == "responder", all, uint16(7))
		f.Add(role == "responder", all[:len(all)/2], uint16(59))
	}
	f.Add(false, []byte{0xff, 0xff, 3, 0}, uint16(1))

	f.Fuzz(func(t *testing.T, initiator bool, in []byte, at uint16) {
		run := func(pieces ...[]byte) (out, rest []byte, done bool, err error) {
			random := bytes.NewReader(bytes.Repeat([]byte{9}, 32+24+32))
			h := newHandshake(t, noise.Config{Initiator: initiator, Random: random})
			for _, p := range pieces {
				var o, r []byte
				if o, r, err = h.Step(p); err != nil {
					if !errors.Is(err, noise.ErrHandshake) || o != nil || r != nil {
						t.Fatalf("Step = %x, %x, %v", o, r, err)
					}
					return nil, nil, false, err
				}
				out, rest = append(out, o...), append(rest, r...)
			}
			return out, rest, h.Done() != nil, nil
		}
		cut := min(int(at), len(in))
		o1, r1, d1, e1 := run(in)
		o2, r2, d2, e2 := run(in[:cut], in[cut:])
		if !bytes.Equal(o1, o2) || !bytes.Equal(r1, r2) || d1 != d2 || (e1 == nil) != (e2 == nil) {
			t.Fatalf("whole: %x, %x, %v, %v; cut at %d: %x, %x, %v, %v", o1, r1, d1, e1, cut, o2, r2, d2, e2)
		}
		if !d1 && len(r1) > 0 {
			t.Fatalf("unfinished with rest %x", r1)
		}
	})
}
