package hash_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/cairn-feeds/cairn/dht/internal/hash"
)

// TestKnown has values of hyperdht 6.34 and @hyperswarm/secret-stream 6.9.2.
func TestKnown(t *testing.T) {
	for _, c := range []struct {
		what string
		got  [32]byte
		want string
	}{
		{"immutable record", hash.Sum([]byte("hello")), "324dcf027dd4a30a932c441f365a25e86b173defa4b8e58948253471b81b72cf"},
		{"in parts", hash.Sum([]byte("he"), nil, []byte("llo")), "324dcf027dd4a30a932c441f365a25e86b173defa4b8e58948253471b81b72cf"},
		{"no parts", hash.Sum(), "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"},
		{"token", hash.Keyed(bytes.Repeat([]byte{0x12}, 32), []byte("127.0."), []byte("0.1")), "4c669c76eaf80e1aa5316e309e6ee05bb568eb65dd073bb8c669d379dc607228"},
		{"PEER_HANDSHAKE", hash.Namespace("hyperswarm/dht", 0), "14d6d4b49214ab1033ed204976caa258bae9e1e8543b9ad1fd996a910b0c4e3a"},
		{"PLUGIN", hash.Namespace("hyperswarm/dht", 10), "6b8a2a8623f28c6c02a1e22abe515ce31cafd9af61d4b69970639aa7eb96a8d5"},
		{"NS_SEND", hash.Namespace("hyperswarm/secret-stream", 2), "aab97d097471f56651b0460ffc8aaa7d3342f7377597d60b925a1dac689adcbf"},
	} {
		if got := hex.EncodeToString(c.got[:]); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func Example() {
	ns := hash.Namespace("hyperswarm/dht", 6)
	fmt.Printf("%x\n", ns[:8])
	// Output: 668e823edd5ce7f5
}
