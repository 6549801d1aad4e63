package tree_test

import (
	"fmt"
	"slices"

	"github.com/cairn-feeds/cairn/tree"
)

// failer is the part of testing.TB that these helpers need, which rapid has too.
type failer interface {
	Helper()
	Fatal(args ...any)
}

func indexes(nodes []tree.Node) []tree.Index {
	list := []tree.Index{}
	for _, n := range nodes {
		list = append(list, n.Index)
	}
	return list
}

// source is whoever has blocks and can prove them.
type source interface {
	data(block uint64) []byte
	proof(block, digest uint64, hash bool) (tree.Proof, error)
}

// testFeed is a feed that is written here, in memory.
type testFeed struct {
	pair       tree.KeyPair
	crypto     *tree.Crypto
	builder    *tree.Builder
	blocks     [][]byte
	nodes      tree.NodeMap
	signatures map[uint64]tree.Signature
}

func newTestFeed(seed [32]byte) *testFeed {
	b, err := tree.NewBuilder(0, nil)
	if err != nil {
		panic(err)
	}
	return &testFeed{
		pair:       tree.KeyPairFromSeed(seed),
		builder:    b,
		nodes:      tree.NodeMap{},
		signatures: map[uint64]tree.Signature{},
	}
}

func (f *testFeed) append(t failer, blocks ...[]byte) {
	t.Helper()
	f.nodes.Add(f.builder.Append(nil, blocks)...)
	f.blocks = append(f.blocks, blocks...)
	length := f.builder.Length()
	sig, err := f.crypto.SignRoots(f.builder.Roots(), length, f.pair.Secret)
	if err != nil {
		t.Fatal(err)
	}
	f.signatures[length-1] = sig
}

func (f *testFeed) data(block uint64) []byte { return f.blocks[block] }

func (f *testFeed) signature(slot uint64) (tree.Signature, error) {
	return signatureIn(f.signatures, slot)
}

func signatureIn(signatures map[uint64]tree.Signature, slot uint64) (tree.Signature, error) {
	sig, ok := signatures[slot]
	if !ok {
		return tree.Signature{}, tree.ErrNoSignature
	}
	return sig, nil
}

func (f *testFeed) proof(block, digest uint64, hash bool) (tree.Proof, error) {
	return tree.Prove(f.nodes, f.signature, block, digest, hash)
}

func (f *testFeed) prove(t failer, block, digest uint64, hash bool) tree.Proof {
	t.Helper()
	p, err := f.proof(block, digest, hash)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// replica is a sparse reader of a feed, in memory.
type replica struct {
	key                tree.PublicKey
	length, byteLength uint64
	nodes              tree.NodeMap
	blocks             map[uint64][]byte
	offsets            map[uint64]uint64
	signatures         map[uint64]tree.Signature
}

func newReplica(key tree.PublicKey) *replica {
	return &replica{
		key:        key,
		nodes:      tree.NodeMap{},
		blocks:     map[uint64][]byte{},
		offsets:    map[uint64]uint64{},
		signatures: map[uint64]tree.Signature{},
	}
}

func (r *replica) data(block uint64) []byte { return r.blocks[block] }

func (r *replica) signature(slot uint64) (tree.Signature, error) {
	return signatureIn(r.signatures, slot)
}

func (r *replica) proof(block, digest uint64, hash bool) (tree.Proof, error) {
	return tree.Prove(r.nodes, r.signature, block, digest, hash)
}

// known lists the nodes that r has, as the index of the last one decides.
func (r *replica) known() []tree.Index {
	list := []tree.Index{}
	for i := range r.nodes {
		list = append(list, i)
	}
	slices.Sort(list)
	return list
}

// limit returns the index behind the last node that r has.
func (r *replica) limit() tree.Index {
	limit := tree.Index(0)
	for i := range r.nodes {
		limit = max(limit, i+1)
	}
	return limit
}

func (r *replica) digest(t failer, block uint64) uint64 {
	t.Helper()
	digest, err := tree.Digest(r.nodes, block, r.limit())
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func (r *replica) verifier() *tree.Verifier {
	return &tree.Verifier{Reader: r.nodes, Key: r.key, Length: r.length, Live: true}
}

func (r *replica) verify(from source, block uint64, hash bool, p tree.Proof) (tree.Verified, error) {
	if hash {
		return r.verifier().Hash(block, p)
	}
	return r.verifier().Block(block, from.data(block), p)
}

// store does with an answer what an engine does.
func (r *replica) store(block uint64, data []byte, v tree.Verified) {
	r.nodes.Add(v.Nodes...)
	if v.HasSignature {
		r.signatures[v.SignatureSlot] = v.Signature
	}
	if v.Length > r.length {
		r.length, r.byteLength = v.Length, v.ByteLength
	}
	if data != nil {
		r.blocks[block] = data
		r.offsets[block] = v.ByteOffset
	}
}

// fetch asks from for a block and stores the answer.
func (r *replica) fetch(t failer, from source, block uint64, hash bool) tree.Proof {
	t.Helper()
	p, err := from.proof(block, r.digest(t, block), hash)
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.verify(from, block, hash, p)
	if err != nil {
		t.Fatal(fmt.Errorf("nodes %v: %w", indexes(p.Nodes), err))
	}
	if hash {
		r.store(block, nil, v)
	} else {
		r.store(block, from.data(block), v)
	}
	return p
}
