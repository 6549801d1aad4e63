package messages

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"testing"
)

func TestHolepunchVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/hyperdht-payloads.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		HolepunchCrypto struct {
			Secret, Nonce, Plaintext, Sealed string
			TokenExample                     struct{ LocalSecret, Host, Token string }
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	v := file.HolepunchCrypto
	secret, nonce := [32]byte(unhex(t, v.Secret)), [nonceSize]byte(unhex(t, v.Nonce))
	p, err := OpenHolepunch(unhex(t, v.Sealed), &secret)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(p.Append(nil)); got != v.Plaintext {
		t.Errorf("opened as %s, want %s", got, v.Plaintext)
	}
	if got := sealHolepunch([]byte("x"), &secret, &nonce, &p); hex.EncodeToString(got[1:]) != v.Sealed {
		t.Errorf("sealed as %x, want %s", got[1:], v.Sealed)
	}
	local := [32]byte(unhex(t, v.TokenExample.LocalSecret))
	for _, host := range []string{v.TokenExample.Host, "::ffff:" + v.TokenExample.Host} {
		token := AddressToken(&local, netip.MustParseAddr(host))
		if got := hex.EncodeToString(token[:]); got != v.TokenExample.Token {
			t.Errorf("token of %s is %s, want %s", host, got, v.TokenExample.Token)
		}
	}
}

// TestHolepunchSecret has values of a handshake of noise-handshake 4.2.0.
func TestHolepunchSecret(t *testing.T) {
	hash := [64]byte(unhex(t, "82c92f5966762640d5ceac60362beb935d30ce68073ec1c0ecc6418b7ad7b3d3e8ad5f5e0c5324abda2e602236cc101b5db0f36b2c6eb8fe632375476e0638e6"))
	secret := HolepunchSecret(&hash)
	if got, want := hex.EncodeToString(secret[:]), "414b0e194ece6555a99e1b44c13b6274618b182b6570e2591a9016503e3477a2"; got != want {
		t.Errorf("%s, want %s", got, want)
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

func TestOpenHolepunch(t *testing.T) {
	secret, other := [32]byte{1}, [32]byte{2}
	p := HolepunchPayload{Round: 7, Punching: true, Addresses: []netip.AddrPort{}}
	sealed := SealHolepunch(nil, &secret, &p)
	if again := SealHolepunch(nil, &secret, &p); bytes.Equal(sealed[:nonceSize], again[:nonceSize]) {
		t.Error("a nonce twice")
	}
	if got, err := OpenHolepunch(sealed, &secret); err != nil || got.Round != 7 || !got.Punching || got.Addresses == nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := OpenHolepunch(sealed, &other); !errors.Is(err, ErrUnsealed) {
		t.Errorf("with another secret: %v", err)
	}
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 1
		for _, b := range [][]byte{damaged, sealed[:i]} {
			if _, err := OpenHolepunch(b, &secret); !errors.Is(err, ErrUnsealed) {
				t.Errorf("damaged at %d: %v", i, err)
			}
		}
	}
}
