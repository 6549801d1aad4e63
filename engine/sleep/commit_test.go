package sleep_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/randomaccess/randomaccesstest"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// TestInvalidChange commits what must not be, and finds nothing changed.
func TestInvalidChange(t *testing.T) {
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	w := openWriter(t, memory.Open, sleep.Options{})
	w.append([]byte("zero"), []byte("one"), []byte("two"))
	good := w.change([]byte("three"), []byte("four"))
	w.Close()
	before := contents(t, memory.Open)
	f := open(t, memory.Open, sleep.Options{})

	edit := func(f func(*sleep.Change)) sleep.Change {
		c := good
		c.Blocks = append([]sleep.Block(nil), c.Blocks...)
		c.Nodes = append([]tree.Node(nil), c.Nodes...)
		c.Signatures = append([]sleep.SlotSignature(nil), c.Signatures...)
		f(&c)
		return c
	}
	for name, c := range map[string]sleep.Change{
		"too long":                  edit(func(c *sleep.Change) { c.Length = tree.MaxLength + 1 }),
		"missing root":              edit(func(c *sleep.Change) { c.Length = 8 }),
		"node behind the length":    edit(func(c *sleep.Change) { c.Nodes[0].Index = 10 }),
		"parent behind the length":  edit(func(c *sleep.Change) { c.Nodes[0].Index = 7 }),
		"huge node":                 edit(func(c *sleep.Change) { c.Nodes[0].Index = 1<<64 - 1 }),
		"blank node":                edit(func(c *sleep.Change) { c.Nodes[0].Hash = tree.Hash{} }),
		"oversized node":            edit(func(c *sleep.Change) { c.Nodes[0].Size = 1 << 60 }),
		"two nodes for one":         edit(func(c *sleep.Change) { c.Nodes = append(c.Nodes, c.Nodes[0]); c.Nodes[0].Size++ }),
		"sizes overflow":            edit(func(c *sleep.Change) { c.Nodes[len(c.Nodes)-1].Size = tree.MaxSize }),
		"signature behind":          edit(func(c *sleep.Change) { c.Signatures[0].Slot = 5 }),
		"blank signature":           edit(func(c *sleep.Change) { c.Signatures[0].Signature = tree.Signature{} }),
		"block behind the length":   edit(func(c *sleep.Change) { c.Blocks[1].Index = 5 }),
		"block behind the bytes":    edit(func(c *sleep.Change) { c.Blocks[1].Offset++ }),
		"block at a huge offset":    edit(func(c *sleep.Change) { c.Blocks[1].Offset = 1<<64 - 1 }),
		"block of another size":     edit(func(c *sleep.Change) { c.Blocks[0].Data = []byte("x") }),
		"block without a leaf":      edit(func(c *sleep.Change) { c.Nodes = c.Nodes[1:] }),
		"present behind the length": edit(func(c *sleep.Change) { c.Present = []bitmap.Run{{Start: 0, End: 6}} }),
		"missing behind the length": edit(func(c *sleep.Change) { c.Missing = []bitmap.Run{{Start: 9, End: 10}} }),
	} {
		if err := f.Commit(c); !errors.Is(err, sleep.ErrInvalidChange) {
			t.Errorf("%s: %v, want ErrInvalidChange", name, err)
		}
	}
	if err := f.Commit(sleep.Change{}); err != nil {
		t.Errorf("empty change: %v", err)
	}
	f.Close()
	compareFiles(t, "after invalid changes", contents(t, memory.Open), before)
	f = open(t, memory.Open, sleep.Options{})
	if err := f.Commit(good); err != nil {
		t.Fatal(err)
	}
	if f.Length() != 5 {
		t.Errorf("length %d, want 5", f.Length())
	}
}

// TestFaults lets every operation of a change fail in turn.
func TestFaults(t *testing.T) {
	small := loadSmall(t)
	type step struct {
		name string
		run  func(*writer) error
		// after is what the feed holds when it succeeds.
		after string
	}
	const before = "11:xxxxxxxxxxx"
	for _, s := range []step{
		{"append", func(w *writer) error { return w.Commit(w.change([]byte("more"), []byte("and more"))) }, before[3:] + "xx"},
		{"clear", func(w *writer) error { return second(w.Clear(9, 11)) }, "xxxxxxxxx.."},
	} {
		for _, sync := range []bool{false, true} {
			for _, sticky := range []bool{false, true} {
				for n := int64(0); ; n++ {
					if n == 100 {
						t.Fatal("it never succeeds")
					}
					name := fmt.Sprintf("%s, sync %t, operation %d fails, sticky %t", s.name, sync, n, sticky)
					memory := stored(t, small.wantFiles(t, "mixed"))
					armed := false
					fail := randomaccesstest.FailNth(n, sticky, randomaccesstest.Fault{Part: 3})
					f := open(t, randomaccesstest.Inject(memory.Open, func(op randomaccesstest.Op) *randomaccesstest.Fault {
						if !armed {
							return nil
						}
						return fail(op)
					}), sleep.Options{Sync: sync})
					armed = true
					err := s.run(newWriter(t, f))
					armed = false
					after := fmt.Sprint(len(s.after), ":", s.after)
					if got := summary(f); err == nil && got != after || err != nil && got != before && got != after {
						t.Errorf("%s: error %v, feed %s", name, err, got)
					}
					if err != nil && !errors.Is(err, randomaccesstest.ErrInjected) {
						t.Errorf("%s: %v", name, err)
					}
					if got := summary(f); got[:2] == "11" {
						// Either nothing can be changed any more, or all goes on.
						if err := newWriter(t, f).Commit(newWriter(t, f).change([]byte("next"))); err != nil && !errors.Is(err, sleep.ErrFailed) {
							t.Errorf("%s: next change: %v", name, err)
						}
					}
					live := summary(f)
					f.Close()
					f = open(t, memory.Open, sleep.Options{})
					if got := summary(f); got != live && got != after {
						t.Errorf("%s: reopened with %s, was %s", name, got, live)
					}
					report, verr := f.Verify(t.Context(), sleep.VerifyOptions{OnProblem: func(p sleep.Problem) { t.Errorf("%s: %v", name, p) }})
					if verr != nil || !report.OK() {
						t.Errorf("%s: verify: %+v, %v", name, report, verr)
					}
					f.Close()
					if err == nil {
						break
					}
				}
			}
		}
	}
}

// summary returns the length and an x for each block that is present.
func summary(f *sleep.Files) string {
	s := fmt.Sprint(f.Length(), ":")
	for n := range f.Length() {
		s += map[bool]string{true: "x", false: "."}[f.HasBlock(n)]
	}
	return s
}

// TestModel compares a feed, and a replica of it, with plain slices.
func TestModel(t *testing.T) {
	small := loadSmall(t)
	rapid.Check(t, func(r *rapid.T) {
		sync := rapid.Bool().Draw(r, "sync")
		opts := sleep.Options{Key: small.PublicKey, SecretKey: small.secret(t), Sync: sync}
		sides := [2]*randomaccess.Memory{}
		for i := range sides {
			sides[i] = randomaccess.NewMemory(randomaccess.MemoryOptions{})
		}
		w := openWriter(t, sides[0].Open, opts)
		replica := open(t, sides[1].Open, sleep.Options{Key: small.PublicKey, Sync: sync})
		defer func() { w.Close(); replica.Close() }()
		var blocks [][]byte
		var present [2]map[uint64]bool
		for i := range present {
			present[i] = map[uint64]bool{}
		}
		seen := uint64(0) // length of the replica
		index := func(r *rapid.T) uint64 {
			if len(blocks) == 0 {
				r.Skip("no blocks")
			}
			return rapid.Uint64Range(0, uint64(len(blocks)-1)).Draw(r, "index")
		}
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) {
				batch := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 20), 1, 10).Draw(r, "blocks")
				for i := range batch {
					present[0][uint64(len(blocks)+i)] = true
				}
				blocks = append(blocks, batch...)
				w.append(batch...)
			},
			"download": func(r *rapid.T) {
				i := index(r)
				hashOnly := rapid.Bool().Draw(r, "hash only") || !w.HasBlock(i)
				_, c, err := downloadChange(w.Files, replica, i, hashOnly)
				if err != nil {
					r.Fatal(err)
				}
				if err := replica.Commit(c); err != nil {
					r.Fatal(err)
				}
				seen = max(seen, c.Length)
				if !hashOnly {
					present[1][i] = true
				}
			},
			"clear": func(r *rapid.T) {
				start := index(r)
				end := start + rapid.Uint64Range(0, 12).Draw(r, "count")
				side := rapid.IntRange(0, 1).Draw(r, "side")
				f := [2]*sleep.Files{w.Files, replica}[side]
				want := uint64(0)
				for n := start; n < end; n++ {
					if present[side][n] {
						want++
					}
					present[side][n] = false
				}
				if got, err := f.Clear(start, end); err != nil || got != want {
					r.Fatalf("Clear(%d, %d) = %d, %v, want %d", start, end, got, err, want)
				}
			},
			"reopen": func(r *rapid.T) {
				w.Close()
				replica.Close()
				w = openWriter(t, sides[0].Open, opts)
				replica = open(t, sides[1].Open, sleep.Options{})
				for _, f := range []*sleep.Files{w.Files, replica} {
					if !f.Recovery().Clean() {
						r.Fatalf("recovered %+v", f.Recovery())
					}
				}
			},
			"": func(r *rapid.T) {
				for side, f := range []*sleep.Files{w.Files, replica} {
					length := []uint64{uint64(len(blocks)), seen}[side]
					checkModel(r, f, blocks[:length], present[side])
				}
			},
		})
	})
}

// checkModel compares all that f says with the model.
func checkModel(r *rapid.T, f *sleep.Files, blocks [][]byte, present map[uint64]bool) {
	length, size := uint64(len(blocks)), uint64(0)
	for n, want := range blocks {
		n := uint64(n)
		if f.HasBlock(n) != present[n] {
			r.Fatalf("HasBlock(%d) = %t", n, !present[n])
		}
		got, err := f.ReadBlock([]byte("before "), n)
		if present[n] {
			if err != nil || string(got) != "before "+string(want) {
				r.Fatalf("block %d is %q, %v, want %q", n, got, err, want)
			}
			if offset, blockSize, err := f.BlockRange(n); err != nil || offset != size || blockSize != uint64(len(want)) {
				r.Fatalf("BlockRange(%d) = %d, %d, %v, want %d, %d", n, offset, blockSize, err, size, len(want))
			}
		} else if !errors.Is(err, sleep.ErrNoBlock) {
			r.Fatalf("missing block %d: %q, %v", n, got, err)
		}
		size += uint64(len(want))
	}
	if f.Length() != length || f.ByteLength() != size {
		r.Fatalf("length %d, byte length %d, want %d, %d", f.Length(), f.ByteLength(), length, size)
	}
	start := rapid.Uint64Range(0, length+2).Draw(r, "start")
	end := rapid.Uint64Range(0, length+2).Draw(r, "end")
	var runs []bitmap.Run
	count := uint64(0)
	for n := start; n < end; n++ {
		if !present[n] || n >= length {
			continue
		}
		count++
		if k := len(runs); k > 0 && runs[k-1].End == n {
			runs[k-1].End++
		} else {
			runs = append(runs, bitmap.Run{Start: n, End: n + 1})
		}
	}
	if got := collect(f.Blocks(start, end)); fmt.Sprint(got) != fmt.Sprint(runs) {
		r.Fatalf("Blocks(%d, %d) = %v, want %v", start, end, got, runs)
	}
	if got := f.CountBlocks(start, end); got != count {
		r.Fatalf("CountBlocks(%d, %d) = %d, want %d", start, end, got, count)
	}
	missing := start
	for present[missing] && missing < length {
		missing++
	}
	if got := f.NextMissing(start); got != missing {
		r.Fatalf("NextMissing(%d) = %d, want %d", start, got, missing)
	}
	if slot, sig, err := f.NextSignature(start); err == nil {
		roots, err := tree.Roots(f.Tree(), slot+1)
		if err == nil {
			err = (*tree.Crypto)(nil).VerifyRoots(roots, slot+1, sig, f.Key())
		}
		if err != nil || slot < start || slot >= length {
			r.Fatalf("NextSignature(%d): slot %d, %v", start, slot, err)
		}
	} else if start < length || !errors.Is(err, sleep.ErrNoSignature) {
		r.Fatalf("NextSignature(%d) of %d: %v", start, length, err)
	}
}

func collect[T any](seq iter.Seq[T]) (all []T) {
	for v := range seq {
		all = append(all, v)
	}
	return all
}

// A static feed has its tree hash for a key and no signatures.
func TestStaticFeed(t *testing.T) {
	builder, err := tree.NewBuilder(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	blocks := [][]byte{[]byte("never"), []byte("changing"), []byte("words")}
	nodes := builder.Append(nil, blocks)
	key := tree.PublicKey(tree.TreeHash(builder.Roots()))
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	f := open(t, memory.Open, sleep.Options{Key: key})
	change := sleep.Change{Nodes: nodes, Length: 3, Blocks: []sleep.Block{{Index: 1, Offset: 5, Data: blocks[1]}}}
	if err := f.Commit(change); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		report, err := f.Verify(t.Context(), sleep.VerifyOptions{})
		if f.Live() || f.Length() != 3 || err != nil || report != (sleep.Report{Blocks: 1, Nodes: 4}) {
			t.Errorf("live %t, length %d, %+v, %v", f.Live(), f.Length(), report, err)
		}
		f.Close()
		f = open(t, memory.Open, sleep.Options{})
	}
}

// A feed whose last signature is lost goes on when it is signed again.
func TestSignAgain(t *testing.T) {
	small := loadSmall(t)
	files := small.wantFiles(t, "mixed")
	want := files["signatures"]
	files["signatures"] = want[:32+64*10]
	memory := stored(t, files)
	f := open(t, memory.Open, sleep.Options{})
	if f.Live() || f.Length() != 11 {
		t.Fatalf("live %t, length %d", f.Live(), f.Length())
	}
	sig, err := (*tree.Crypto)(nil).SignRoots(f.AppendRoots(nil), 11, small.secret(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(sleep.Change{Signatures: []sleep.SlotSignature{{Slot: 10, Signature: sig}}}); err != nil {
		t.Fatal(err)
	}
	if !f.Live() {
		t.Error("not live after it was signed")
	}
	f.Close()
	if got := contents(t, memory.Open)["signatures"]; !bytes.Equal(got, want) {
		t.Error("signatures differ")
	}
}

// Nodes reads over the bounds of its buffers and of pages, and leaves out what is
// not known.
func TestNodes(t *testing.T) {
	source := openWriter(t, randomaccess.NewMemory(randomaccess.MemoryOptions{}).Open, sleep.Options{})
	source.append(make([][]byte, 20000)...)
	replica := open(t, randomaccess.NewMemory(randomaccess.MemoryOptions{}).Open, sleep.Options{Key: source.Key()})
	for _, n := range []uint64{19999, 0, 4095, 4096, 8192, 12345} {
		download(t, source.Files, replica, n, n%2 == 0)
	}
	for _, f := range []*sleep.Files{source.Files, replica} {
		for _, r := range [][2]tree.Index{{0, 1 << 40}, {4095, 4097}, {8191, 16385}, {30000, 30000}, {20001, 40001}} {
			var want []tree.Node
			for i := r[0]; i < min(r[1], 40000); i++ {
				if f.HasNode(i) {
					n, err := f.ReadNode(i)
					if err != nil {
						t.Fatal(err)
					}
					want = append(want, n)
				}
			}
			var got []tree.Node
			for n, err := range f.Nodes(r[0], r[1]) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, n)
			}
			if !slices.Equal(got, want) {
				t.Errorf("nodes %v: got %d, want %d", r, len(got), len(want))
			}
		}
	}
}

// What a batch of a crashed process left behind does not show in later ones.
func TestCutTails(t *testing.T) {
	small := loadSmall(t)
	files := small.wantFiles(t, "mixed")
	want := stored(t, files)
	open(t, want.Open, sleep.Options{}).Close()
	for name, tail := range map[string]int{"data": 100, "tree": 400, "signatures": 640, "bitfield": 3584} {
		files[name] = append(bytes.Clone(files[name]), bytes.Repeat([]byte{0xee}, tail)...)
	}
	// Bits of a page past the tree mean nothing, but for tree bits: those are damage.
	clear(files["bitfield"][32+3584+1024:][:2048])
	got := stored(t, files)
	for _, memory := range []*randomaccess.Memory{want, got} {
		w := openWriter(t, memory.Open, sleep.Options{})
		if behind := memory == got; w.Recovery() != (sleep.Recovery{Stored: 11, Length: 11, Behind: behind}) {
			t.Errorf("recovery %+v", w.Recovery())
		}
		w.append([]byte("a"))
		w.append([]byte("b"), []byte("c"))
		w.Close()
	}
	compareFiles(t, "with tails", contents(t, got.Open), contents(t, want.Open))
}

// A change that is seen only in part by a reader is never longer than the length.
func TestConcurrentReaders(t *testing.T) {
	w := openWriter(t, randomaccess.NewMemory(randomaccess.MemoryOptions{}).Open, sleep.Options{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			if err := w.Commit(w.change([]byte("some"), []byte("more"), []byte("blocks"))); err != nil {
				t.Error(err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		length, byteLength, roots := w.Head()
		sum := uint64(0)
		for _, n := range roots {
			sum += n.Size
		}
		if sum != byteLength || w.CountBlocks(0, length) != length {
			t.Fatalf("length %d with %d blocks, byte length %d, roots of %d", length, w.CountBlocks(0, length), byteLength, sum)
		}
		if length > 0 {
			if b, err := w.ReadBlock(nil, length-1); err != nil || string(b) != "blocks" {
				t.Fatalf("block %d is %q, %v", length-1, b, err)
			}
			proof, err := tree.Prove(w.Tree(), w.ReadSignature, 0, 0, false)
			if err != nil {
				t.Fatal(err)
			}
			v := tree.Verifier{Reader: tree.NodeMap(nil), Key: w.Key()}
			if _, err := v.Block(0, []byte("some"), proof); err != nil {
				t.Fatal(err)
			}
		}
	}
}
