package secretstream

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // as in cipher.go
	"pgregory.net/rapid"
)

// hexBytes is bytes written as hex in JSON.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type cipherVector struct {
	Name         string
	Key, Header  hexBytes
	InitialState hexBytes
	Steps        []cipherStep
}

type cipherStep struct {
	Tag                               tag
	Plaintext, Ciphertext, StateAfter hexBytes
	RekeyCall                         bool

	// Of long messages there is only the pattern and the hash.
	PlaintextLength      int
	CiphertextBlake2b256 hexBytes
}

func (s *cipherStep) expand() {
	if s.CiphertextBlake2b256 == nil {
		return
	}
	s.Plaintext = make([]byte, s.PlaintextLength)
	for i := range s.Plaintext {
		s.Plaintext[i] = byte(i*31 + 7)
	}
}

func (s *cipherStep) matches(ciphertext []byte) bool {
	if s.CiphertextBlake2b256 != nil {
		sum := blake2b.Sum256(ciphertext)
		return bytes.Equal(sum[:], s.CiphertextBlake2b256)
	}
	return bytes.Equal(ciphertext, s.Ciphertext)
}

type vectorFile struct {
	SecretStream      []cipherVector
	NoiseSecretStream struct {
		HandshakeHash, InitiatorTx, InitiatorRx hexBytes
		InitiatorStreamID, ResponderStreamID    hexBytes
		InitiatorWire, ResponderWire            []hexBytes
		ResponderWrites                         []string
		ReceivedByResponder                     []hexBytes
	}
	Unordered struct {
		HandshakeHash, InitiatorSendKey, ResponderSendKey hexBytes
		InitiatorMessages, ResponderMessages              []struct{ Plaintext, Body hexBytes }
	}
}

func readVectors(tb testing.TB) vectorFile {
	tb.Helper()
	b, err := os.ReadFile("testdata/secretstream.json")
	if err != nil {
		tb.Fatal(err)
	}
	var v vectorFile
	if err := json.Unmarshal(b, &v); err != nil {
		tb.Fatal(err)
	}
	if len(v.SecretStream) == 0 || len(v.NoiseSecretStream.InitiatorWire) == 0 || len(v.Unordered.InitiatorMessages) == 0 {
		tb.Fatal("testdata/secretstream.json lacks vectors")
	}
	return v
}

// push seals a message as libsodium's push returns it.
func push(s *cipherState, message []byte, t tag) []byte {
	region := make([]byte, scratch+1+len(message)+macSize)
	copy(region[blockSize:], message)
	s.seal(region, t)
	return region[scratch:]
}

func pull(s *cipherState, sealed []byte) ([]byte, tag, error) {
	region := append(make([]byte, scratch), sealed...)
	t, err := s.open(region)
	return region[blockSize : len(region)-macSize], t, err
}

func (s *cipherState) equal(want []byte) error {
	if got := append(s.key[:], s.nonce[:]...); !bytes.Equal(got, want[:len(got)]) {
		return fmt.Errorf("state is %x, want %x", got, want[:len(got)])
	}
	return nil
}

func TestCipherVectors(t *testing.T) {
	for _, v := range readVectors(t).SecretStream {
		t.Run(v.Name, func(t *testing.T) {
			var tx, rx cipherState
			for _, s := range []*cipherState{&tx, &rx} {
				s.init((*[32]byte)(v.Key), (*[24]byte)(v.Header))
				if err := s.equal(v.InitialState); err != nil {
					t.Fatal(err)
				}
			}
			for i, step := range v.Steps {
				if step.RekeyCall {
					tx.rekey()
					rx.rekey()
				} else {
					step.expand()
					sealed := push(&tx, step.Plaintext, step.Tag)
					if !step.matches(sealed) {
						t.Fatalf("step %d: sealed to %.40x", i, sealed)
					}
					got, tag, err := pull(&rx, sealed)
					if err != nil || tag != step.Tag || !bytes.Equal(got, step.Plaintext) {
						t.Fatalf("step %d: opened to %.40x with tag %d, error %v", i, got, tag, err)
					}
				}
				for _, s := range []*cipherState{&tx, &rx} {
					if err := s.equal(step.StateAfter); err != nil {
						t.Fatalf("step %d: %v", i, err)
					}
				}
			}
		})
	}
}

// naive is the construction as its definition reads, one primitive at a time.
type naive struct{ key, nonce []byte }

func newNaive(key, header []byte) *naive {
	subkey, _ := chacha20.HChaCha20(key, header[:16])
	return &naive{key: subkey, nonce: append([]byte{1, 0, 0, 0}, header[16:]...)}
}

func (n *naive) xor(block uint32, src []byte) []byte {
	c, err := chacha20.NewUnauthenticatedCipher(n.key, n.nonce)
	if err != nil {
		panic(err)
	}
	c.SetCounter(block)
	dst := make([]byte, len(src))
	c.XORKeyStream(dst, src)
	return dst
}

func (n *naive) push(message []byte, t tag) []byte {
	block := n.xor(1, append([]byte{byte(t)}, make([]byte, 63)...))
	text := n.xor(2, message)
	input := append(bytes.Clone(block), text...)
	input = append(input, make([]byte, (16-64+len(message))&15)...)
	input = binary.LittleEndian.AppendUint64(input, 0)
	input = binary.LittleEndian.AppendUint64(input, uint64(64+len(message)))
	var mac [16]byte
	poly1305.Sum(&mac, input, (*[32]byte)(n.xor(0, make([]byte, 32))))

	subtle.XORBytes(n.nonce[4:], n.nonce[4:], mac[:8])
	counter := binary.LittleEndian.Uint32(n.nonce) + 1
	binary.LittleEndian.PutUint32(n.nonce, counter)
	if t&2 != 0 || counter == 0 {
		next := n.xor(0, append(bytes.Clone(n.key), n.nonce[4:]...))
		n.key, n.nonce = next[:32], append([]byte{1, 0, 0, 0}, next[32:]...)
	}
	return append(append([]byte{block[0]}, text...), mac[:]...)
}

func TestCipherAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		key := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "key"))
		header := [24]byte(rapid.SliceOfN(rapid.Byte(), 24, 24).Draw(r, "header"))
		var tx, rx cipherState
		tx.init(&key, &header)
		rx.init(&key, &header)
		model := newNaive(key[:], header[:])
		if rapid.Bool().Draw(r, "near the end") { // of the counter
			for _, nonce := range [][]byte{tx.nonce[:], rx.nonce[:], model.nonce} {
				binary.LittleEndian.PutUint32(nonce, 1<<32-2)
			}
		}
		for range rapid.IntRange(1, 6).Draw(r, "messages") {
			n := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, 20000)).Draw(r, "length")
			message := bytes.Repeat([]byte{rapid.Byte().Draw(r, "fill")}, n)
			tag := tag(rapid.IntRange(0, 3).Draw(r, "tag"))
			sealed := push(&tx, message, tag)
			if want := model.push(message, tag); !bytes.Equal(sealed, want) {
				r.Fatalf("%d bytes sealed to %x, want %x", n, sealed, want)
			}
			got, gotTag, err := pull(&rx, sealed)
			if err != nil || gotTag != tag || !bytes.Equal(got, message) {
				r.Fatalf("%d bytes: tag %d, want %d, error %v", n, gotTag, tag, err)
			}
		}
	})
}

// TestCipherDamage flips every bit of sealed messages of lengths on both paths.
func TestCipherDamage(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 15, 16, 17, 40} {
		var key [32]byte
		var header [24]byte
		var tx cipherState
		tx.init(&key, &header)
		sealed := push(&tx, bytes.Repeat([]byte{7}, n), tagMessage)
		for bit := range 8 * len(sealed) {
			damaged := bytes.Clone(sealed)
			damaged[bit/8] ^= 1 << (bit % 8)
			var rx cipherState
			rx.init(&key, &header)
			if _, _, err := pull(&rx, damaged); !errors.Is(err, ErrAuth) {
				t.Errorf("%d bytes, bit %d: %v", n, bit, err)
			}
		}
		for cut := range len(sealed) - overhead + 1 {
			var rx cipherState
			rx.init(&key, &header)
			if _, _, err := pull(&rx, sealed[:overhead+cut]); (err == nil) != (cut == n) {
				t.Errorf("%d bytes, cut to %d: %v", n, cut, err)
			}
		}
	}
}

func BenchmarkSeal(b *testing.B) { benchmarkCipher(b, (*cipherState).seal) }

func BenchmarkOpen(b *testing.B) {
	var message []byte
	var sealed []byte
	benchmarkCipher(b, func(s *cipherState, region []byte, t tag) {
		// Opening what was sealed once, under the state of before.
		at := *s
		if !bytes.Equal(message, region[:1]) || len(sealed) != len(region) {
			message = append(message[:0], region[0])
			s.seal(region, t)
			sealed = bytes.Clone(region)
			*s = at
		}
		copy(region[scratch:], sealed[scratch:])
		if _, err := s.open(region); err != nil {
			panic(err)
		}
		*s = at
	})
}

func benchmarkCipher(b *testing.B, f func(*cipherState, []byte, tag)) {
	for _, n := range []int{16, 100, 1024, 1027, 65536, 65541} {
		b.Run(fmt.Sprintf("size=%d", n), func(b *testing.B) {
			var s cipherState
			s.init(new([32]byte), new([24]byte))
			region := make([]byte, scratch+overhead+n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				f(&s, region, tagMessage)
			}
		})
	}
}
