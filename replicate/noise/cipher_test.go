package noise_test

import (
	"bytes"
	"crypto/cipher"
	"fmt"
	"testing"

	"golang.org/x/crypto/salsa20"
	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/replicate/noise"
)

var _ cipher.Stream = (*noise.Cipher)(nil)

// However the stream is cut into calls, in place or not, it is the XSalsa20
// stream that x/crypto makes of the whole.
func TestCipherStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		nonce := [noise.NonceSize]byte(rapid.SliceOfN(rapid.Byte(), noise.NonceSize, noise.NonceSize).Draw(t, "nonce"))
		plain := bytes.Repeat([]byte{0x5a}, rapid.IntRange(0, 3000).Draw(t, "length"))
		want := make([]byte, len(plain))
		salsa20.XORKeyStream(want, plain, nonce[:], &key)

		c := noise.NewCipher(&key, &nonce)
		got := bytes.Clone(plain)
		for done := 0; done < len(plain); {
			n := rapid.OneOf(rapid.IntRange(0, 70), rapid.IntRange(0, len(plain))).Draw(t, "call")
			n = min(n, len(plain)-done)
			if rapid.Bool().Draw(t, "in place") {
				c.XORKeyStream(got[done:done+n], got[done:done+n])
			} else {
				c.XORKeyStream(got[done:], plain[done:done+n])
			}
			done += n
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("got\n%x, want\n%x", got, want)
		}
	})
}

func TestCipherDoesNotAllocate(t *testing.T) {
	c := noise.NewCipher(new([32]byte), new([noise.NonceSize]byte))
	b := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() { c.XORKeyStream(b, b) }); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func BenchmarkCipher(b *testing.B) {
	for _, size := range []int{16, 1 << 10, 1<<10 + 17, 64 << 10} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			c := noise.NewCipher(new([32]byte), new([noise.NonceSize]byte))
			buf := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				c.XORKeyStream(buf, buf)
			}
		})
	}
}

func BenchmarkHandshake(b *testing.B) {
	keys := [2]noise.KeyPair{noise.KeyPairFromSeed([32]byte{1}), noise.KeyPairFromSeed([32]byte{2})}
	b.ReportAllocs()
	for b.Loop() {
		client := newHandshake(b, noise.Config{Initiator: true, KeyPair: keys[0]})
		server := newHandshake(b, noise.Config{KeyPair: keys[1]})
		if err := shake(client, server, whole); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCapability(b *testing.B) {
	t, _ := pair(b, noise.Encrypted)
	var key [32]byte
	buf := make([]byte, 0, noise.CapabilitySize)
	b.ReportAllocs()
	for b.Loop() {
		buf = t.AppendCapability(buf[:0], key)
	}
}
