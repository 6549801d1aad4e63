package engine_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// hexBytes is a byte string in hex; null is nil.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

type goldenSeek struct {
	Bytes, Index, Offset uint64
	Error                string
}

type goldenFeed struct {
	PublicKey, SecretKey hexBytes
	Blocks               []hexBytes
	DataFile             hexBytes
	Seek                 []goldenSeek
	Variants             map[string]struct {
		Batches        []int
		AppendReturned []uint64
		Signatures     []struct {
			Ask, Index uint64
			Signature  hexBytes
		}
		Files map[string]string
	}
}

func readGolden(t testing.TB, file string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func (g *goldenFeed) pair() tree.KeyPair {
	return tree.KeyPair{Public: tree.PublicKey(g.PublicKey), Secret: tree.SecretKey(g.SecretKey)}
}

func (g *goldenFeed) blocks() [][]byte {
	out := make([][]byte, len(g.Blocks))
	for i, b := range g.Blocks {
		out[i] = b
	}
	return out
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGoldenFeed: appends leave the files that hypercore 9.12 leaves.
func TestGoldenFeed(t *testing.T) {
	var g goldenFeed
	readGolden(t, "feed-small.json", &g)
	eachBackend(t, func(t *testing.T, b backend) {
		for name, variant := range g.Variants {
			t.Run(name, func(t *testing.T) {
				f := b.create(t, g.pair())
				rest := g.blocks()
				for i, n := range variant.Batches {
					if seq := mustAppend(t, f, rest[:n]...); seq != variant.AppendReturned[i] {
						t.Errorf("append %d returned %d, want %d", i, seq, variant.AppendReturned[i])
					}
					rest = rest[n:]
				}
				for _, s := range variant.Signatures {
					at, sig, err := f.Signature(s.Ask)
					if err != nil || at != s.Index || string(sig[:]) != string(s.Signature) {
						t.Errorf("signature of %d: %d, %v, want %d", s.Ask, at, err, s.Index)
					}
					if err := f.Verify(at, sig); err != nil {
						t.Errorf("verify %d: %v", at, err)
					}
				}
				checkSeeks(t, f, g.Seek)
				want := map[string][]byte{}
				for name, content := range variant.Files {
					want[name] = g.DataFile
					if name != "data" {
						want[name] = unhex(t, content)
					}
				}
				diffFiles(t, b.files(t, f), want)
			})
		}
	})
}

func checkSeeks(t *testing.T, f *engine.Feed, seeks []goldenSeek) {
	t.Helper()
	for _, s := range seeks {
		block, offset, err := f.Seek(t.Context(), s.Bytes, &engine.SeekOptions{NoWait: true})
		if (err != nil) != (s.Error != "") || err == nil && (block != s.Index || offset != s.Offset) {
			t.Errorf("seek %d = %d, %d, %v, want %d, %d, %q", s.Bytes, block, offset, err, s.Index, s.Offset, s.Error)
		}
		if err != nil && !errors.Is(err, engine.ErrNotPresent) && !errors.Is(err, tree.ErrOutOfBounds) {
			t.Errorf("seek %d: unexpected kind of error %v", s.Bytes, err)
		}
	}
}

// TestGoldenSparse: replicas that were sent single blocks and hashes know, answer
// and store what hypercore 9.12 does.
func TestGoldenSparse(t *testing.T) {
	var source goldenFeed
	readGolden(t, "feed-small.json", &source)
	var g struct {
		Scenarios map[string]struct {
			Steps []struct {
				SourceAppends  int
				Index          uint64
				HashOnly       bool
				Digest         uint64
				ProofNodes     []tree.Index
				ProofSignature hexBytes
				LengthAfter    uint64
			}
			Length, ByteLength, Downloaded uint64
			Has                            []uint64
			Seeks                          []goldenSeek
			ProofsServed                   []struct {
				Index     uint64
				Nodes     []tree.Index
				Signature hexBytes
				Error     string
			}
			Files map[string]json.RawMessage
		}
	}
	readGolden(t, "feed-sparse.json", &g)
	eachBackend(t, func(t *testing.T, b backend) {
		for name, scenario := range g.Scenarios {
			t.Run(name, func(t *testing.T) {
				writer := b.create(t, source.pair())
				replica := b.replica(t, writer.Key())
				rest := source.blocks()
				for i, step := range scenario.Steps {
					if n := step.SourceAppends; n > 0 {
						mustAppend(t, writer, rest[:n]...)
						rest = rest[n:]
						continue
					}
					digest, err := replica.Digest(step.Index)
					if err != nil || digest != step.Digest {
						t.Fatalf("step %d: digest %d, %v, want %d", i, digest, err, step.Digest)
					}
					p, err := writer.Proof(step.Index, digest, step.HashOnly)
					if err != nil {
						t.Fatal(err)
					}
					checkProof(t, p, step.ProofNodes, step.ProofSignature)
					transfer(t, writer, replica, step.Index, step.HashOnly)
					if replica.Length() != step.LengthAfter {
						t.Errorf("step %d: length %d, want %d", i, replica.Length(), step.LengthAfter)
					}
				}
				if replica.Length() != scenario.Length || replica.ByteLength() != scenario.ByteLength || replica.Downloaded(0, 0) != scenario.Downloaded {
					t.Errorf("length %d, byte length %d, downloaded %d", replica.Length(), replica.ByteLength(), replica.Downloaded(0, 0))
				}
				for _, i := range scenario.Has {
					if !replica.Has(i) {
						t.Errorf("lacks block %d", i)
					}
				}
				checkSeeks(t, replica, scenario.Seeks)
				for _, served := range scenario.ProofsServed {
					p, err := replica.Proof(served.Index, 0, false)
					if (err != nil) != (served.Error != "") {
						t.Errorf("proof of %d: %v, want %q", served.Index, err, served.Error)
					}
					if err == nil {
						checkProof(t, p, served.Nodes, served.Signature)
					}
				}
				want := map[string][]byte{}
				for name, content := range scenario.Files {
					var h hexBytes
					switch {
					case content[0] == '{': // stands for the blocks of Has between zeros
						want[name] = sparseData(&source, scenario.Has)
					case json.Unmarshal(content, &h) != nil:
						t.Fatalf("file %s: %.40s", name, content)
					case h != nil:
						want[name] = h
					}
				}
				diffFiles(t, b.files(t, replica), want)
			})
		}
	})
}

// sparseData is the data of a replica that has only some blocks.
func sparseData(g *goldenFeed, has []uint64) []byte {
	var data []byte
	offset := 0
	for i, b := range g.Blocks {
		if slices.Contains(has, uint64(i)) {
			data = append(append(data, make([]byte, offset-len(data))...), b...)
		}
		offset += len(b)
	}
	return data
}

func checkProof(t *testing.T, p tree.Proof, nodes []tree.Index, signature []byte) {
	t.Helper()
	var got []tree.Index
	for _, n := range p.Nodes {
		got = append(got, n.Index)
	}
	if len(got) != len(nodes) {
		t.Errorf("proof nodes %v, want %v", got, nodes)
		return
	}
	for i := range got {
		if got[i] != nodes[i] {
			t.Errorf("proof nodes %v, want %v", got, nodes)
			return
		}
	}
	if p.HasSignature != (signature != nil) || p.HasSignature && string(p.Signature[:]) != string(signature) {
		t.Errorf("proof signature %v, want %x", p.Signature, signature)
	}
}
