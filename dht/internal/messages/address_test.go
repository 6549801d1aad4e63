package messages_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
)

// A key, in the forms that z32 and hyperdht-address of npm have for it.
const (
	keyHex = "00070e151c232a31383f464d545b626970777e858c939aa1a8afb6bdc4cbd2d9"
	keyZ32 = "yydohfehrcidnqb9e3gies5npfa8q9wft1j3iepei65m5tgm4mco"
)

func TestParseKey(t *testing.T) {
	want, err := hex.DecodeString(keyHex)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{keyHex, strings.ToUpper(keyHex), keyZ32, "pear://" + keyZ32, "pear://" + keyZ32 + "/some/path", "pear://" + keyHex + "/"} {
		if key, err := messages.ParseKey(text); err != nil || !bytes.Equal(key[:], want) {
			t.Errorf("%s: %x, %v", text, key, err)
		}
	}
	if got := messages.FormatKey([32]byte(want)); got != keyZ32 {
		t.Errorf("%s, want %s", got, keyZ32)
	}
	for key, want := range map[[32]byte]string{
		{}:                                       strings.Repeat("y", 52),
		[32]byte(bytes.Repeat([]byte{0xff}, 32)): strings.Repeat("9", 51) + "o",
	} {
		if got := messages.FormatKey(key); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for _, text := range []string{
		"", "abc", strings.Repeat("z", 64), strings.Repeat("l", 52), strings.ToUpper(keyZ32), keyHex + "0", keyZ32[1:],
		"pear://", "pear:/" + keyZ32, "http://" + keyZ32, keyHex + "/path", "\n" + keyZ32[1:], keyHex[:63] + "\n",
	} {
		if key, err := messages.ParseKey(text); !errors.Is(err, messages.ErrMalformed) || key != [32]byte{} {
			t.Errorf("%q: %x, %v", text, key, err)
		}
	}
}

func TestKeysRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		key := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "key"))
		for _, text := range []string{messages.FormatKey(key), hex.EncodeToString(key[:])} {
			if got, err := messages.ParseKey(text); err != nil || got != key {
				r.Fatalf("%s: %x, %v", text, got, err)
			}
		}
	})
}

func TestAddress(t *testing.T) {
	key, err := messages.ParseKey(keyHex)
	if err != nil {
		t.Fatal(err)
	}
	nodes := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:49737"), netip.MustParseAddrPort("1.2.3.4:1")}
	for _, c := range []struct {
		address messages.Address
		hex     string
	}{
		{messages.Address{Key: key}, keyHex + "00"},
		{messages.Address{Key: key, Nodes: nodes}, keyHex + "01027f00000149c2010203040100"},
		{messages.Address{Key: key, Nodes: []netip.AddrPort{}}, keyHex + "0100"},
	} {
		if got := hex.EncodeToString(c.address.Append(nil)); got != c.hex {
			t.Errorf("%s, want %s", got, c.hex)
		}
		if got, err := messages.ParseAddress(c.address.Append(nil)); err != nil || !reflect.DeepEqual(got, c.address) {
			t.Errorf("%+v, want %+v (%v)", got, c.address, err)
		}
	}
	if got, err := messages.ParseAddress(key[:]); err != nil || !reflect.DeepEqual(got, messages.Address{Key: key}) {
		t.Errorf("a bare key: %+v, %v", got, err)
	}
	if _, err := messages.ParseAddress(key[:31]); !errors.Is(err, messages.ErrMalformed) {
		t.Errorf("31 bytes: %v", err)
	}
}
