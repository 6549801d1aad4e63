package tree_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/cairn-feeds/cairn/tree"
)

// The vectors in testdata were made by the JavaScript implementation; see the
// README there.

// hexBytes is bytes that JSON has in hex; null stays nil.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h = make([]byte, 0, len(text)/2)
	*h, err = hex.AppendDecode(*h, text)
	return err
}

func loadVectors(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func TestGoldenFlatTree(t *testing.T) {
	var vectors struct {
		Nodes []struct {
			Index, Parent, Sibling, LeftSpan, RightSpan tree.Index
			Depth                                       int
			Offset                                      uint64
			LeftChild, RightChild                       *tree.Index
		}
		FullRoots map[string][]tree.Index
	}
	loadVectors(t, "flat-tree.json", &vectors)
	for _, v := range vectors.Nodes {
		i := v.Index
		if got := i.Depth(); got != v.Depth {
			t.Errorf("%d.Depth() = %d, want %d", i, got, v.Depth)
		}
		if got := i.Offset(); got != v.Offset {
			t.Errorf("%d.Offset() = %d, want %d", i, got, v.Offset)
		}
		if got := tree.At(v.Depth, v.Offset); got != i {
			t.Errorf("At(%d, %d) = %d, want %d", v.Depth, v.Offset, got, i)
		}
		if got := i.Parent(); got != v.Parent {
			t.Errorf("%d.Parent() = %d, want %d", i, got, v.Parent)
		}
		if got := i.Sibling(); got != v.Sibling {
			t.Errorf("%d.Sibling() = %d, want %d", i, got, v.Sibling)
		}
		if got := i.LeftSpan(); got != v.LeftSpan {
			t.Errorf("%d.LeftSpan() = %d, want %d", i, got, v.LeftSpan)
		}
		if got := i.RightSpan(); got != v.RightSpan {
			t.Errorf("%d.RightSpan() = %d, want %d", i, got, v.RightSpan)
		}
		if got, ok := i.Left(); ok != (v.LeftChild != nil) || ok && got != *v.LeftChild {
			t.Errorf("%d.Left() = %d, %v, want %v", i, got, ok, v.LeftChild)
		}
		if got, ok := i.Right(); ok != (v.RightChild != nil) || ok && got != *v.RightChild {
			t.Errorf("%d.Right() = %d, %v, want %v", i, got, ok, v.RightChild)
		}
		if got := i.IsLeaf(); got != (v.Depth == 0) {
			t.Errorf("%d.IsLeaf() = %v at depth %d", i, got, v.Depth)
		}
	}
	for key, want := range vectors.FullRoots {
		length, err := strconv.ParseUint(key, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := tree.AppendFullRoots(nil, length); !slices.Equal(got, want) {
			t.Errorf("full roots of %d = %v, want %v", length, got, want)
		}
		if got := tree.CountFullRoots(length); got != len(want) {
			t.Errorf("CountFullRoots(%d) = %d, want %d", length, got, len(want))
		}
	}
}

func TestGoldenCrypto(t *testing.T) {
	var vectors struct {
		KeyPairs []struct {
			Seed, SecretKey hexBytes
			PublicKey       tree.PublicKey
			DiscoveryKey    tree.DiscoveryKey
		}
		Leaves []struct {
			Data   *hexBytes
			Repeat *struct {
				Byte  byte
				Count int
			}
			Size uint64
			Hash tree.Hash
		}
		BlocksForParents []string
		Parents          []struct{ A, B, Parent tree.Node }
		Roots            []struct {
			Roots                      []tree.Node
			Length                     uint64
			TreeHash                   tree.Hash
			Signable                   hexBytes
			Signature, LegacySignature tree.Signature
		}
	}
	loadVectors(t, "crypto.json", &vectors)
	for _, v := range vectors.KeyPairs {
		pair := tree.KeyPairFromSeed([32]byte(v.Seed))
		if pair.Public != v.PublicKey || !bytes.Equal(pair.Secret[:], v.SecretKey) {
			t.Errorf("key pair of seed %x: %v, want %v", v.Seed, pair.Public, v.PublicKey)
		}
		if err := pair.Secret.Check(); err != nil {
			t.Errorf("secret key of seed %x: %v", v.Seed, err)
		}
		if got := pair.Public.DiscoveryKey(); got != v.DiscoveryKey {
			t.Errorf("discovery key of %v = %v, want %v", pair.Public, got, v.DiscoveryKey)
		}
	}
	for _, v := range vectors.Leaves {
		var data []byte
		if v.Repeat != nil {
			data = bytes.Repeat([]byte{v.Repeat.Byte}, v.Repeat.Count)
		} else {
			data = *v.Data
		}
		if got := tree.Leaf(3, data); got != (tree.Node{Index: 6, Hash: v.Hash, Size: v.Size}) {
			t.Errorf("leaf of %d bytes = %v, want hash %v", len(data), got, v.Hash)
		}
	}
	for _, v := range vectors.Parents {
		if got := tree.ParentNode(v.A, v.B); got != v.Parent {
			t.Errorf("parent of %d and %d = %v, want %v", v.A.Index, v.B.Index, got, v.Parent)
		}
		if got := tree.ParentNode(v.B, v.A); got != v.Parent {
			t.Errorf("parent of %d and %d = %v, want %v", v.B.Index, v.A.Index, got, v.Parent)
		}
	}
	signer := tree.KeyPairFromSeed([32]byte(vectors.KeyPairs[0].Seed))
	var ed25519 *tree.Crypto
	for _, v := range vectors.Roots {
		if got := tree.TreeHash(v.Roots); got != v.TreeHash {
			t.Errorf("tree hash of length %d = %v, want %v", v.Length, got, v.TreeHash)
		}
		if got := tree.NewSignable(v.TreeHash, v.Length); !bytes.Equal(got[:], v.Signable) {
			t.Errorf("signable of length %d = %x, want %x", v.Length, got, v.Signable)
		}
		if got, err := ed25519.SignRoots(v.Roots, v.Length, signer.Secret); err != nil || got != v.Signature {
			t.Errorf("signature of length %d = %v, %v, want %v", v.Length, got, err, v.Signature)
		}
		for _, sig := range []tree.Signature{v.Signature, v.LegacySignature} {
			if err := ed25519.VerifyRoots(v.Roots, v.Length, sig, signer.Public); err != nil {
				t.Errorf("signature %v of length %d: %v", sig, v.Length, err)
			}
			sig[5] ^= 1
			if err := ed25519.VerifyRoots(v.Roots, v.Length, sig, signer.Public); !errors.Is(err, tree.ErrSignature) {
				t.Errorf("damaged signature of length %d: %v, want ErrSignature", v.Length, err)
			}
		}
		if err := ed25519.VerifyRoots(v.Roots, v.Length+1, v.Signature, signer.Public); !errors.Is(err, tree.ErrSignature) {
			t.Errorf("signature of length %d for length %d: %v, want ErrSignature", v.Length, v.Length+1, err)
		}
	}
}

// goldenFeed is the feed of feed-small.json: eleven blocks that are also the
// content of feed-sparse.json.
type goldenFeed struct {
	Seed         hexBytes
	PublicKey    tree.PublicKey
	DiscoveryKey tree.DiscoveryKey
	Blocks       []hexBytes
	Variants     map[string]struct {
		Batches    []int
		Signatures []struct {
			Ask, Index uint64
			Signature  tree.Signature
		}
	}
	Nodes     []tree.Node
	BlockInfo []struct {
		Index, Offset, Size uint64
		Hash                tree.Hash
	}
	Roots []struct {
		Length    uint64
		Roots     []tree.Node
		TreeHash  tree.Hash
		Signature tree.Signature
	}
	Seek   []goldenSeek
	Proofs []struct {
		Have            []uint64
		RequesterLength uint64
		RequesterTree   []tree.Index
		Requests        []struct {
			Index            uint64
			OwnNode          bool
			Digest           uint64
			Proof, HashProof goldenProof
		}
	}
}

type goldenSeek struct {
	Bytes, Index, Offset uint64
	Error                string
}

type goldenProof struct {
	Index     uint64
	Nodes     []tree.Index
	Signature *tree.Signature
	Error     string
}

func loadFeed(t *testing.T) (*goldenFeed, *testFeed) {
	t.Helper()
	golden := new(goldenFeed)
	loadVectors(t, "feed-small.json", golden)
	f := newTestFeed([32]byte(golden.Seed))
	return golden, f
}

func (g *goldenFeed) batch(start, n int) [][]byte {
	var blocks [][]byte
	for _, b := range g.Blocks[start : start+n] {
		blocks = append(blocks, b)
	}
	return blocks
}

func TestGoldenFeed(t *testing.T) {
	golden, _ := loadFeed(t)
	for name, variant := range golden.Variants {
		t.Run(name, func(t *testing.T) {
			_, f := loadFeed(t)
			if f.pair.Public != golden.PublicKey || f.pair.Public.DiscoveryKey() != golden.DiscoveryKey {
				t.Fatalf("keys %v, %v", f.pair.Public, f.pair.Public.DiscoveryKey())
			}
			start := 0
			for _, n := range variant.Batches {
				f.append(t, golden.batch(start, n)...)
				start += n
			}
			if len(f.nodes) != len(golden.Nodes) {
				t.Errorf("%d nodes, want %d", len(f.nodes), len(golden.Nodes))
			}
			for _, want := range golden.Nodes {
				if got := f.nodes[want.Index]; got != want {
					t.Errorf("node %d = %v, want %v", want.Index, got, want)
				}
			}
			for _, v := range variant.Signatures {
				slot := v.Ask
				for f.signatures[slot] == (tree.Signature{}) {
					slot++
				}
				if slot != v.Index || f.signatures[slot] != v.Signature {
					t.Errorf("signature for block %d: slot %d, %v, want %d, %v", v.Ask, slot, f.signatures[slot], v.Index, v.Signature)
				}
			}
			if got := f.builder.ByteLength(); got != 21153 {
				t.Errorf("byte length %d, want 21153", got)
			}
		})
	}
}

func TestGoldenRoots(t *testing.T) {
	golden, f := loadFeed(t)
	f.append(t, golden.batch(0, len(golden.Blocks))...)
	for _, v := range golden.Roots {
		roots, err := tree.Roots(f.nodes, v.Length)
		if err != nil || !slices.Equal(roots, v.Roots) {
			t.Errorf("roots of length %d = %v, %v, want %v", v.Length, roots, err, v.Roots)
		}
		if got := tree.TreeHash(roots); got != v.TreeHash {
			t.Errorf("tree hash of length %d = %v, want %v", v.Length, got, v.TreeHash)
		}
		if err := f.crypto.VerifyRoots(roots, v.Length, v.Signature, f.pair.Public); err != nil {
			t.Errorf("signature of length %d: %v", v.Length, err)
		}
	}
	for _, v := range golden.BlockInfo {
		offset, err := tree.ByteOffset(f.nodes, v.Index)
		if err != nil || offset != v.Offset {
			t.Errorf("byte offset of block %d = %d, %v, want %d", v.Index, offset, err, v.Offset)
		}
		if got := f.nodes[tree.LeafIndex(v.Index)]; got.Hash != v.Hash || got.Size != v.Size {
			t.Errorf("leaf of block %d = %v, want %v, size %d", v.Index, got, v.Hash, v.Size)
		}
	}
	checkSeeks(t, f.nodes, f.builder.Roots(), golden.Seek)
}

func checkSeeks(t *testing.T, r tree.Reader, roots []tree.Node, seeks []goldenSeek) {
	t.Helper()
	for _, v := range seeks {
		got, err := tree.Seek(r, roots, v.Bytes)
		switch v.Error {
		case "":
			if err != nil || !got.Exact || got.Block != v.Index || got.Offset != v.Offset {
				t.Errorf("seek %d = %+v, %v, want block %d offset %d", v.Bytes, got, err, v.Index, v.Offset)
			}
		case "Out of bounds":
			if !errors.Is(err, tree.ErrOutOfBounds) {
				t.Errorf("seek %d = %+v, %v, want ErrOutOfBounds", v.Bytes, got, err)
			}
		case "Unable to seek to this offset":
			if err != nil || got.Exact || got.Start >= got.End {
				t.Errorf("seek %d = %+v, %v, want a range", v.Bytes, got, err)
			}
		default:
			t.Fatalf("unknown error %q", v.Error)
		}
	}
}

// TestGoldenProofs lets requesters with various holdings ask the full feed for every
// block: the digest and the proof are those of the original, and every proof is
// accepted.
func TestGoldenProofs(t *testing.T) {
	golden, f := loadFeed(t)
	f.append(t, golden.batch(0, len(golden.Blocks))...)
	for _, v := range golden.Proofs {
		requester := newReplica(f.pair.Public)
		for _, block := range v.Have {
			requester.fetch(t, f, block, false)
		}
		if requester.length != v.RequesterLength {
			t.Errorf("have %v: length %d, want %d", v.Have, requester.length, v.RequesterLength)
		}
		if got := requester.known(); !slices.Equal(got, v.RequesterTree) {
			t.Errorf("have %v: nodes %v, want %v", v.Have, got, v.RequesterTree)
		}
		for _, req := range v.Requests {
			digest := requester.digest(t, req.Index)
			if digest != req.Digest {
				t.Errorf("have %v: digest of block %d = %b, want %b", v.Have, req.Index, digest, req.Digest)
			}
			if _, own := requester.nodes[tree.LeafIndex(req.Index)]; own != req.OwnNode {
				t.Errorf("have %v: own node of block %d: %v", v.Have, req.Index, own)
			}
			for _, hash := range []bool{false, true} {
				want := req.Proof
				if hash {
					want = req.HashProof
				}
				p := f.prove(t, req.Index, digest, hash)
				checkProof(t, p, want)
				if _, err := requester.verify(f, req.Index, hash, p); err != nil {
					t.Errorf("have %v: proof of block %d (hash %v): %v", v.Have, req.Index, hash, err)
				}
			}
		}
	}
}

func checkProof(t *testing.T, got tree.Proof, want goldenProof) {
	t.Helper()
	if !slices.Equal(indexes(got.Nodes), want.Nodes) {
		t.Errorf("proof of block %d has nodes %v, want %v", want.Index, indexes(got.Nodes), want.Nodes)
	}
	if got.HasSignature != (want.Signature != nil) || got.HasSignature && got.Signature != *want.Signature {
		t.Errorf("proof of block %d has signature %v (%v), want %v", want.Index, got.Signature, got.HasSignature, want.Signature)
	}
}

// TestGoldenSparse repeats what happened to sparse replicas, step by step.
func TestGoldenSparse(t *testing.T) {
	var vectors struct {
		Scenarios map[string]struct {
			Steps []struct {
				SourceAppends                int
				SourceLength                 uint64
				Index                        uint64
				HashOnly                     bool
				Digest                       uint64
				ProofNodes                   []tree.Index
				ProofSignature               *tree.Signature
				LengthAfter, ByteLengthAfter uint64
			}
			Length, ByteLength uint64
			TreeNodesKnown     []tree.Index
			Seeks              []goldenSeek
			ProofsServed       []goldenProof
		}
	}
	loadVectors(t, "feed-sparse.json", &vectors)
	for name, scenario := range vectors.Scenarios {
		t.Run(name, func(t *testing.T) {
			golden, f := loadFeed(t)
			r := newReplica(f.pair.Public)
			for _, step := range scenario.Steps {
				if step.SourceAppends > 0 {
					f.append(t, golden.batch(int(f.builder.Length()), step.SourceAppends)...)
					if f.builder.Length() != step.SourceLength {
						t.Errorf("source has length %d, want %d", f.builder.Length(), step.SourceLength)
					}
					continue
				}
				if digest := r.digest(t, step.Index); digest != step.Digest {
					t.Errorf("digest of block %d = %b, want %b", step.Index, digest, step.Digest)
				}
				p := r.fetch(t, f, step.Index, step.HashOnly)
				checkProof(t, p, goldenProof{Index: step.Index, Nodes: step.ProofNodes, Signature: step.ProofSignature})
				if r.length != step.LengthAfter || r.byteLength != step.ByteLengthAfter {
					t.Errorf("after block %d: length %d, %d bytes, want %d, %d", step.Index, r.length, r.byteLength, step.LengthAfter, step.ByteLengthAfter)
				}
			}
			if got := r.known(); !slices.Equal(got, scenario.TreeNodesKnown) {
				t.Errorf("nodes %v, want %v", got, scenario.TreeNodesKnown)
			}
			for _, limit := range []tree.Index{scenario.TreeNodesKnown[len(scenario.TreeNodesKnown)-1] + 1, 16384} {
				if got, err := tree.KnownLength(r.nodes, limit); err != nil || got != scenario.Length {
					t.Errorf("KnownLength(%d) = %d, %v, want %d", limit, got, err, scenario.Length)
				}
			}
			roots, err := tree.Roots(r.nodes, r.length)
			if err != nil {
				t.Fatal(err)
			}
			checkSeeks(t, r.nodes, roots, scenario.Seeks)
			for _, want := range scenario.ProofsServed {
				p, err := tree.Prove(r.nodes, r.signature, want.Index, 0, false)
				if want.Error != "" {
					if !errors.Is(err, tree.ErrNoProof) {
						t.Errorf("proof of block %d: %v, want %q", want.Index, err, want.Error)
					}
					continue
				}
				if err != nil {
					t.Errorf("proof of block %d: %v", want.Index, err)
				}
				checkProof(t, p, want)
			}
		})
	}
}
