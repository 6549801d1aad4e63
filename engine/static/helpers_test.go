package static_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/static"
	"github.com/cairn-feeds/cairn/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hexBytes are bytes that JSON has in hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// vectors are what testdata/hypercore1.json has for this package.
type vectors struct {
	IDs []struct {
		Blocks []hexBytes
		ID     static.ID
		Roots  []tree.Index
		Nodes  []tree.Node
		Proofs [][]tree.Index
	}
	Sessions struct {
		TwoBlocks struct {
			ID      static.ID
			Storage struct{ A, B map[string]hexBytes }
		}
	}
	FeedRecord struct{ Bytes hexBytes }
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/hypercore1.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func openStore(t testing.TB, fs vfs.FS, opts *engine.Options) *engine.Store {
	t.Helper()
	var o engine.Options
	if opts != nil {
		o = *opts
	}
	o.FS = fs
	s, err := engine.Open("store", &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// openCore returns the core of a store in memory, both closed when the test ends.
func openCore(t testing.TB) *static.Core { return coreOf(t, openStore(t, vfs.NewMem(), nil)) }

func coreOf(t testing.TB, s *engine.Store) *static.Core {
	t.Helper()
	c, err := static.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close core: %v", err)
		}
	})
	return c
}

// put stores a finalized feed and returns its id.
func put(t testing.TB, c *static.Core, blocks ...[]byte) static.ID {
	t.Helper()
	f, err := c.Add()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Append(t.Context(), blocks...); err != nil {
		t.Fatal(err)
	}
	id, err := f.Finalize(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func get(t testing.TB, c *static.Core, id static.ID) *static.Feed {
	t.Helper()
	f, err := c.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// delivery is a block of a feed as a peer would send it.
func delivery(t testing.TB, from *static.Feed, block uint64) tree.Delivery {
	t.Helper()
	data, err := from.AppendBlock(nil, block)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := from.AppendProof(nil, block)
	if err != nil {
		t.Fatal(err)
	}
	return tree.Delivery{Block: block, Data: data, HasData: true, Proof: tree.Proof{Nodes: proof}}
}

// someBlocks are n blocks of different content and length, one of them empty.
func someBlocks(n int) [][]byte {
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = fmt.Appendf(nil, "block %d of %d", i, n)
	}
	if n > 2 {
		blocks[2] = nil
	}
	return blocks
}

func decimal(i tree.Index) string { return strconv.FormatUint(uint64(i), 10) }

// leafOf is the hash of a leaf, computed apart.
func leafOf(block []byte) [32]byte { return sha256.Sum256(append([]byte{0}, block...)) }
