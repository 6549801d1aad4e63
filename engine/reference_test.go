package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tools/peers"
	"github.com/cairn-feeds/cairn/tree"
)

func hexes(blocks [][]byte) []string {
	out := make([]string, len(blocks))
	for i, b := range blocks {
		out[i] = peers.Hex(b)
	}
	return out
}

// directoryFiles reads the six files of a directory. Empty ones are left out.
func directoryFiles(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for _, name := range sleep.FileNames() {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if len(b) > 0 {
			files[name] = b
		}
	}
	return files
}

// referenceNode is a node as the reference peer prints it.
type referenceNode struct {
	Index tree.Index
	Hash  tree.Hash
	Size  uint64
}

func sameNodes(a []tree.Node, b []referenceNode) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != (tree.Node{Index: b[i].Index, Hash: b[i].Hash, Size: b[i].Size}) {
			return false
		}
	}
	return true
}

// reference is a feed of hypercore 9.
type reference struct {
	*peers.Peer
	id string
}

func (r reference) do(t testing.TB, command string, args peers.Args) peers.Message {
	t.Helper()
	if args == nil {
		args = peers.Args{}
	}
	args["id"] = r.id
	return r.Do(t, command, args)
}

func (r reference) step(t testing.TB, s scriptStep) {
	t.Helper()
	if s.blocks != nil {
		r.do(t, "append", peers.Args{"blocks": hexes(s.blocks)})
	} else {
		r.do(t, "clear", peers.Args{"start": s.start, "end": s.end})
	}
}

// compare asks both about roots, signatures, proofs, digests and seeks.
func (r reference) compare(t *testing.T, f *engine.Feed, rng *rand.Rand) {
	t.Helper()
	info := r.do(t, "info", nil)
	if f.Length() != uint64(info.Int("length")) || f.ByteLength() != uint64(info.Int("byteLength")) || f.Downloaded(0, 0) != uint64(info.Int("downloaded")) {
		t.Fatalf("length %d, byte length %d, downloaded %d, want %v", f.Length(), f.ByteLength(), f.Downloaded(0, 0), info)
	}
	if f.Length() == 0 {
		return
	}
	for range 4 {
		i := rng.Uint64N(f.Length())
		at, sig, err := f.Signature(i)
		want := r.do(t, "signature", peers.Args{"index": i})
		if err != nil || at != uint64(want.Int("index")) || !bytes.Equal(sig[:], want.Bytes("signature")) {
			t.Errorf("signature of %d: %d, %v, %v, want %v", i, at, sig, err, want)
		}
		var nodes []referenceNode
		if err := r.do(t, "rootHashes", peers.Args{"index": i}).Decode("roots", &nodes); err != nil {
			t.Fatal(err)
		}
		if roots, err := f.RootHashes(i); err != nil || !sameNodes(roots, nodes) {
			t.Errorf("roots of %d: %v, %v, want %v", i, roots, err, nodes)
		}
		digest := uint64(0)
		if rng.IntN(2) == 0 {
			digest = rng.Uint64N(64)
		}
		hash := rng.IntN(2) == 0
		answer := r.do(t, "proof", peers.Args{"index": i, "opts": peers.Args{"digest": digest, "hash": hash}})
		if err := answer.Decode("nodes", &nodes); err != nil {
			t.Fatal(err)
		}
		p, err := f.Proof(i, digest, hash)
		if err != nil || !sameNodes(p.Nodes, nodes) || p.HasSignature != (len(answer.Text("signature")) > 0) ||
			p.HasSignature && !bytes.Equal(p.Signature[:], answer.Bytes("signature")) {
			t.Errorf("proof of %d for %b, hash %v: %+v, %v, want %v", i, digest, hash, p, err, answer)
		}
		if d, err := f.Digest(i); err != nil || d != uint64(r.do(t, "digest", peers.Args{"index": i}).Int("digest")) {
			t.Errorf("digest of %d: %b, %v", i, d, err)
		}
		if f.ByteLength() > 0 {
			b := rng.Uint64N(f.ByteLength())
			want := r.do(t, "seek", peers.Args{"bytes": b})
			block, offset, err := f.Seek(t.Context(), b, nil)
			if err != nil || block != uint64(want.Int("index")) || offset != uint64(want.Int("offset")) {
				t.Errorf("seek %d: %d, %d, %v, want %v", b, block, offset, err, want)
			}
		}
	}
}

// TestReference runs random scripts on real hypercore 9, on a feed in rows and on
// one in a directory, and compares answers and files.
func TestReference(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	scripts := uint64(12)
	if os.Getenv("CAIRN_NIGHTLY") != "" {
		scripts = 300
	}
	for seed := range scripts {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 17))
			pair := newPair(byte(seed + 1))
			dir, own := t.TempDir(), t.TempDir()
			r := reference{p, fmt.Sprint("script-", seed)}
			r.do(t, "open", peers.Args{"dir": dir, "key": pair.Public.String(), "secretKey": peers.Hex(pair.Secret[:]), "quiet": true})
			inRows := backends()[0].create(t, pair)
			o := &engine.FilesOptions{}
			o.SecretKey = &pair.Secret
			inFiles, err := engine.OpenFiles(t.Context(), randomaccess.NewDirectory(own, randomaccess.DirectoryOptions{}).Open, o)
			if err != nil {
				t.Fatal(err)
			}
			defer inFiles.Close()
			script := randomScript(rng, 4+rng.IntN(30))
			for i, s := range script {
				r.step(t, s)
				runScript1(t, inRows, s)
				runScript1(t, inFiles, s)
				if i%5 == 0 || i == len(script)-1 {
					r.compare(t, inRows, rng)
					r.compare(t, inFiles, rng)
				}
			}
			audit := r.do(t, "audit", nil)
			a, err := inRows.Audit(t.Context(), nil)
			if err != nil || a.Valid != uint64(audit.Int("valid")) || a.Invalid != uint64(audit.Int("invalid")) {
				t.Errorf("audit %+v, %v, want %v", a, err, audit)
			}
			r.do(t, "close", nil)
			if err := inFiles.Close(); err != nil {
				t.Fatal(err)
			}
			want := directoryFiles(t, dir)
			diffFiles(t, directoryFiles(t, own), want)
			blocks, present := replay(script)
			got := backends()[0].files(t, inRows)
			if !bytes.Equal(got["data"], maskCleared(want["data"], blocks, present)) {
				t.Errorf("view: data has %d bytes, the reference %d", len(got["data"]), len(want["data"]))
			}
			got["data"], want["data"] = nil, nil
			diffFiles(t, got, want)
		})
	}
}

// runScript1 does one step.
func runScript1(t testing.TB, f *engine.Feed, s scriptStep) {
	t.Helper()
	if s.blocks != nil {
		mustAppend(t, f, s.blocks...)
	} else if _, err := f.Clear(t.Context(), s.start, s.end); err != nil {
		t.Fatal(err)
	}
}

// replay returns what is left of a script's blocks.
func replay(script []scriptStep) (blocks [][]byte, present []bool) {
	for _, s := range script {
		for _, b := range s.blocks {
			blocks, present = append(blocks, b), append(present, true)
		}
		for i := s.start; i < s.end; i++ {
			present[i] = false
		}
	}
	return blocks, present
}

// TestReferenceExport: hypercore 9 opens, audits and appends to an export, and the
// import takes that back.
func TestReferenceExport(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 19))
		s := openStore(t, nil)
		pair := newPair(byte(seed + 1))
		o := &engine.CreateOptions{}
		o.SecretKey = &pair.Secret
		f := createFeed(t, s, o)
		script := randomScript(rng, 5+rng.IntN(40))
		for _, step := range script {
			runScript1(t, f, step)
		}
		_, present := replay(script)
		dir := t.TempDir()
		open := randomaccess.NewDirectory(dir, randomaccess.DirectoryOptions{}).Open
		if err := f.Export(t.Context(), open, nil); err != nil {
			t.Fatal(err)
		}
		r := reference{p, fmt.Sprint("export-", seed)}
		r.do(t, "open", peers.Args{"dir": dir, "quiet": true})
		r.compare(t, f, rng)
		have := 0
		for i, ok := range present {
			if r.do(t, "has", peers.Args{"index": i}).Bool("has") != ok {
				t.Errorf("seed %d: block %d", seed, i)
			}
			if ok {
				have++
			}
		}
		if a := r.do(t, "audit", nil); a.Int("valid") != have || a.Int("invalid") != 0 {
			t.Errorf("seed %d: audit %v, want %d valid", seed, a, have)
		}
		r.do(t, "append", peers.Args{"blocks": hexes(numbered(40))})
		r.do(t, "close", nil)

		got, err := s.Import(t.Context(), open, nil)
		if err != nil || got.Blocks != 40 || got.Length != f.Length() {
			t.Errorf("seed %d: imported %+v, %v", seed, got, err)
		}
		checkClean(t, s)
		if seq := mustAppend(t, f, []byte("ours again")); seq != got.Length {
			t.Errorf("seq %d after an import up to %d", seq, got.Length)
		}
		fresh := openStore(t, nil)
		if _, err := fresh.Import(t.Context(), open, nil); err != nil {
			t.Error(err)
		}
		checkClean(t, fresh)
	}
}

// TestReferenceReplica: hypercore 9 puts blocks and proofs of ours, and we its.
func TestReferenceReplica(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	rng := rand.New(rand.NewPCG(23, 23))
	pair := newPair(1)
	blocks := testBlocks(200)
	eachBackend(t, func(t *testing.T, b backend) {
		writer := b.create(t, pair)
		mustAppend(t, writer, blocks[:150]...)
		mustAppend(t, writer, blocks[150:]...)
		dir := t.TempDir()
		r := reference{p, "replica-" + b.name}
		r.do(t, "open", peers.Args{"dir": dir, "key": pair.Public.String(), "opts": peers.Args{"sparse": true}, "quiet": true})
		ours := b.replica(t, pair.Public)
		for range 60 {
			i := rng.Uint64N(200)
			hash := rng.IntN(3) == 0
			digest := uint64(r.do(t, "digest", peers.Args{"index": i}).Int("digest"))
			if d, err := ours.Digest(i); err != nil || d != digest {
				t.Fatalf("digest of %d: %b, %v, want %b", i, d, err, digest)
			}
			proof, err := writer.Proof(i, digest, hash)
			if err != nil {
				t.Fatal(err)
			}
			var nodes []peers.Args
			for _, n := range proof.Nodes {
				nodes = append(nodes, peers.Args{"index": uint64(n.Index), "hash": n.Hash.String(), "size": n.Size})
			}
			put := peers.Args{"index": i, "nodes": append([]peers.Args{}, nodes...)}
			if proof.HasSignature {
				put["signature"] = proof.Signature.String()
			}
			d := tree.Delivery{Block: i, HasData: !hash, Proof: proof}
			if !hash {
				put["value"], d.Data = peers.Hex(blocks[i]), blocks[i]
				if len(blocks[i]) == 0 {
					continue // the driver takes an empty value for none
				}
			}
			r.do(t, "put", put)
			if _, err := ours.Deliver(context.Background(), nil, []tree.Delivery{d}); err != nil {
				t.Fatal(err)
			}
		}
		r.do(t, "close", nil)
		want := directoryFiles(t, dir)
		diffFiles(t, b.files(t, ours), want)
	})
}
