package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// scriptStep is an append of blocks, or a clear.
type scriptStep struct {
	blocks     [][]byte
	start, end uint64
}

// randomScript makes steps for a feed. It is about half appends of single blocks,
// some batches, some clears.
func randomScript(rng *rand.Rand, steps int) []scriptStep {
	var script []scriptStep
	length := uint64(0)
	for range steps {
		if length > 0 && rng.IntN(4) == 0 {
			start := rng.Uint64N(length)
			script = append(script, scriptStep{start: start, end: start + 1 + rng.Uint64N(length-start)})
			continue
		}
		n := 1
		if rng.IntN(2) == 0 {
			n = 1 + rng.IntN(70)
		}
		var s scriptStep
		for range n {
			b := make([]byte, rng.IntN(4)*rng.IntN(40))
			for i := range b {
				b[i] = byte(rng.IntN(255) + 1)
			}
			s.blocks = append(s.blocks, b)
		}
		length += uint64(n)
		script = append(script, s)
	}
	return script
}

// runScript does the steps and returns all blocks, nil where they were cleared.
func runScript(t testing.TB, f *engine.Feed, script []scriptStep) (blocks [][]byte, present []bool) {
	t.Helper()
	for _, s := range script {
		if s.blocks == nil {
			if _, err := f.Clear(t.Context(), s.start, s.end); err != nil {
				t.Fatal(err)
			}
			for i := s.start; i < s.end; i++ {
				present[i] = false
			}
			continue
		}
		mustAppend(t, f, s.blocks...)
		for _, b := range s.blocks {
			blocks, present = append(blocks, b), append(present, true)
		}
	}
	return blocks, present
}

// dataFile is what data holds: the blocks that are here, zeros for the others, up to
// the last byte of the last one.
func dataFile(blocks [][]byte, present []bool) []byte {
	var data []byte
	end := 0
	for i, b := range blocks {
		if present[i] {
			data = append(data, b...)
			if len(b) > 0 {
				end = len(data)
			}
		} else {
			data = append(data, make([]byte, len(b))...)
		}
	}
	return data[:end]
}

// maskCleared puts zeros where blocks were cleared: hypercore 9 leaves their bytes
// in the middle of the file. It cuts off what stands behind the last block.
func maskCleared(data []byte, blocks [][]byte, present []bool) []byte {
	data = bytes.Clone(data)
	off := 0
	for i, b := range blocks {
		if !present[i] && off < len(data) {
			clear(data[off:min(off+len(b), len(data))])
		}
		off += len(b)
	}
	want := len(dataFile(blocks, present))
	for _, c := range data[min(want, len(data)):] {
		if c != 0 {
			return data
		}
	}
	return data[:min(want, len(data))]
}

// TestViewEqualsFiles: a feed in rows looks like the same feed in files.
func TestViewEqualsFiles(t *testing.T) {
	both := backends()
	for seed := range uint64(25) {
		rng := rand.New(rand.NewPCG(seed, 11))
		script := randomScript(rng, 3+rng.IntN(30))
		pair := newPair(byte(seed + 1))
		inRows, inFiles := both[0].create(t, pair), both[1].create(t, pair)
		blocks, present := runScript(t, inRows, script)
		runScript(t, inFiles, script)
		got, want := both[0].files(t, inRows), both[1].files(t, inFiles)
		if !bytes.Equal(got["data"], dataFile(blocks, present)) {
			t.Errorf("seed %d: data has %d bytes, want %d", seed, len(got["data"]), len(dataFile(blocks, present)))
		}
		if !bytes.Equal(maskCleared(want["data"], blocks, present), got["data"]) {
			t.Errorf("seed %d: the data of both differ", seed)
		}
		got["data"], want["data"] = nil, nil
		diffFiles(t, got, want)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestViewReadAt: pieces of a large sparse view are those of the whole.
func TestViewReadAt(t *testing.T) {
	const n = 40_000
	rng := rand.New(rand.NewPCG(5, 5))
	s := openStore(t, &engine.Options{Sync: engine.SyncNever})
	writer := createFeed(t, s, nil)
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = bytes.Repeat([]byte{byte(i), byte(i >> 8), 1}, rng.IntN(6))
	}
	mustAppend(t, writer, blocks...)
	f, err := openStore(t, &engine.Options{Sync: engine.SyncNever}).Open(t.Context(), writer.Key(), &engine.FeedOptions{Sparse: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	nodes := tree.NodeMap{}
	keep := func(p tree.Proof, index uint64, data []byte) {
		v := tree.Verifier{Reader: nodes, Key: writer.Key(), Live: true, Length: n}
		got, err := v.Block(index, data, p)
		if err != nil {
			t.Fatal(err)
		}
		nodes.Add(got.Nodes...)
	}
	present := make([]bool, n)
	var chosen []uint64
	for range 150 {
		chosen = append(chosen, rng.Uint64N(n))
	}
	for start := uint64(20_000); start < 20_080; start++ { // a run of consecutive blocks
		chosen = append(chosen, start)
	}
	for _, i := range chosen {
		if present[i] {
			continue
		}
		present[i] = true
		p, err := writer.Proof(i, 0, false)
		if err != nil {
			t.Fatal(err)
		}
		keep(p, i, blocks[i])
		if err := f.Put(t.Context(), i, blocks[i], p); err != nil {
			t.Fatal(err)
		}
	}
	v, err := f.NewView(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	files := readFiles(t, v.Open)
	if want := dataFile(blocks, present); !bytes.Equal(files["data"], want) {
		t.Errorf("data has %d bytes, want %d", len(files["data"]), len(want))
	}
	// The tree file, assembled from the nodes that were verified.
	want := sleep.AppendTreeHeader(nil)
	for i, node := range nodes {
		off := int(sleep.NodeOffset(i))
		if len(want) < off+sleep.NodeSize {
			want = append(want, make([]byte, off+sleep.NodeSize-len(want))...)
		}
		copy(want[off:], sleep.AppendNode(nil, node))
	}
	if !bytes.Equal(files["tree"], want) {
		t.Errorf("tree has %d bytes, want %d", len(files["tree"]), len(want))
	}
	for name, whole := range files {
		file, err := v.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			off := rng.IntN(len(whole) + 10)
			p := make([]byte, rng.IntN(9000))
			n, err := file.ReadAt(p, int64(off))
			rest := whole[min(off, len(whole)):]
			if wantN := min(len(p), len(rest)); n != wantN || !bytes.Equal(p[:n], rest[:n]) || (err == nil) != (n == len(p)) || err != nil && !errors.Is(err, io.EOF) {
				t.Fatalf("%s: %d bytes at %d gave %d, %v, want %d", name, len(p), off, n, err, wantN)
			}
		}
	}
}

// TestViewIsReadOnly: a view refuses every change, and names that are no file.
func TestViewIsReadOnly(t *testing.T) {
	f := backends()[0].create(t, newPair(1))
	mustAppend(t, f, numbered(3)...)
	v, err := f.NewView(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Open("passwd"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another file: %v", err)
	}
	data, err := v.Open("data")
	if err != nil {
		t.Fatal(err)
	}
	_, err = data.WriteAt([]byte("x"), 0)
	for _, err := range []error{err, data.Delete(0, 1), data.Truncate(0)} {
		mustFail(t, err, randomaccess.ErrReadOnly)
	}
	if _, err := data.ReadAt(make([]byte, 1), -1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("negative offset: %v", err)
	}
	// A view stays at its moment; what is cleared turns to zeros.
	mustAppend(t, f, []byte("more"))
	if _, err := f.Clear(t.Context(), 1, 2); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 6)
	if _, err := data.ReadAt(b, 0); err != nil || string(b) != "0 \x00\x002 " {
		t.Errorf("data %q, %v", b, err)
	}
	secret, err := v.Open("secret_key")
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := secret.Stat(); info.Size != 0 {
		t.Error("the secret key shows")
	}
	data.Close()
	if _, err := data.ReadAt(b, 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	f.Close()
	if _, err := f.NewView(t.Context(), false); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("view of a closed feed: %v", err)
	}
}

// exported writes a feed to memory.
func exported(t testing.TB, f *engine.Feed, o *engine.ExportOptions) *randomaccess.Memory {
	t.Helper()
	m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	if err := f.Export(t.Context(), m.Open, o); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestExportImport: what was exported comes back as it was.
func TestExportImport(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 13))
		f := backends()[0].create(t, newPair(byte(seed+1)))
		blocks, present := runScript(t, f, randomScript(rng, 5+rng.IntN(60)))
		var last, total uint64
		m := exported(t, f, &engine.ExportOptions{Progress: func(d, n uint64) { last, total = d, n }})
		if last != total || total == 0 {
			t.Errorf("progress ended at %d of %d", last, total)
		}
		mustFail(t, f.Export(t.Context(), m.Open, nil), engine.ErrFeedExists)
		s := openStore(t, nil)
		var done uint64
		got, err := s.Import(t.Context(), m.Open, &engine.ImportOptions{Name: "back", Progress: func(d, n uint64) { done, total = d, n }})
		have, size := uint64(0), uint64(0)
		for i := range blocks {
			if present[i] {
				have++
				size += uint64(len(blocks[i]))
			}
		}
		if want := (engine.Imported{Key: f.Key(), Length: f.Length(), Blocks: have, Bytes: size, Writable: true}); err != nil || got != want {
			t.Fatalf("seed %d: imported %+v, %v, want %+v", seed, got, err, want)
		}
		if done != total || done != have {
			t.Errorf("progress ended at %d of %d", done, total)
		}
		checkClean(t, s)
		g, err := s.Open(t.Context(), f.Key(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := s.Find("back"); err != nil || info.Key != f.Key() {
			t.Errorf("name: %v", err)
		}
		diffFiles(t, backends()[0].files(t, g), backends()[0].files(t, f))
		if g.Guarded() {
			t.Error("a feed that was new to the store is guarded")
		}
		mustAppend(t, g, []byte("x"))
		g.Close()

		// Once more: nothing is new.
		if got, err = s.Import(t.Context(), m.Open, nil); err != nil || got.Blocks != 0 {
			t.Errorf("seed %d: imported again %+v, %v", seed, got, err)
		}
		checkClean(t, s)
		public := exported(t, f, &engine.ExportOptions{Public: true})
		if _, ok := readFiles(t, public.Open)["secret_key"]; ok {
			t.Error("a public export has the secret key")
		}
		p := openStore(t, nil)
		if got, err := p.Import(t.Context(), public.Open, nil); err != nil || got.Writable {
			t.Errorf("imported %+v, %v", got, err)
		}
	}
}

// TestImportRefuses: damaged and half directories change nothing.
func TestImportRefuses(t *testing.T) {
	f := backends()[0].create(t, newPair(1))
	mustAppend(t, f, auditBlocks()...)
	whole := readFiles(t, exported(t, f, nil).Open)
	build := func(files map[string][]byte) *randomaccess.Memory {
		m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
		for name, b := range files {
			s, err := m.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.WriteAt(b, 0); err != nil {
				t.Fatal(err)
			}
			s.Close()
		}
		return m
	}
	s := openStore(t, nil)
	other := createFeed(t, s, &engine.CreateOptions{Name: "other"})
	mustAppend(t, other, numbered(3)...)
	state := func() string {
		u, err := s.Usage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%+v", u)
		for info, err := range s.Feeds() {
			text += fmt.Sprintf("%+v %v\n", info, err)
		}
		return text
	}
	before := state()
	refuse := func(what string, m *randomaccess.Memory) {
		t.Helper()
		got, err := s.Import(t.Context(), m.Open, &engine.ImportOptions{Name: "bad"})
		if err == nil {
			t.Errorf("%s: imported %+v", what, got)
		} else if !errors.Is(err, engine.ErrCorrupt) && !errors.Is(err, engine.ErrNoFeed) && !errors.Is(err, sleep.ErrUnsupportedVersion) {
			t.Errorf("%s: %v", what, err)
		}
		if after := state(); after != before {
			t.Fatalf("%s: the store was\n%s\nand is\n%s", what, before, after)
		}
	}
	refuse("nothing", build(nil))
	rng := rand.New(rand.NewPCG(3, 3))
	for name, b := range whole {
		if name == "bitfield" {
			continue // it follows from the others
		}
		flip := func(at int) *randomaccess.Memory {
			damaged := make(map[string][]byte)
			for n, b := range whole {
				damaged[n] = bytes.Clone(b)
			}
			damaged[name][at] ^= 1 << rng.IntN(8)
			return build(damaged)
		}
		for range 20 {
			at := rng.IntN(len(b))
			if name == "signatures" {
				at = len(b) - 1 - rng.IntN(64) // the only one there is
			}
			if node := (at - sleep.HeaderSize) / sleep.NodeSize; name == "tree" && at >= sleep.HeaderSize && node > 60 && node%2 == 1 {
				continue // some of these are roots that 60 blocks do not have
			}
			refuse(fmt.Sprintf("%s flipped at %d", name, at), flip(at))
		}
		if name == "secret_key" || name == "key" {
			continue // one of them tells the other
		}
		half := make(map[string][]byte)
		for n, b := range whole {
			half[n] = b
		}
		half[name] = b[:len(b)/2]
		refuse(name+" cut in half", build(half))
		delete(half, name)
		refuse(name+" missing", build(half))
	}
	if got, err := s.Import(t.Context(), build(whole).Open, nil); err != nil || got.Blocks != 60 {
		t.Errorf("the whole: %+v, %v", got, err)
	}
}

// TestImportForks: a source that contradicts the store is refused as a fork, and
// mixes nothing in.
func TestImportForks(t *testing.T) {
	pair := newPair(1)
	ours, theirs := backends()[0].create(t, pair), backends()[0].create(t, pair)
	mustAppend(t, ours, []byte("one"), []byte("two"))
	mustAppend(t, theirs, []byte("one"), []byte("2"), []byte("3"))
	s := openStore(t, nil)
	if _, err := s.Import(t.Context(), exported(t, ours, nil).Open, nil); err != nil {
		t.Fatal(err)
	}
	_, err := s.Import(t.Context(), exported(t, theirs, nil).Open, nil)
	if _, ok := errors.AsType[*tree.ForkError](err); !ok {
		t.Errorf("a fork gave %v", err)
	}
	checkClean(t, s)
	f, err := s.Open(t.Context(), pair.Public, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Length() != 2 {
		t.Errorf("length %d", f.Length())
	}
	b, err := f.Get(t.Context(), 1, nil)
	mustBlock(t, outcome[[]byte]{b, err}, []byte("two"))
	if forks, err := s.Forks(t.Context(), f.DiscoveryKey()); err != nil || len(forks) != 1 {
		t.Errorf("%d forks are kept, %v", len(forks), err)
	}
}

// TestImportForkLeavesNoKey: the secret key of a fork is not taken.
func TestImportForkLeavesNoKey(t *testing.T) {
	pair := newPair(1)
	ours, theirs := backends()[0].create(t, pair), backends()[0].create(t, pair)
	mustAppend(t, ours, []byte("one"), []byte("two"))
	mustAppend(t, theirs, []byte("one"), []byte("2"), []byte("3"))
	s := openStore(t, nil)
	if _, err := s.Import(t.Context(), exported(t, ours, nil).Open, &engine.ImportOptions{Public: true}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Import(t.Context(), exported(t, theirs, nil).Open, nil)
	mustFail(t, err, tree.ErrFork)
	if info, err := s.Info(pair.Public.DiscoveryKey()); err != nil || info.Writable && !info.Guarded {
		t.Errorf("info %+v, %v: it could append to the wrong history", info, err)
	}
}

// TestImportMerges: a source adds what the store lacks of a feed.
func TestImportMerges(t *testing.T) {
	pair := newPair(1)
	writer := backends()[0].create(t, pair)
	blocks := testBlocks(300)
	mustAppend(t, writer, blocks[:100]...)
	early := exported(t, writer, &engine.ExportOptions{Public: true})
	mustAppend(t, writer, blocks[100:]...)
	late := exported(t, writer, nil)
	t.Run("older after newer", func(t *testing.T) {
		s := openStore(t, nil)
		f, err := s.Open(t.Context(), pair.Public, &engine.FeedOptions{Sparse: true})
		if err != nil {
			t.Fatal(err)
		}
		transfer(t, writer, f, 299, false)
		f.Close()
		got, err := s.Import(t.Context(), early.Open, nil)
		if err != nil || got.Blocks != 100 || got.Length != 300 {
			t.Errorf("imported %+v, %v", got, err)
		}
		checkClean(t, s)
	})
	t.Run("newer after older", func(t *testing.T) {
		s := openStore(t, nil)
		if _, err := s.Import(t.Context(), early.Open, nil); err != nil {
			t.Fatal(err)
		}
		got, err := s.Import(t.Context(), late.Open, nil)
		if err != nil || got.Blocks != 200 || got.Length != 300 || !got.Writable {
			t.Errorf("imported %+v, %v", got, err)
		}
		checkClean(t, s)
		f, err := s.Open(t.Context(), pair.Public, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if a, err := f.Audit(t.Context(), nil); err != nil || a.Valid != 300 {
			t.Errorf("audit %+v, %v", a, err)
		}
		// A copy of the feed was here: another one may be ahead of the source.
		if !f.Guarded() {
			t.Error("a key beside an older copy is not guarded")
		}
	})
}

// TestImportInterrupted: an import that was broken off leaves a sound store, and
// can be repeated.
func TestImportInterrupted(t *testing.T) {
	const n = 7000
	writer := createFeed(t, openStore(t, &engine.Options{Sync: engine.SyncNever}), nil)
	mustAppend(t, writer, testBlocks(n)...)
	m := exported(t, writer, nil)
	fs := vfs.NewMem()
	s := openStore(t, &engine.Options{FS: fs})
	stops := 0
	for limit := uint64(1); ; limit += 3000 {
		ctx, cancel := context.WithCancel(t.Context())
		got, err := s.Import(ctx, m.Open, &engine.ImportOptions{Progress: func(done, _ uint64) {
			if done >= limit {
				cancel()
			}
		}})
		cancel()
		checkClean(t, s)
		if err == nil {
			if got.Length != n {
				t.Errorf("imported %+v", got)
			}
			break
		}
		mustFail(t, err, context.Canceled)
		if stops++; stops > 10 {
			t.Fatal("the import makes no headway")
		}
		if f, err := s.Open(t.Context(), writer.Key(), nil); err != nil {
			t.Error(err)
		} else {
			if a, err := f.Audit(t.Context(), nil); err != nil || a.Invalid > 0 {
				t.Errorf("audit %+v, %v", a, err)
			}
			if _, err := f.Append(t.Context(), []byte("x")); !errors.Is(err, engine.ErrGuarded) {
				t.Errorf("append to half a feed: %v", err)
			}
			f.Close()
		}
	}
	if stops < 2 {
		t.Errorf("interrupted %d times", stops)
	}
	f, err := s.Open(t.Context(), writer.Key(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if a, err := f.Audit(t.Context(), nil); err != nil || a.Valid != n {
		t.Errorf("audit %+v, %v", a, err)
	}
}

// TestExportInterrupted: an export that was broken off is no feed with blocks.
func TestExportInterrupted(t *testing.T) {
	f := backends()[0].create(t, newPair(1))
	mustAppend(t, f, randomBlocks(30, 100_000)...)
	ctx, cancel := context.WithCancel(t.Context())
	m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	err := f.Export(ctx, m.Open, &engine.ExportOptions{Progress: func(done, _ uint64) {
		if done > 1_500_000 {
			cancel()
		}
	}})
	mustFail(t, err, context.Canceled)
	files := readFiles(t, m.Open)
	if names := slices.Sorted(func(yield func(string) bool) {
		for n := range files {
			if !yield(n) {
				return
			}
		}
	}); slices.Contains(names, "bitfield") {
		t.Errorf("files %v", names)
	}
}
