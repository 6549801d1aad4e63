package tree_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cairn-feeds/cairn/tree"
)

func BenchmarkLeafHash(b *testing.B) {
	for _, size := range []int{0, 64, 256, 1024, 4096, 65536} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			data := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				tree.LeafHash(data)
			}
		})
	}
}

func BenchmarkParentHash(b *testing.B) {
	left, right := tree.Leaf(0, []byte("a")), tree.Leaf(1, []byte("b"))
	b.ReportAllocs()
	for b.Loop() {
		tree.ParentNode(left, right)
	}
}

func BenchmarkTreeHash(b *testing.B) {
	roots := smallFeed(b, 1023).builder.Roots()
	b.ReportAllocs()
	for b.Loop() {
		tree.TreeHash(roots)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ blocks, size int }{
		{1, 64}, {1, 1024}, {8, 1024}, {16, 1024}, {32, 1024}, {64, 1024}, {64, 64}, {1000, 64}, {1000, 1024}, {16, 65536}, {64, 65536},
	} {
		b.Run(fmt.Sprintf("blocks=%d/size=%d", c.blocks, c.size), func(b *testing.B) {
			blocks := slices.Repeat([][]byte{make([]byte, c.size)}, c.blocks)
			builder, err := tree.NewBuilder(0, nil)
			if err != nil {
				b.Fatal(err)
			}
			nodes := make([]tree.Node, 0, 2*c.blocks+64)
			b.SetBytes(int64(c.blocks * c.size))
			b.ReportAllocs()
			for b.Loop() {
				nodes = builder.Append(nodes[:0], blocks)
			}
			b.ReportMetric(float64(c.blocks)*float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}

func BenchmarkSign(b *testing.B) {
	f := smallFeed(b, 1000)
	roots := f.builder.Roots()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.crypto.SignRoots(roots, 1000, f.pair.Secret); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyRoots(b *testing.B) {
	f := smallFeed(b, 1000)
	roots := f.builder.Roots()
	b.ReportAllocs()
	for b.Loop() {
		if err := f.crypto.VerifyRoots(roots, 1000, f.signatures[999], f.pair.Public); err != nil {
			b.Fatal(err)
		}
	}
}

// Proofs in a feed of 100,000 blocks: full ones with a signature, and those that
// end at a known node seven levels up, as most do while a feed is downloaded.

func BenchmarkProve(b *testing.B) {
	f := smallFeed(b, 100_000)
	for name, digest := range map[string]uint64{"full": 0, "near": 1<<8 | 1} {
		b.Run(name, func(b *testing.B) {
			var nodes []tree.Node
			b.ReportAllocs()
			for block := uint64(0); b.Loop(); block = (block + 7919) % 100_000 {
				p, err := tree.AppendProof(nodes[:0], f.nodes, f.signature, block, digest, false)
				if err != nil {
					b.Fatal(err)
				}
				nodes = p.Nodes
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	f := smallFeed(b, 100_000)
	r := newReplica(f.pair.Public)
	r.fetch(b, f, 99_999, false)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tree.Digest(r.nodes, 4711, 200_000); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	f := smallFeed(b, 100_000)
	empty, near := newReplica(f.pair.Public), newReplica(f.pair.Public)
	near.fetch(b, f, 0, false)
	near.nodes.Add(f.nodes[tree.At(7, 4711>>7)])
	for _, c := range []struct {
		name   string
		r      *replica
		digest uint64
	}{{"full", empty, 0}, {"near", near, 1<<8 | 1}} {
		b.Run(c.name, func(b *testing.B) {
			p := f.prove(b, 4711, c.digest, false)
			v := c.r.verifier()
			v.NoOffset = true
			b.ReportAllocs()
			for b.Loop() {
				got, err := v.Block(4711, f.data(4711), p)
				if err != nil {
					b.Fatal(err)
				}
				v.Buffer = got.Nodes[:0]
			}
		})
	}
}

// TestAllocations keeps hot paths free of allocations per node.
func TestAllocations(t *testing.T) {
	f := smallFeed(t, 1000)
	large := make([]byte, 5000)
	nodes := make([]tree.Node, 0, 100)
	near := newReplica(f.pair.Public)
	near.fetch(t, f, 999, false)
	near.nodes.Add(f.nodes[tree.At(7, 0)])
	p := f.prove(t, 77, 1<<8|1, false)
	v := near.verifier()
	v.Buffer = nodes
	v.NoOffset = true
	builder, err := tree.NewBuilder(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func(){
		"leaf hash":       func() { tree.LeafHash(large) },
		"small leaf hash": func() { tree.LeafHash(large[:100]) },
		"parent":          func() { tree.ParentNode(f.nodes[0], f.nodes[2]) },
		"tree hash":       func() { tree.TreeHash(nodes) },
		"append":          func() { builder.Append(nodes, f.blocks[:16]) },
		"digest":          func() { tree.Digest(f.nodes, 1001, 2000) },
		"prove":           func() { tree.AppendProof(nodes, f.nodes, f.signature, 77, 1<<8|1, true) },
		"prove all":       func() { tree.AppendProof(nodes, f.nodes, f.signature, 77, 0, true) },
		"seek":            func() { tree.Seek(f.nodes, nil, 0) },
		"verify": func() {
			if _, err := v.Block(77, f.data(77), p); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if n := testing.AllocsPerRun(100, do); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
