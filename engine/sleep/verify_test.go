package sleep_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// inspect verifies stored files and returns what was found, by file and index.
func inspect(t *testing.T, files map[string][]byte, opts sleep.VerifyOptions) (sleep.Report, map[string]map[uint64]bool) {
	t.Helper()
	f := open(t, stored(t, files).Open, sleep.Options{Inspect: true})
	defer f.Close()
	found := map[string]map[uint64]bool{}
	opts.OnProblem = func(p sleep.Problem) {
		if found[p.File] == nil {
			found[p.File] = map[uint64]bool{}
		}
		found[p.File][p.Index] = true
	}
	report, err := f.Verify(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if report.OK() != (len(found) == 0) {
		t.Errorf("report %+v, found %v", report, found)
	}
	return report, found
}

// TestVerifyEveryByte changes one byte after the other.
func TestVerifyEveryByte(t *testing.T) {
	small := loadSmall(t)
	files := small.wantFiles(t, "mixed")
	blockAt := func(at int) uint64 {
		for n, b := range small.Blocks {
			if at -= len(b); at < 0 {
				return uint64(n)
			}
		}
		t.Fatal("past the end")
		return 0
	}
	broken := func(name string, at int) map[string][]byte {
		c := maps.Clone(files)
		c[name] = bytes.Clone(c[name])
		c[name][at] ^= 1 << (at % 8)
		return c
	}
	for at := 0; at < len(files["data"]); at += 1 + at/40 {
		_, found := inspect(t, broken("data", at), sleep.VerifyOptions{})
		if len(found) != 1 || len(found["data"]) != 1 || !found["data"][blockAt(at)] {
			t.Fatalf("data byte %d of block %d: found %v", at, blockAt(at), found)
		}
	}
	for at := 32; at < len(files["tree"]); at++ {
		i := uint64(at-32) / 40
		known := false
		for _, n := range small.Nodes {
			known = known || uint64(n.Index) == i
		}
		if !known {
			continue
		}
		if report, _ := inspect(t, broken("tree", at), sleep.VerifyOptions{}); report.OK() {
			t.Fatalf("tree byte %d of node %d: nothing found", at, i)
		}
	}
	for at := 32; at < len(files["signatures"]); at++ {
		slot := uint64(at-32) / 64
		_, found := inspect(t, broken("signatures", at), sleep.VerifyOptions{})
		if !found["signatures"][slot] {
			t.Fatalf("signatures byte %d of slot %d: found %v", at, slot, found)
		}
	}
}

func TestVerifyParts(t *testing.T) {
	small := loadSmall(t)
	files := small.wantFiles(t, "mixed") // signed at 3, 4 and 11
	clone := func(name string) []byte { return bytes.Clone(files[name]) }

	files["signatures"] = clone("signatures")
	files["signatures"][32+64*2] ^= 1
	files["data"] = clone("data")
	files["data"][0] ^= 1
	for _, c := range []struct {
		opts sleep.VerifyOptions
		want sleep.Report
	}{
		{sleep.VerifyOptions{}, sleep.Report{Blocks: 11, BadBlocks: 1, Nodes: 19, Signatures: 3, BadSignatures: 1}},
		{sleep.VerifyOptions{LastSignature: true}, sleep.Report{Blocks: 11, BadBlocks: 1, Nodes: 19, Signatures: 3, Unchecked: 2}},
		{sleep.VerifyOptions{LastSignature: true, SkipData: true, Workers: 1}, sleep.Report{Blocks: 11, Nodes: 19, Signatures: 3, Unchecked: 2}},
	} {
		if got, found := inspect(t, files, c.opts); got != c.want {
			t.Errorf("%+v: report %+v, want %+v (%v)", c.opts, got, c.want, found)
		}
	}

	// A leaf that is not known, under a block that is.
	files = small.wantFiles(t, "mixed")
	files["bitfield"] = clone("bitfield")
	files["bitfield"][32+1024] &^= 0x80 >> 4 // node 4
	_, found := inspect(t, files, sleep.VerifyOptions{})
	if !found["data"][2] || !found["tree"][6] {
		t.Errorf("without leaf 4: found %v", found)
	}

	// A feed whose signatures are lost is not proved at all.
	files = small.wantFiles(t, "mixed")
	delete(files, "signatures")
	if report, found := inspect(t, files, sleep.VerifyOptions{}); !found["signatures"][10] || report.BadNodes != 3 {
		t.Errorf("without signatures: %+v, found %v", report, found)
	}
	// One that was cut off is still inspected.
	files = small.wantFiles(t, "mixed")
	files["tree"] = files["tree"][:32+40*8]
	if report, _ := inspect(t, files, sleep.VerifyOptions{}); report.BadNodes == 0 {
		t.Errorf("with half the tree: %+v", report)
	}
}

// Nodes of a replica that only an older signature proves are proved by it.
func TestVerifyOlderRoots(t *testing.T) {
	small := loadSmall(t)
	source := openWriter(t, randomaccess.NewMemory(randomaccess.MemoryOptions{}).Open, sleep.Options{Key: small.PublicKey, SecretKey: small.secret(t)})
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	replica := open(t, memory.Open, sleep.Options{Key: small.PublicKey})
	source.append(small.blocks()[:3]...)
	download(t, source.Files, replica, 1, false)
	source.append(small.blocks()[3:]...)
	download(t, source.Files, replica, 9, false)
	replica.Close()

	files := contents(t, memory.Open)
	for _, opts := range []sleep.VerifyOptions{{}, {LastSignature: true}} {
		report, found := inspect(t, files, opts)
		if !report.OK() || report.Signatures != 2 || report.Unchecked != 0 {
			t.Errorf("%+v: %+v, found %v", opts, report, found)
		}
	}
	clear(files["signatures"][32+64*2:][:64])
	if _, found := inspect(t, files, sleep.VerifyOptions{}); !found["tree"][1] || !found["tree"][4] {
		t.Errorf("without the older signature: found %v", found)
	}
}

// Blocks that do not fit a buffer are hashed in parts.
func TestVerifyLargeBlocks(t *testing.T) {
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	w := openWriter(t, memory.Open, sleep.Options{})
	large := bytes.Repeat([]byte("large "), 1<<19)
	w.append(large, []byte("small"), large)
	w.Close()
	files := contents(t, memory.Open)
	if report, found := inspect(t, files, sleep.VerifyOptions{}); !report.OK() {
		t.Errorf("%+v, found %v", report, found)
	}
	for name, at := range map[string]int{"start": 0, "end": len(large) - 1} {
		files["data"][at] ^= 1
		if _, found := inspect(t, files, sleep.VerifyOptions{}); !found["data"][0] || len(found["data"]) != 1 {
			t.Errorf("%s of block 0: found %v", name, found)
		}
		files["data"][at] ^= 1
	}
	delete(files, "bitfield")
	f := open(t, stored(t, files).Open, sleep.Options{})
	if got, err := f.ReadBlock(nil, 2); err != nil || !bytes.Equal(got, large) {
		t.Errorf("block 2 has %d bytes, %v", len(got), err)
	}
}

func TestVerifyPages(t *testing.T) {
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	w := openWriter(t, memory.Open, sleep.Options{})
	w.append(make([][]byte, 40000)...)
	report, err := w.Verify(t.Context(), sleep.VerifyOptions{OnProblem: func(p sleep.Problem) { t.Error(p) }})
	if want := (sleep.Report{Blocks: 40000, Nodes: 2*40000 - 5, Signatures: 1}); report != want || err != nil {
		t.Errorf("%+v, %v, want %+v", report, err, want)
	}
	w.Close()
	files := contents(t, memory.Open)
	for _, i := range []tree.Index{16383, 32767, 16382, 16384, 49151} {
		files["tree"][sleep.NodeOffset(i)] ^= 1
		if _, found := inspect(t, files, sleep.VerifyOptions{}); len(found["tree"]) == 0 && len(found["signatures"]) == 0 {
			t.Errorf("node %d: found %v", i, found)
		}
		files["tree"][sleep.NodeOffset(i)] ^= 1
	}
}

// Changes go on while files are verified.
func TestVerifyConcurrent(t *testing.T) {
	w := openWriter(t, randomaccess.NewMemory(randomaccess.MemoryOptions{}).Open, sleep.Options{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := uint64(0); n < 300; n += 3 {
			if err := w.Commit(w.change([]byte("some"), []byte("more"), []byte("blocks"))); err != nil {
				t.Error(err)
			}
			if _, err := w.Clear(n+1, n+3); err != nil {
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
		report, err := w.Verify(t.Context(), sleep.VerifyOptions{OnProblem: func(p sleep.Problem) { t.Error(p) }})
		if err != nil || !report.OK() {
			t.Fatalf("%+v, %v", report, err)
		}
	}
}

func TestVerifyCancel(t *testing.T) {
	w := openWriter(t, randomaccess.NewMemory(randomaccess.MemoryOptions{}).Open, sleep.Options{})
	w.append(make([][]byte, 100)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Verify(ctx, sleep.VerifyOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Verify: %v", err)
	}
}
