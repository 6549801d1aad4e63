package tree_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cairn-feeds/cairn/tree"
)

// TestSecretKeyStaysSecret prints a secret key in every way one can think of.
func TestSecretKeyStaysSecret(t *testing.T) {
	pair := tree.KeyPairFromSeed([32]byte{1, 2, 3})
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08b", "%c", "%t"} {
		fmt.Fprintf(&out, verb+"\n", pair.Secret)
		fmt.Fprintf(&out, verb+"\n", &pair.Secret)
		fmt.Fprintf(&out, verb+"\n", pair)
		fmt.Fprintf(&out, verb+"\n", []tree.SecretKey{pair.Secret})
	}
	fmt.Fprintln(&out, pair.Secret.String(), pair.Secret.GoString())
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("key", "secret", pair.Secret, "pair", pair)
	}
	for _, placeholder := range []string{`secret="[secret key]"`, `"secret":"[secret key]"`} {
		if !strings.Contains(out.String(), placeholder) {
			t.Errorf("%q is missing in:\n%s", placeholder, out.String())
		}
	}
	if b, err := json.Marshal(pair); err == nil {
		t.Errorf("JSON of a key pair: %s", b)
	}
	text := strings.ToLower(out.String())
	for _, leak := range []string{
		hex.EncodeToString(pair.Secret[:4]), "1 2 3 0", "1, 2, 3", "0x1, 0x2",
	} {
		if strings.Contains(text, leak) {
			t.Errorf("%q of the secret key is in:\n%s", leak, out.String())
		}
	}
}

func TestKeyText(t *testing.T) {
	pair, err := tree.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	other, err := tree.GenerateKeyPair()
	if err != nil || other == pair {
		t.Fatalf("two key pairs: %v, %v", other.Public, err)
	}
	key, err := tree.ParsePublicKeyHex(strings.ToUpper(pair.Public.String()))
	if err != nil || key != pair.Public {
		t.Errorf("hex of %v = %v, %v", pair.Public, key, err)
	}
	key, err = tree.ParsePublicKey(pair.Public[:])
	if err != nil || key != pair.Public {
		t.Errorf("bytes of %v = %v, %v", pair.Public, key, err)
	}

	type texts struct {
		P tree.PublicKey
		D tree.DiscoveryKey
		H tree.Hash
		S tree.Signature
	}
	want := texts{pair.Public, pair.Public.DiscoveryKey(), tree.LeafHash(nil), tree.Signature{1, 2}}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got texts
	if err := json.Unmarshal(b, &got); err != nil || got != want {
		t.Errorf("JSON %s = %v, %v, want %v", b, got, err, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		parse func() error
		kind  string
		len   int
		want  int
	}{
		{func() error { _, err := tree.ParsePublicKey(make([]byte, 31)); return err }, "public key", 31, 32},
		{func() error { _, err := tree.ParsePublicKey(nil); return err }, "public key", 0, 32},
		{func() error { _, err := tree.ParsePublicKeyHex(strings.Repeat("ab", 33)); return err }, "public key", 33, 32},
		{func() error { _, err := tree.ParsePublicKeyHex(strings.Repeat("xy", 32)); return err }, "public key", 32, 32},
		{func() error { _, err := tree.ParsePublicKeyHex(strings.Repeat("a", 65)); return err }, "public key", 32, 32},
		{func() error { _, err := tree.ParseSecretKey(make([]byte, 32)); return err }, "secret key", 32, 64},
		{func() error { _, err := tree.ParseSignature(make([]byte, 65)); return err }, "signature", 65, 64},
		{func() error { return new(tree.DiscoveryKey).UnmarshalText([]byte("00")) }, "discovery key", 1, 32},
		{func() error { return new(tree.Hash).UnmarshalText(nil) }, "hash", 0, 32},
	} {
		err := c.parse()
		e, ok := errors.AsType[*tree.KeyError](err)
		if !ok || e.Kind != c.kind || e.Len != c.len || e.Want != c.want {
			t.Errorf("%s of %d bytes: %v", c.kind, c.len, err)
			continue
		}
		if !strings.Contains(err.Error(), c.kind) || (e.Err == nil) != (c.len != c.want) {
			t.Errorf("%s of %d bytes: %q", c.kind, c.len, err)
		}
	}
}

func TestSecretKeyCheck(t *testing.T) {
	pair := tree.KeyPairFromSeed([32]byte{4})
	secret, err := tree.ParseSecretKey(pair.Secret[:])
	if err != nil || secret != pair.Secret || secret.Public() != pair.Public {
		t.Fatalf("parsed %v, %v", secret.Public(), err)
	}
	for _, i := range []int{0, 31, 32, 63} {
		damaged := pair.Secret
		damaged[i] ^= 1
		if _, err := tree.ParseSecretKey(damaged[:]); !errors.Is(err, tree.ErrKeyMismatch) {
			t.Errorf("byte %d: %v, want ErrKeyMismatch", i, err)
		}
	}
}
