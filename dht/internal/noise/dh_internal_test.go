package noise

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"filippo.io/edwards25519"
	"pgregory.net/rapid"
)

func TestDHVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/noise-ik.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		DH []struct{ SecretKey, RemotePublicKey, Shared string }
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	for i, c := range v.DH {
		got, err := dhEd25519{}.DH(unhex(t, c.SecretKey), unhex(t, c.RemotePublicKey))
		if err != nil || hex.EncodeToString(got) != c.Shared {
			t.Errorf("vector %d: %x, %v, want %s", i, got, err, c.Shared)
		}
	}
	if len(v.DH) == 0 {
		t.Error("no vectors")
	}
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// order8 generates the group of the eight points of small order.
const order8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"

// torsion returns i times the point of order eight.
func torsion(tb testing.TB, i int) *edwards25519.Point {
	tb.Helper()
	base, err := new(edwards25519.Point).SetBytes(unhex(tb, order8))
	if err != nil {
		tb.Fatal(err)
	}
	p := edwards25519.NewIdentityPoint()
	for range i {
		p.Add(p, base)
	}
	return p
}

func TestSmallOrderIsRefused(t *testing.T) {
	seen := make(map[string]bool)
	for i := range 8 {
		p := torsion(t, i)
		seen[string(p.Bytes())] = true
		if _, err := parsePoint(p.Bytes()); !errors.Is(err, ErrKey) {
			t.Errorf("%d times the point of order 8: %v", i, err)
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d points of small order, want 8", len(seen))
	}
}

func TestMalformedKeysAreRefused(t *testing.T) {
	for name, key := range map[string]string{
		"empty":                         "",
		"31 bytes":                      order8[2:],
		"33 bytes":                      order8 + "00",
		"not on the curve":              "0200000000000000000000000000000000000000000000000000000000000000",
		"identity with a sign":          "0100000000000000000000000000000000000000000000000000000000000080",
		"y = p, which is 0":             "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"y = p+1, which is 1":           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"y = p+3, which is on no curve": "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"all ones":                      "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"zero":                          "0000000000000000000000000000000000000000000000000000000000000000",
	} {
		if p, err := parsePoint(unhex(t, key)); p != nil || !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSubgroup adds every point of small order to points of the prime-order
// subgroup: only the sum with the identity is a key.
func TestSubgroup(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "seed")
		i := rapid.IntRange(0, 7).Draw(r, "torsion")
		p, err := new(edwards25519.Point).SetBytes(ed25519.NewKeyFromSeed(seed)[32:])
		if err != nil {
			r.Fatal(err)
		}
		p.Add(p, torsion(t, i))
		if _, err := parsePoint(p.Bytes()); (err == nil) != (i == 0) {
			r.Fatalf("%x with torsion %d: %v", p.Bytes(), i, err)
		}
	})
}

// TestDHAgainstDoubleAndAdd checks the shared secret with the schoolbook method
// on the clamped scalar before reduction, and that both sides get the same.
func TestDHAgainstDoubleAndAdd(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a := ed25519.NewKeyFromSeed(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "a"))
		b := ed25519.NewKeyFromSeed(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "b"))
		ab, err := dhEd25519{}.DH(a, b[32:])
		if err != nil {
			r.Fatal(err)
		}
		ba, err := dhEd25519{}.DH(b, a[32:])
		if err != nil || !bytes.Equal(ab, ba) {
			r.Fatalf("%x one way, %x the other (%v)", ab, ba, err)
		}
		expanded := sha512.Sum512(a[:32])
		scalar := expanded[:32]
		scalar[0] &= 248
		scalar[31] = scalar[31]&127 | 64
		point, err := new(edwards25519.Point).SetBytes(b[32:])
		if err != nil {
			r.Fatal(err)
		}
		want := edwards25519.NewIdentityPoint()
		for i := 255; i >= 0; i-- {
			want.Double(want)
			if scalar[i/8]>>(i%8)&1 == 1 {
				want.Add(want, point)
			}
		}
		if !bytes.Equal(ab, want.Bytes()) {
			r.Fatalf("%x, want %x", ab, want.Bytes())
		}
	})
}

func BenchmarkDH(b *testing.B) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	remote := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))[32:]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (dhEd25519{}).DH(key, remote); err != nil {
			b.Fatal(err)
		}
	}
}
