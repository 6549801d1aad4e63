package tree_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/cairn-feeds/cairn/tree"
)

// TestGoldenReplication repeats random exchanges between a growing feed and three
// replicas that also serve each other: digests, proofs and what is known afterwards
// are those of hypercore 9.
func TestGoldenReplication(t *testing.T) {
	var vectors struct {
		Seed      hexBytes
		Scenarios []struct {
			Steps []struct {
				Append []int

				Reader, From       int
				Block, Digest      uint64
				Hash               bool
				Nodes              []tree.Index
				Signature          *tree.Signature
				Length, ByteLength uint64
			}
			Replicas []struct {
				Known      []tree.Index
				Blocks     uint64
				VerifiedBy []tree.Index
				Digests    []uint64
			}
		}
	}
	loadVectors(t, "replication.json", &vectors)
	for number, scenario := range vectors.Scenarios {
		feed := newTestFeed([32]byte(vectors.Seed))
		replicas := []*replica{nil, newReplica(feed.pair.Public), newReplica(feed.pair.Public), newReplica(feed.pair.Public)}
		for i, step := range scenario.Steps {
			if step.Append != nil {
				var blocks [][]byte
				for _, size := range step.Append {
					seq := len(feed.blocks) + len(blocks)
					blocks = append(blocks, bytes.Repeat([]byte{byte(seq)}, size))
				}
				feed.append(t, blocks...)
				continue
			}
			var from source = feed
			if step.From > 0 {
				from = replicas[step.From]
			}
			r := replicas[step.Reader]
			if digest := r.digest(t, step.Block); digest != step.Digest && step.Digest != 0 {
				t.Errorf("%d.%d: digest of block %d = %b, want %b", number, i, step.Block, digest, step.Digest)
			}
			p, err := from.proof(step.Block, step.Digest, step.Hash)
			if err != nil {
				t.Fatalf("%d.%d: block %d: %v", number, i, step.Block, err)
			}
			checkProof(t, p, goldenProof{Index: step.Block, Nodes: step.Nodes, Signature: step.Signature})
			v, err := r.verify(from, step.Block, step.Hash, p)
			if err != nil {
				t.Fatalf("%d.%d: block %d: %v", number, i, step.Block, err)
			}
			var data []byte
			if !step.Hash {
				data = from.data(step.Block)
			}
			r.store(step.Block, data, v)
			if r.length != step.Length || r.byteLength != step.ByteLength {
				t.Errorf("%d.%d: length %d, %d bytes, want %d, %d", number, i, r.length, r.byteLength, step.Length, step.ByteLength)
			}
		}
		for i, want := range scenario.Replicas {
			r := replicas[i+1]
			known := r.known()
			if !slices.Equal(known, want.Known) {
				t.Errorf("%d: replica %d knows %v, want %v", number, i, known, want.Known)
			}
			if got, err := tree.KnownLength(r.nodes, r.limit()); err != nil || got != want.Blocks {
				t.Errorf("%d: replica %d: KnownLength = %d, %v, want %d", number, i, got, err, want.Blocks)
			}
			for k, index := range known {
				if got, err := tree.VerifiedBy(r.nodes, index); err != nil || got != want.VerifiedBy[k] {
					t.Errorf("%d: replica %d: VerifiedBy(%d) = %d, %v, want %d", number, i, index, got, err, want.VerifiedBy[k])
				}
			}
			for block, digest := range want.Digests {
				if got := r.digest(t, uint64(block)); got != digest {
					t.Errorf("%d: replica %d: digest of block %d = %b, want %b", number, i, block, got, digest)
				}
			}
		}
	}
}
