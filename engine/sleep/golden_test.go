package sleep_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// hexBytes is a JSON string in hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type smallFeed struct {
	PublicKey tree.PublicKey
	SecretKey hexBytes
	Blocks    []hexBytes
	DataFile  hexBytes
	Variants  map[string]struct {
		Batches    []int
		ByteLength uint64
		Signatures []struct {
			Ask, Index uint64
			Signature  tree.Signature
		}
		Files map[string]any
	}
	Nodes []tree.Node
}

func loadSmall(t testing.TB) smallFeed {
	t.Helper()
	var v smallFeed
	loadJSON(t, "testdata/feed-small.json", &v)
	return v
}

func loadJSON(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func (v *smallFeed) secret(t testing.TB) tree.SecretKey {
	t.Helper()
	secret, err := tree.ParseSecretKey(v.SecretKey)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func (v *smallFeed) blocks() (blocks [][]byte) {
	for _, b := range v.Blocks {
		blocks = append(blocks, b)
	}
	return blocks
}

// wantFiles decodes the expected contents of the six files.
func (v *smallFeed) wantFiles(t testing.TB, variant string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for name, content := range v.Variants[variant].Files {
		text, ok := content.(string)
		if name == sleep.DataFile {
			files[name] = v.DataFile
			continue
		}
		b, err := hex.DecodeString(text)
		if err != nil || !ok {
			t.Fatalf("%s: %v", name, err)
		}
		files[name] = b
	}
	return files
}

// TestWriteGolden appends as the reference did and compares the files.
func TestWriteGolden(t *testing.T) {
	v := loadSmall(t)
	for name, variant := range v.Variants {
		for _, sync := range []bool{false, true} {
			memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
			w := openWriter(t, memory.Open, sleep.Options{Key: v.PublicKey, SecretKey: v.secret(t), Sync: sync})
			blocks := v.blocks()
			for _, n := range variant.Batches {
				w.append(blocks[:n]...)
				blocks = blocks[n:]
			}
			if w.ByteLength() != variant.ByteLength {
				t.Errorf("%s: byte length %d, want %d", name, w.ByteLength(), variant.ByteLength)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			compareFiles(t, name, contents(t, memory.Open), v.wantFiles(t, name))
		}
	}
}

// TestReadGolden reads what the reference wrote, and leaves it as it was.
func TestReadGolden(t *testing.T) {
	v := loadSmall(t)
	for name, variant := range v.Variants {
		files := v.wantFiles(t, name)
		memory := stored(t, files)
		f := open(t, memory.Open, sleep.Options{})
		if f.Key() != v.PublicKey || !f.Writable() || !f.Live() || f.Length() != 11 || f.ByteLength() != variant.ByteLength {
			t.Errorf("%s: key %v, writable %t, live %t, length %d, byte length %d",
				name, f.Key(), f.Writable(), f.Live(), f.Length(), f.ByteLength())
		}
		if r := f.Recovery(); r != (sleep.Recovery{Stored: 11, Length: 11}) {
			t.Errorf("%s: recovered %+v", name, r)
		}
		for i, want := range v.blocks() {
			if got, err := f.ReadBlock(nil, uint64(i)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: block %d is %x, %v", name, i, got, err)
			}
		}
		for _, want := range v.Nodes {
			if got, err := f.ReadNode(want.Index); err != nil || got != want {
				t.Errorf("%s: node %+v, %v, want %+v", name, got, err, want)
			}
		}
		var nodes []tree.Node
		for n, err := range f.Nodes(0, 100) {
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, n)
		}
		if !slices.Equal(nodes, v.Nodes) {
			t.Errorf("%s: nodes %v, want %v", name, nodes, v.Nodes)
		}
		if f.HasNode(15) || f.HasNode(22) || f.HasBlock(11) {
			t.Errorf("%s: has what no feed of 11 blocks has", name)
		}
		for _, want := range variant.Signatures {
			slot, sig, err := f.NextSignature(want.Ask)
			if err != nil || slot != want.Index || sig != want.Signature {
				t.Errorf("%s: NextSignature(%d) = %d, %v, %v", name, want.Ask, slot, sig, err)
			}
			if got, err := f.ReadSignature(slot); err != nil || got != sig {
				t.Errorf("%s: ReadSignature(%d) = %v, %v", name, slot, got, err)
			}
		}
		report, err := f.Verify(t.Context(), sleep.VerifyOptions{OnProblem: func(p sleep.Problem) { t.Error(p) }})
		want := sleep.Report{Blocks: 11, Nodes: 19, Signatures: uint64(len(variant.Batches))}
		if err != nil || report != want {
			t.Errorf("%s: report %+v, %v, want %+v", name, report, err, want)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		compareFiles(t, name, contents(t, memory.Open), files)
	}
}

type sparseFeed struct {
	Scenarios map[string]struct {
		Steps []struct {
			SourceAppends int
			Index         uint64
			HashOnly      bool
			Digest        uint64
			LengthAfter   uint64
		}
		Length, ByteLength uint64
		TreeNodesKnown     []tree.Index
		Has                []uint64
		Files              map[string]any
	}
}

// TestSparseGolden downloads as the replicas of the reference did.
func TestSparseGolden(t *testing.T) {
	small := loadSmall(t)
	var sparse sparseFeed
	loadJSON(t, "testdata/feed-sparse.json", &sparse)
	for name, scenario := range sparse.Scenarios {
		source := openWriter(t, randomaccess.NewMemory(randomaccess.MemoryOptions{}).Open,
			sleep.Options{Key: small.PublicKey, SecretKey: small.secret(t)})
		memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
		replica := open(t, memory.Open, sleep.Options{Key: small.PublicKey})
		if replica.Writable() {
			t.Errorf("%s: replica is writable", name)
		}
		blocks := small.blocks()
		for _, step := range scenario.Steps {
			if step.SourceAppends > 0 {
				source.append(blocks[:step.SourceAppends]...)
				blocks = blocks[step.SourceAppends:]
				continue
			}
			digest := download(t, source.Files, replica, step.Index, step.HashOnly)
			if digest != step.Digest {
				t.Errorf("%s: digest of %d is %d, want %d", name, step.Index, digest, step.Digest)
			}
			if replica.Length() != step.LengthAfter {
				t.Errorf("%s: length %d after block %d, want %d", name, replica.Length(), step.Index, step.LengthAfter)
			}
		}
		// Reopening changes nothing.
		for range 2 {
			if replica.Length() != scenario.Length || replica.ByteLength() != scenario.ByteLength {
				t.Errorf("%s: length %d, byte length %d", name, replica.Length(), replica.ByteLength())
			}
			var known []tree.Index
			var has []uint64
			for i := range tree.Index(40) {
				if replica.HasNode(i) {
					known = append(known, i)
				}
				if replica.HasBlock(uint64(i)) {
					has = append(has, uint64(i))
				}
			}
			if !slices.Equal(known, scenario.TreeNodesKnown) || !slices.Equal(has, scenario.Has) {
				t.Errorf("%s: known %v, has %v, want %v, %v", name, known, has, scenario.TreeNodesKnown, scenario.Has)
			}
			report, err := replica.Verify(t.Context(), sleep.VerifyOptions{OnProblem: func(p sleep.Problem) { t.Error(name, p) }})
			if err != nil || !report.OK() || report.Blocks != uint64(len(has)) || report.Nodes != uint64(len(known)) {
				t.Errorf("%s: report %+v, %v", name, report, err)
			}
			if err := replica.Close(); err != nil {
				t.Fatal(err)
			}
			want := map[string][]byte{}
			for file, content := range scenario.Files {
				if text, ok := content.(string); ok {
					if want[file], err = hex.DecodeString(text); err != nil {
						t.Fatal(err)
					}
				} else if content != nil { // data with holes, described
					want[file] = make([]byte, scenario.ByteLength)
					offset := 0
					for n, b := range small.blocks() {
						if slices.Contains(scenario.Has, uint64(n)) {
							copy(want[file][offset:], b)
						}
						offset += len(b)
					}
				}
			}
			compareFiles(t, name, contents(t, memory.Open), want)
			replica = open(t, memory.Open, sleep.Options{})
		}
	}
}
