package sleep_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

func open(t testing.TB, open randomaccess.Opener, opts sleep.Options) *sleep.Files {
	t.Helper()
	f, err := sleep.Open(t.Context(), open, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// writer appends to files as a feed does.
type writer struct {
	t testing.TB
	*sleep.Files
	builder *tree.Builder
}

func openWriter(t testing.TB, opener randomaccess.Opener, opts sleep.Options) *writer {
	t.Helper()
	return newWriter(t, open(t, opener, opts))
}

func newWriter(t testing.TB, f *sleep.Files) *writer {
	t.Helper()
	length, _, roots := f.Head()
	b, err := tree.NewBuilder(length, roots)
	if err != nil {
		t.Fatal(err)
	}
	return &writer{t, f, b}
}

// change returns the change that appends blocks; it is not in the files yet, but
// in the builder.
func (w *writer) change(blocks ...[]byte) sleep.Change {
	w.t.Helper()
	var c sleep.Change
	index, offset := w.builder.Length(), w.builder.ByteLength()
	c.Nodes = w.builder.Append(nil, blocks)
	for _, b := range blocks {
		c.Blocks = append(c.Blocks, sleep.Block{Index: index, Offset: offset, Data: b})
		index++
		offset += uint64(len(b))
	}
	secret, ok := w.SecretKey()
	if !ok {
		w.t.Fatal("no secret key")
	}
	sig, err := (*tree.Crypto)(nil).SignRoots(w.builder.Roots(), index, secret)
	if err != nil {
		w.t.Fatal(err)
	}
	c.Signatures = []sleep.SlotSignature{{Slot: index - 1, Signature: sig}}
	c.Length = index
	return c
}

func (w *writer) append(blocks ...[]byte) {
	w.t.Helper()
	if err := w.Commit(w.change(blocks...)); err != nil {
		w.t.Fatal(err)
	}
}

// download gets a block, or its hash, from source to replica as peers do, and
// returns the digest that was used.
func download(t testing.TB, source, replica *sleep.Files, block uint64, hashOnly bool) uint64 {
	t.Helper()
	digest, c, err := downloadChange(source, replica, block, hashOnly)
	if err != nil {
		t.Fatal(err)
	}
	if err := replica.Commit(c); err != nil {
		t.Fatal(err)
	}
	return digest
}

func downloadChange(source, replica *sleep.Files, block uint64, hashOnly bool) (digest uint64, c sleep.Change, err error) {
	digest, err = tree.Digest(replica.Tree(), block, tree.LeafIndex(source.Length()))
	if err != nil {
		return 0, c, err
	}
	proof, err := tree.Prove(source.Tree(), source.ReadSignature, block, digest, hashOnly)
	if err != nil {
		return 0, c, err
	}
	v := tree.Verifier{Reader: replica.Tree(), Key: replica.Key(), Length: replica.Length(), Live: replica.Live()}
	var verified tree.Verified
	if hashOnly {
		verified, err = v.Hash(block, proof)
	} else {
		var data []byte
		if data, err = source.ReadBlock(nil, block); err != nil {
			return 0, c, err
		}
		if verified, err = v.Block(block, data, proof); err == nil {
			c.Blocks = []sleep.Block{{Index: block, Offset: verified.ByteOffset, Data: data}}
		}
	}
	if err != nil {
		return 0, c, err
	}
	c.Nodes, c.Length = verified.Nodes, verified.Length
	if verified.HasSignature {
		c.Signatures = []sleep.SlotSignature{{Slot: verified.SignatureSlot, Signature: verified.Signature}}
	}
	return digest, c, nil
}

// contents reads the six files; an empty one is left out.
func contents(t testing.TB, open randomaccess.Opener) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range sleep.FileNames() {
		s, err := open(name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := s.Stat()
		if err == nil && info.Size > 0 {
			files[name] = make([]byte, info.Size)
			_, err = s.ReadAt(files[name], 0)
		}
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// stored returns storages with the given contents.
func stored(t testing.TB, files map[string][]byte) *randomaccess.Memory {
	t.Helper()
	m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	for name, content := range files {
		s, err := m.Open(name)
		if err == nil {
			_, err = s.WriteAt(content, 0)
		}
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func compareFiles(t testing.TB, what string, got, want map[string][]byte) {
	t.Helper()
	for _, name := range sleep.FileNames() {
		g, w := got[name], want[name]
		if bytes.Equal(g, w) {
			continue
		}
		at := 0
		for at < min(len(g), len(w)) && g[at] == w[at] {
			at++
		}
		t.Errorf("%s: file %s has %d bytes, want %d; they differ from %d on", what, name, len(g), len(w), at)
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
