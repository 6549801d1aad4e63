package tree_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cairn-feeds/cairn/tree"
)

func smallFeed(t failer, length int) *testFeed {
	f := newTestFeed([32]byte{9})
	var blocks [][]byte
	for i := range length {
		blocks = append(blocks, fmt.Appendf(nil, "block %d", i))
	}
	f.append(t, blocks...)
	return f
}

// TestForgedBlock sends any content with the true roots of the feed and their true
// signature. They are valid, but say nothing about the block. Hypercore 9 checks only
// the signature then, and stores the content if the leaf is known and the size fits.
func TestForgedBlock(t *testing.T) {
	for length := range uint64(20) {
		f := smallFeed(t, int(length)+1)
		last := f.builder.Length() - 1
		for block := range f.builder.Length() {
			for _, known := range [][]uint64{nil, {last}, {block}} {
				r := newReplica(f.pair.Public)
				for _, b := range known {
					r.fetch(t, f, b, true)
				}
				forged := append([]byte("B"), f.data(block)[1:]...)
				roots := f.builder.Roots()
				for first := range len(roots) + 1 {
					p := tree.Proof{Nodes: roots[first:], Signature: f.signatures[last], HasSignature: true}
					v, err := r.verifier().Block(block, forged, p)
					if _, refused := errors.AsType[*tree.ProofError](err); !refused {
						t.Errorf("length %d, block %d, hashes %v known, roots from %d: %+v, %v", last+1, block, known, first, v, err)
					}
				}
			}
		}
	}
}

func TestStaticFeed(t *testing.T) {
	f := smallFeed(t, 11)
	r := newReplica(tree.PublicKey(tree.TreeHash(f.builder.Roots())))
	v := tree.Verifier{Reader: r.nodes, Key: r.key}
	p, err := tree.Prove(f.nodes, nil, 5, 0, false)
	if err != nil || p.HasSignature || len(p.Nodes) == 0 {
		t.Fatalf("proof without signatures: %+v, %v", p, err)
	}
	got, err := v.Block(5, f.data(5), p)
	if err != nil || got.Length != 11 || got.HasSignature || !slices.Equal(got.Roots, f.builder.Roots()) {
		t.Fatalf("static block: %+v, %v", got, err)
	}
	if _, err := v.Block(5, []byte("block V"), p); !errors.Is(err, tree.ErrChecksum) {
		t.Errorf("wrong block: %v, want ErrChecksum", err)
	}

	// Once a feed is known not to be live, it stays so; once live, it stays live.
	r.store(5, f.data(5), got)
	v.Length = r.length
	if _, err := v.Block(4, f.data(4), tree.Proof{Nodes: p.Nodes[1:]}); err != nil {
		t.Errorf("next block: %v", err)
	}
	live := tree.Verifier{Reader: tree.NodeMap{}, Key: r.key, Length: 11, Live: true}
	if _, err := live.Block(5, f.data(5), p); !errors.Is(err, tree.ErrMissingSignature) {
		t.Errorf("unsigned proof for a live feed: %v, want ErrMissingSignature", err)
	}
}

func TestCustomCrypto(t *testing.T) {
	broken := errors.New("broken")
	var forms []int
	c := &tree.Crypto{
		Sign: func(signable []byte, _ tree.SecretKey) (tree.Signature, error) {
			return tree.Signature(append(signable[:32:32], signable[:32]...)), nil
		},
		Verify: func(signable []byte, sig tree.Signature, _ tree.PublicKey) (bool, error) {
			forms = append(forms, len(signable))
			if sig == (tree.Signature{}) {
				return false, broken
			}
			return sig == tree.Signature(append(signable[:32:32], signable[:32]...)), nil
		},
	}
	f := newTestFeed([32]byte{9})
	f.crypto = c
	f.append(t, []byte("a"), []byte("b"))
	p := f.prove(t, 0, 0, false)
	v := tree.Verifier{Reader: tree.NodeMap{}, Key: f.pair.Public, Crypto: c}
	if _, err := v.Block(0, []byte("a"), p); err != nil {
		t.Fatal(err)
	}
	p.Signature[0] ^= 1
	forms = nil
	if _, err := v.Block(0, []byte("a"), p); !errors.Is(err, tree.ErrSignature) {
		t.Errorf("wrong signature: %v, want ErrSignature", err)
	}
	if !slices.Equal(forms, []int{40, 32}) {
		t.Errorf("verify was asked with %d bytes, want 40, then 32", forms)
	}
	p.Signature = tree.Signature{}
	_, err := v.Block(0, []byte("a"), p)
	if _, blamed := errors.AsType[*tree.ProofError](err); blamed || !errors.Is(err, broken) {
		t.Errorf("failing check: %v, want %v and nobody blamed", err, broken)
	}
}

// faultyReader fails at the n-th call.
type faultyReader struct {
	tree.Reader
	left int
}

var errFaulty = errors.New("read failed")

func (r *faultyReader) fail() error {
	if r.left--; r.left < 0 {
		return errFaulty
	}
	return nil
}

func (r *faultyReader) Has(i tree.Index) (bool, error) {
	if err := r.fail(); err != nil {
		return false, err
	}
	return r.Reader.Has(i)
}

func (r *faultyReader) Node(i tree.Index) (tree.Node, error) {
	if err := r.fail(); err != nil {
		return tree.Node{}, err
	}
	return r.Reader.Node(i)
}

// TestReadErrors lets every read fail in turn: the error comes through, nothing
// else does, and no peer is blamed.
func TestReadErrors(t *testing.T) {
	f := smallFeed(t, 23)
	r := newReplica(f.pair.Public)
	r.fetch(t, f, 22, true)
	r.fetch(t, f, 4, false)
	r.nodes.Add(tree.Node{Index: 10, Hash: r.nodes[10].Hash, Size: 1}) // to be corrected
	sparse := r.nodes
	work := map[string]func(tree.Reader) (any, error){
		"digest": func(r tree.Reader) (any, error) { return tree.Digest(r, 9, 45) },
		"prove": func(r tree.Reader) (any, error) {
			p, err := tree.Prove(&both{r, f.nodes}, f.signature, 3, 6, true)
			return len(p.Nodes), err
		},
		"known":  func(r tree.Reader) (any, error) { return tree.KnownLength(r, 45) },
		"roots":  func(r tree.Reader) (any, error) { roots, err := tree.Roots(r, 23); return len(roots), err },
		"offset": func(r tree.Reader) (any, error) { return tree.ByteOffset(r, 4) },
		"seek": func(r tree.Reader) (any, error) {
			return tree.Seek(r, f.builder.Roots(), 30)
		},
		"block": func(r tree.Reader) (any, error) {
			v := tree.Verifier{Reader: r, Key: f.pair.Public, Length: 23, Live: true}
			got, err := v.Block(9, f.data(9), f.prove(t, 9, 0, false))
			return len(got.Nodes), err
		},
		"signed block": func(r tree.Reader) (any, error) {
			v := tree.Verifier{Reader: r, Key: f.pair.Public}
			got, err := v.Block(22, f.data(22), f.prove(t, 22, 0, false))
			return len(got.Nodes), err
		},
		"corrected block": func(r tree.Reader) (any, error) {
			v := tree.Verifier{Reader: r, Key: f.pair.Public, Length: 23, Live: true}
			got, err := v.Block(5, f.data(5), tree.Proof{})
			return len(got.Nodes), err
		},
	}
	for name, do := range work {
		for left := 0; ; left++ {
			reader := &faultyReader{Reader: sparse, left: left}
			got, err := do(reader)
			if err == nil {
				if left == 0 {
					t.Errorf("%s: nothing was read", name)
				}
				break
			}
			if !errors.Is(err, errFaulty) {
				t.Fatalf("%s: read %d: %v, want %v", name, left, err, errFaulty)
			}
			if _, blamed := errors.AsType[*tree.ProofError](err); blamed {
				t.Errorf("%s: read %d: %v blames the peer", name, left, err)
			}
			if zero := fmt.Sprint(got); zero != "0" && zero != fmt.Sprint(tree.SeekResult{}) {
				t.Errorf("%s: read %d: an error and a result %v", name, left, got)
			}
		}
	}
}

// both reads from the second what the first one does not know.
type both struct {
	tree.Reader
	more tree.Reader
}

func (b *both) Has(i tree.Index) (bool, error) {
	known, err := b.Reader.Has(i)
	if err != nil || known {
		return known, err
	}
	return b.more.Has(i)
}

func (b *both) Node(i tree.Index) (tree.Node, error) {
	if known, err := b.Reader.Has(i); err != nil || known {
		return b.Reader.Node(i)
	}
	return b.more.Node(i)
}

// TestHostileNumbers asks for what cannot exist. Nothing may take long or panic.
func TestHostileNumbers(t *testing.T) {
	f := smallFeed(t, 3)
	for _, block := range []uint64{tree.MaxLength, 1 << 60, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		if _, err := f.proof(block, 0, false); !errors.Is(err, tree.ErrNoProof) {
			t.Errorf("prove block %d: %v, want ErrNoProof", block, err)
		}
		if _, err := newReplica(f.pair.Public).verifier().Block(block, nil, tree.Proof{}); !errors.Is(err, tree.ErrOutOfBounds) {
			t.Errorf("verify block %d: %v, want ErrOutOfBounds", block, err)
		}
		if _, err := tree.Digest(f.nodes, block, 5); err != nil {
			t.Errorf("digest of block %d: %v", block, err)
		}
		if _, err := tree.ByteOffset(f.nodes, block); !errors.Is(err, tree.ErrMissingRoots) {
			t.Errorf("byte offset of block %d: %v, want ErrMissingRoots", block, err)
		}
		if _, err := tree.NewBuilder(block+1|1<<62, nil); !errors.Is(err, tree.ErrOutOfBounds) {
			t.Errorf("builder of length %d: %v, want ErrOutOfBounds", block, err)
		}
	}
	for _, digest := range []uint64{1 << 63, 1<<63 | 1, 1<<64 - 1, 1<<64 - 2} {
		for _, r := range []tree.Reader{f.nodes, everything{}} {
			if _, err := tree.Prove(r, f.signature, 1, digest, false); err != nil && !errors.Is(err, tree.ErrNoSignature) {
				t.Errorf("digest %b: %v", digest, err)
			}
		}
	}
	if _, err := tree.KnownLength(everything{}, 1<<64-1); err != nil {
		t.Errorf("known length of everything: %v", err)
	}
}

// TestLargestLength makes up a static feed of 2^52 blocks, and one with another
// block that nobody could count.
func TestLargestLength(t *testing.T) {
	var p tree.Proof
	root := tree.Leaf(0, []byte("first"))
	for root.Index.Depth() < 52 {
		sibling := tree.Node{Index: root.Index.Sibling(), Size: 1}
		p.Nodes = append(p.Nodes, sibling)
		root = tree.ParentNode(root, sibling)
	}
	v := tree.Verifier{Reader: tree.NodeMap{}, Key: tree.PublicKey(tree.TreeHash([]tree.Node{root}))}
	got, err := v.Block(0, []byte("first"), p)
	if err != nil || got.Length != tree.MaxLength || got.ByteLength != 52+5 {
		t.Errorf("length %d, %d bytes, %v", got.Length, got.ByteLength, err)
	}
	beyond := tree.Node{Index: 2 * tree.MaxLength}
	v.Key = tree.PublicKey(tree.TreeHash([]tree.Node{root, beyond}))
	p.Nodes = append(p.Nodes, beyond)
	if got, err := v.Block(0, []byte("first"), p); !errors.Is(err, tree.ErrMalformed) {
		t.Errorf("length %d, %v, want ErrMalformed", got.Length, err)
	}
}

// TestSuperfluousNodes adds true nodes that have no business in a proof.
func TestSuperfluousNodes(t *testing.T) {
	f := smallFeed(t, 11)
	r := newReplica(f.pair.Public)
	r.fetch(t, f, 10, false)
	f.append(t, []byte("block 11"))
	for _, c := range []struct {
		block uint64
		hash  bool
		extra []tree.Index
	}{
		{11, false, []tree.Index{1}},     // beside the signed roots
		{11, false, []tree.Index{5, 17}}, // that is known, but not in this place
		{11, false, []tree.Index{22}},    // the leaf itself
		{11, false, []tree.Index{19}},    // the root above it
		{10, true, []tree.Index{20}},     // the leaf again
		{5, false, []tree.Index{9}},      // on the path, below what is known
		{5, false, []tree.Index{3, 1}},
	} {
		p := f.prove(t, c.block, r.digest(t, c.block), c.hash)
		for _, i := range c.extra {
			p.Nodes = append(p.Nodes, f.nodes[i])
		}
		if v, err := r.verify(f, c.block, c.hash, p); !errors.Is(err, tree.ErrMalformed) {
			t.Errorf("block %d with nodes %v: %+v, %v, want ErrMalformed", c.block, indexes(p.Nodes), v, err)
		}
	}
	// Far too many: refused before anything is hashed.
	many := tree.Proof{Nodes: make([]tree.Node, 100_000)}
	if _, err := r.verifier().Block(5, nil, many); !errors.Is(err, tree.ErrMalformed) {
		t.Errorf("%d nodes: %v, want ErrMalformed", len(many.Nodes), err)
	}
}

// TestSizes overflows sums of sizes, in every place that has one.
func TestSizes(t *testing.T) {
	f := smallFeed(t, 11)
	for _, hash := range []bool{false, true} {
		p := f.prove(t, 5, 0, hash)
		for i := range p.Nodes {
			for _, size := range []uint64{tree.MaxSize, tree.MaxSize + 1, 1<<64 - 1} {
				damaged := p
				damaged.Nodes = slices.Clone(p.Nodes)
				damaged.Nodes[i].Size = size
				r := newReplica(f.pair.Public)
				if v, err := r.verify(f, 5, hash, damaged); !errors.Is(err, tree.ErrSize) {
					t.Errorf("node %d of size %d: %+v, %v, want ErrSize", p.Nodes[i].Index, size, v, err)
				}
			}
		}
	}
}

// TestDamagedSize has a leaf stored with a wrong size, and nothing that would tell the
// right one of its sibling: that is not the peer's fault.
func TestDamagedSize(t *testing.T) {
	f := smallFeed(t, 11)
	for name, damage := range map[string]func(tree.NodeMap){
		"no parent":       func(m tree.NodeMap) { delete(m, 9) },
		"no sibling":      func(m tree.NodeMap) { delete(m, 8) },
		"small parent":    func(m tree.NodeMap) { m.Add(tree.Node{Index: 9, Size: 1}) },
		"damaged sibling": func(m tree.NodeMap) { m.Add(tree.Node{Index: 8, Size: 7}) },
	} {
		r := newReplica(f.pair.Public)
		r.fetch(t, f, 5, false)
		leaf := r.nodes[10]
		leaf.Size++
		r.nodes.Add(leaf)
		damage(r.nodes)
		v, err := r.verify(f, 5, false, tree.Proof{})
		if _, blamed := errors.AsType[*tree.ProofError](err); blamed || !errors.Is(err, tree.ErrSize) {
			t.Errorf("%s: %+v, %v, want ErrSize and nobody blamed", name, v, err)
		}
	}
}

// everything is a Reader that claims to know every node.
type everything struct{}

func (everything) Has(tree.Index) (bool, error)         { return true, nil }
func (everything) Node(i tree.Index) (tree.Node, error) { return tree.Node{Index: i}, nil }

func TestNewBuilderRefuses(t *testing.T) {
	f := smallFeed(t, 7)
	roots := f.builder.Roots()
	for name, c := range map[string]struct {
		length uint64
		roots  []tree.Node
		want   error
	}{
		"one root too few": {7, roots[:2], tree.ErrMissingRoots},
		"other length":     {6, roots, tree.ErrMissingRoots},
		"other order":      {7, []tree.Node{roots[1], roots[0], roots[2]}, tree.ErrMissingRoots},
		"sizes":            {3, []tree.Node{{Index: 1, Size: tree.MaxSize}, {Index: 4, Size: 1}}, tree.ErrSize},
	} {
		if _, err := tree.NewBuilder(c.length, c.roots); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestBuffer keeps what is in a verifier's buffer and appends to it.
func TestBuffer(t *testing.T) {
	f := smallFeed(t, 11)
	r := newReplica(f.pair.Public)
	v := r.verifier()
	v.Live = false
	v.Buffer = append(make([]tree.Node, 0, 100), tree.Node{Index: 99})
	p := f.prove(t, 6, 0, false)
	got, err := v.Block(6, f.data(6), p)
	if err != nil {
		t.Fatal(err)
	}
	if got.Nodes[0].Index != 99 || &got.Nodes[0] != &v.Buffer[0] {
		t.Errorf("nodes %v do not continue the buffer", indexes(got.Nodes))
	}
	v.Buffer = nil
	plain, err := v.Block(6, f.data(6), p)
	if err != nil || !slices.Equal(plain.Nodes, got.Nodes[1:]) || plain.ByteOffset != got.ByteOffset {
		t.Errorf("with a buffer %v, without %v, %v", got, plain, err)
	}
	v.NoOffset = true
	if plain, err = v.Block(6, f.data(6), p); err != nil || plain.ByteOffset != 0 {
		t.Errorf("NoOffset: offset %d, %v", plain.ByteOffset, err)
	}
}
