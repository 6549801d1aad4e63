package tree_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/tree"
)

// TestFlatTreeProperties checks the bit tricks against the definition: a node of
// depth d and offset o is (1+2o)*2^d - 1.
func TestFlatTreeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		depth := rapid.IntRange(0, 60).Draw(t, "depth")
		offset := rapid.Uint64Range(0, 1<<(61-depth)-1).Draw(t, "offset")
		i := tree.At(depth, offset)
		if want := tree.Index((1+2*offset)*(1<<depth) - 1); i != want {
			t.Fatalf("At(%d, %d) = %d, want %d", depth, offset, i, want)
		}
		if i.Depth() != depth || i.Offset() != offset {
			t.Fatalf("%d: depth %d offset %d, want %d %d", i, i.Depth(), i.Offset(), depth, offset)
		}
		if got, want := i.Parent(), tree.At(depth+1, offset/2); got != want {
			t.Fatalf("%d.Parent() = %d, want %d", i, got, want)
		}
		sibling := offset + 1
		if offset%2 == 1 {
			sibling = offset - 1
		}
		if got, want := i.Sibling(), tree.At(depth, sibling); got != want {
			t.Fatalf("%d.Sibling() = %d, want %d", i, got, want)
		}
		left, right := i, i
		for {
			next, ok := left.Left()
			if !ok {
				break
			}
			left = next
			right, _ = right.Right()
			if left.Parent() != i && left.Depth() == depth-1 || left.Depth() != right.Depth() {
				t.Fatalf("%d: children %d, %d", i, left, right)
			}
		}
		if i.LeftSpan() != left || i.RightSpan() != right {
			t.Fatalf("%d: spans %d, %d, want %d, %d", i, i.LeftSpan(), i.RightSpan(), left, right)
		}
	})
}

// TestFullRootsProperties checks that full roots cover every block once, from left
// to right, with trees that get smaller and smaller.
func TestFullRootsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.Uint64Range(0, tree.MaxLength).Draw(t, "length")
		roots := tree.AppendFullRoots(nil, length)
		next, depth := tree.Index(0), 64
		for _, i := range roots {
			if i.LeftSpan() != next || i.Depth() >= depth {
				t.Fatalf("length %d: roots %v", length, roots)
			}
			next, depth = i.RightSpan()+2, i.Depth()
		}
		if next != tree.LeafIndex(length) || len(roots) != tree.CountFullRoots(length) {
			t.Fatalf("length %d: roots %v end at %d", length, roots, next)
		}
	})
}

// naiveTree is the definition of a tree: hash block after block, and join the two
// top-most roots while they are siblings.
func naiveTree(blocks [][]byte) (nodes, roots []tree.Node) {
	for i, data := range blocks {
		n := tree.Leaf(uint64(i), data)
		nodes = append(nodes, n)
		for len(roots) > 0 && roots[len(roots)-1].Index.Sibling() == n.Index {
			n = tree.ParentNode(roots[len(roots)-1], n)
			roots = roots[:len(roots)-1]
			nodes = append(nodes, n)
		}
		roots = append(roots, n)
	}
	return nodes, roots
}

// TestBuilderProperties appends random blocks in random batches, large ones
// in parallel; a batch's size never changes a tree.
func TestBuilderProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batches := rapid.SliceOfN(rapid.IntRange(0, 300), 1, 5).Draw(t, "batches")
		size := rapid.SampledFrom([]int{1, 40, 1000}).Draw(t, "size")
		b, err := tree.NewBuilder(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		var blocks [][]byte
		var nodes []tree.Node
		for _, n := range batches {
			for range n {
				seq := len(blocks)
				blocks = append(blocks, fmt.Appendf(nil, "%*d", 1+seq*size/100, seq))
			}
			nodes = b.Append(nodes, blocks[len(blocks)-n:])
			if rapid.Bool().Draw(t, "reopen") {
				if b, err = tree.NewBuilder(b.Length(), b.Roots()); err != nil {
					t.Fatal(err)
				}
			}
		}
		wantNodes, wantRoots := naiveTree(blocks)
		if !slices.Equal(nodes, wantNodes) {
			t.Fatalf("%d blocks: nodes %v, want %v", len(blocks), indexes(nodes), indexes(wantNodes))
		}
		if !slices.Equal(b.Roots(), wantRoots) {
			t.Fatalf("%d blocks: roots %v, want %v", len(blocks), indexes(b.Roots()), indexes(wantRoots))
		}
		sum := 0
		for _, data := range blocks {
			sum += len(data)
		}
		if b.Length() != uint64(len(blocks)) || b.ByteLength() != uint64(sum) {
			t.Fatalf("length %d, %d bytes, want %d, %d", b.Length(), b.ByteLength(), len(blocks), sum)
		}
	})
}

// swarm is a writer and sparse replicas that ask the writer and each other.
type swarm struct {
	feed     *testFeed
	replicas []*replica
}

func newSwarm() *swarm {
	s := &swarm{feed: newTestFeed([32]byte{1})}
	for range 3 {
		s.replicas = append(s.replicas, newReplica(s.feed.pair.Public))
	}
	return s
}

// write appends a random batch, empty blocks included.
func (s *swarm) write(t *rapid.T) {
	for range rapid.IntRange(1, 6).Draw(t, "batch") {
		size := rapid.IntRange(0, 3).Draw(t, "size")
		s.feed.blocks = append(s.feed.blocks, slices.Repeat([]byte{byte(len(s.feed.blocks))}, size))
	}
	blocks := s.feed.blocks[s.feed.builder.Length():]
	s.feed.blocks = s.feed.blocks[:s.feed.builder.Length()]
	s.feed.append(t, blocks...)
}

// answer is one answer that a replica can verify: who asked whom for what.
type answer struct {
	reader *replica
	from   source
	block  uint64
	hash   bool
	proof  tree.Proof
}

// ask makes a random request to the writer or another replica. ok is false if
// that one has nothing to give.
func (s *swarm) ask(t *rapid.T) (a answer, ok bool) {
	if s.feed.builder.Length() == 0 {
		return a, false
	}
	reader := rapid.IntRange(0, len(s.replicas)-1).Draw(t, "reader")
	a.reader = s.replicas[reader]
	a.hash = rapid.Bool().Draw(t, "hash")
	a.from = s.feed
	if from := rapid.IntRange(0, 2*len(s.replicas)).Draw(t, "from"); from < len(s.replicas) && from != reader {
		r := s.replicas[from]
		candidates := slices.Sorted(maps.Keys(r.blocks))
		if len(candidates) == 0 {
			return a, false
		}
		a.from = r
		a.block = rapid.SampledFrom(candidates).Draw(t, "block")
	} else {
		a.block = rapid.Uint64Range(0, s.feed.builder.Length()-1).Draw(t, "block")
	}
	// Sometimes the digest is what was known before other answers arrived.
	digest := uint64(0)
	if rapid.IntRange(0, 4).Draw(t, "stale") > 0 {
		var err error
		if digest, err = tree.Digest(a.reader.nodes, a.block, a.reader.limit()); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if a.proof, err = a.from.proof(a.block, digest, a.hash); err != nil {
		t.Fatalf("prove block %d with digest %b: %v", a.block, digest, err)
	}
	return a, true
}

// check compares what a replica holds with the writer's truth.
func (s *swarm) check(t *rapid.T) {
	for _, r := range s.replicas {
		for i, n := range r.nodes {
			if n != s.feed.nodes[i] {
				t.Fatalf("node %d = %v, want %v", i, n, s.feed.nodes[i])
			}
		}
		if length, err := tree.KnownLength(r.nodes, r.limit()); err != nil || length != r.length {
			t.Fatalf("KnownLength = %d, %v, want %d", length, err, r.length)
		}
		roots, err := tree.Roots(r.nodes, r.length)
		if err != nil {
			t.Fatal(err)
		}
		for slot, sig := range r.signatures {
			if sig != s.feed.signatures[slot] {
				t.Fatalf("slot %d has %v, want %v", slot, sig, s.feed.signatures[slot])
			}
		}
		offset := uint64(0)
		for block, data := range s.feed.blocks {
			if _, ok := r.blocks[uint64(block)]; ok && r.offsets[uint64(block)] != offset {
				t.Fatalf("block %d is at %d, want %d", block, r.offsets[uint64(block)], offset)
			}
			offset += uint64(len(data))
		}
		s.checkSeek(t, r, roots)
	}
}

// checkSeek seeks every byte at a replica.
func (s *swarm) checkSeek(t *rapid.T, r *replica, roots []tree.Node) {
	bytes := uint64(0)
	for block, data := range s.feed.blocks[:r.length] {
		for offset := range data {
			got, err := tree.Seek(r.nodes, roots, bytes)
			switch {
			case err != nil:
				t.Fatalf("seek %d: %v", bytes, err)
			case bytes == 0:
			case got.Exact && (got.Block != uint64(block) || got.Offset != uint64(offset)):
				t.Fatalf("seek %d = %+v, want block %d offset %d", bytes, got, block, offset)
			case !got.Exact && (uint64(block) < got.Start || uint64(block) >= got.End):
				t.Fatalf("seek %d = %+v, want block %d", bytes, got, block)
			}
			bytes++
		}
	}
	if got, err := tree.Seek(r.nodes, roots, bytes); err != nil || bytes > 0 && got != (tree.SeekResult{Exact: true, Block: r.length}) {
		t.Fatalf("seek to the end %d = %+v, %v", bytes, got, err)
	}
	if _, err := tree.Seek(r.nodes, roots, bytes+1); !errors.Is(err, tree.ErrOutOfBounds) {
		t.Fatalf("seek %d: %v, want ErrOutOfBounds", bytes+1, err)
	}
}

// TestReplication runs random exchanges of a growing feed: whatever a replica holds
// suffices to ask, to verify and to serve others.
func TestReplication(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSwarm()
		t.Repeat(map[string]func(*rapid.T){
			"write": s.write,
			"fetch": func(t *rapid.T) {
				a, ok := s.ask(t)
				if !ok {
					t.Skip()
				}
				v, err := a.reader.verify(a.from, a.block, a.hash, a.proof)
				if err != nil {
					t.Fatalf("block %d, nodes %v: %v", a.block, indexes(a.proof.Nodes), err)
				}
				var data []byte
				if !a.hash {
					data = a.from.data(a.block)
				}
				a.reader.store(a.block, data, v)
				if _, ok := a.reader.nodes[tree.LeafIndex(a.block)]; !ok {
					t.Fatalf("block %d was accepted without its leaf", a.block)
				}
			},
			"": s.check,
		})
	})
}

// mutation changes one thing of an answer.
type mutation struct {
	name string
	// apply reports whether it changed anything. There is no data in an answer
	// with the hash alone.
	apply func(t *rapid.T, p *tree.Proof, data *[]byte) bool
}

var mutations = []mutation{
	{"data bit", func(t *rapid.T, _ *tree.Proof, data *[]byte) bool {
		if data == nil || len(*data) == 0 {
			return false
		}
		*data = slices.Clone(*data)
		(*data)[rapid.IntRange(0, len(*data)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		return true
	}},
	{"data longer", func(_ *rapid.T, _ *tree.Proof, data *[]byte) bool {
		if data == nil {
			return false
		}
		*data = append(slices.Clone(*data), 0)
		return true
	}},
	{"hash", func(t *rapid.T, p *tree.Proof, _ *[]byte) bool {
		return withNode(t, p, func(n *tree.Node) { n.Hash[rapid.IntRange(0, 31).Draw(t, "byte")] ^= 0x10 })
	}},
	{"size", func(t *rapid.T, p *tree.Proof, _ *[]byte) bool {
		return withNode(t, p, func(n *tree.Node) { n.Size += rapid.Uint64Range(1, 1<<60).Draw(t, "more") })
	}},
	{"index", func(t *rapid.T, p *tree.Proof, _ *[]byte) bool {
		return withNode(t, p, func(n *tree.Node) { n.Index ^= 1 << rapid.IntRange(0, 60).Draw(t, "bit") })
	}},
	{"drop", func(t *rapid.T, p *tree.Proof, _ *[]byte) bool {
		if len(p.Nodes) == 0 {
			return false
		}
		i := rapid.IntRange(0, len(p.Nodes)-1).Draw(t, "node")
		p.Nodes = slices.Delete(slices.Clone(p.Nodes), i, i+1)
		return true
	}},
	{"twice", func(t *rapid.T, p *tree.Proof, _ *[]byte) bool {
		if len(p.Nodes) == 0 {
			return false
		}
		i := rapid.IntRange(0, len(p.Nodes)-1).Draw(t, "node")
		p.Nodes = slices.Insert(slices.Clone(p.Nodes), i, p.Nodes[i])
		return true
	}},
	{"swap", func(t *rapid.T, p *tree.Proof, _ *[]byte) bool {
		if len(p.Nodes) < 2 {
			return false
		}
		i := rapid.IntRange(1, len(p.Nodes)-1).Draw(t, "node")
		p.Nodes = slices.Clone(p.Nodes)
		p.Nodes[i-1], p.Nodes[i] = p.Nodes[i], p.Nodes[i-1]
		return true
	}},
	{"signature", func(t *rapid.T, p *tree.Proof, _ *[]byte) bool {
		p.Signature[rapid.IntRange(0, 63).Draw(t, "byte")] ^= 0x20
		return p.HasSignature
	}},
	{"no signature", func(_ *rapid.T, p *tree.Proof, _ *[]byte) bool {
		had := p.HasSignature
		p.HasSignature, p.Signature = false, tree.Signature{}
		return had
	}},
}

func withNode(t *rapid.T, p *tree.Proof, change func(*tree.Node)) bool {
	if len(p.Nodes) == 0 {
		return false
	}
	p.Nodes = slices.Clone(p.Nodes)
	change(&p.Nodes[rapid.IntRange(0, len(p.Nodes)-1).Draw(t, "node")])
	return true
}

// TestMutatedProofs changes one thing of a valid answer to a fresh request: it has
// to be refused, with an error that blames the peer and names the block.
func TestMutatedProofs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSwarm()
		s.write(t)
		r := s.replicas[0]
		for range rapid.IntRange(0, 6).Draw(t, "fetched") {
			r.fetch(t, s.feed, rapid.Uint64Range(0, s.feed.builder.Length()-1).Draw(t, "have"), rapid.Bool().Draw(t, "hash"))
			if rapid.Bool().Draw(t, "grow") {
				s.write(t)
			}
		}
		block := rapid.Uint64Range(0, s.feed.builder.Length()-1).Draw(t, "block")
		hash := rapid.Bool().Draw(t, "hash")
		_, own := r.nodes[tree.LeafIndex(block)]
		if hash && own {
			t.Skip("nothing to learn")
		}
		p := s.feed.prove(t, block, r.digest(t, block), hash)
		data := s.feed.data(block)
		mutable := &data
		if hash {
			mutable = nil
		}
		m := rapid.SampledFrom(mutations).Draw(t, "mutation")
		if !m.apply(t, &p, mutable) {
			t.Skip("does not apply")
		}
		var v tree.Verified
		var err error
		if hash {
			v, err = r.verifier().Hash(block, p)
		} else {
			v, err = r.verifier().Block(block, data, p)
		}
		if err == nil {
			t.Fatalf("%s: block %d was accepted with nodes %v", m.name, block, indexes(p.Nodes))
		}
		var refused *tree.ProofError
		if !errors.As(err, &refused) || refused.Block != block {
			t.Fatalf("%s: %v, want a ProofError of block %d", m.name, err, block)
		}
		if v.Nodes != nil || v.Length != 0 || v.HasSignature {
			t.Fatalf("%s: an error and a result %+v", m.name, v)
		}
	})
}
