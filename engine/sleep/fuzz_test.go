package sleep_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// FuzzOpen opens files of anybody's making: it may refuse them, but nothing must
// panic or take memory without bound, and what it accepts it accepts again.
func FuzzOpen(f *testing.F) {
	small := loadSmall(f)
	for name := range small.Variants {
		files := small.wantFiles(f, name)
		// Short blocks leave more to mutate in the rest.
		f.Add(files["bitfield"], files["tree"], files["signatures"], files["data"][:700], true)
		f.Add(files["bitfield"][:32], files["tree"], files["signatures"], files["data"], true)
		f.Add(files["bitfield"], files["tree"][:400], files["signatures"][:400], files["data"][:10], false)
	}
	f.Add([]byte{}, []byte{}, []byte{}, []byte{}, false)
	f.Add(sleep.AppendBitfieldHeader(nil, sleep.OldIndexSize), sleep.AppendTreeHeader(nil), sleep.AppendSignaturesHeader(nil), []byte("x"), true)
	key, secret := small.PublicKey, small.secret(f)
	f.Fuzz(func(t *testing.T, bitfield, treeFile, signatures, data []byte, writable bool) {
		files := map[string][]byte{"bitfield": bitfield, "tree": treeFile, "signatures": signatures, "data": data, "key": key[:]}
		if writable {
			files["secret_key"] = secret[:]
		}
		memory := stored(t, files)

		look, err := sleep.Open(t.Context(), memory.Open, sleep.Options{Inspect: true})
		if err == nil {
			readAll(t, look)
			look.Close()
		} else if !errors.Is(err, sleep.ErrUnsupportedVersion) {
			t.Fatalf("inspect: %v", err)
		}

		feed, err := sleep.Open(t.Context(), memory.Open, sleep.Options{})
		if err != nil {
			if !errors.Is(err, sleep.ErrUnsupportedVersion) && !errors.Is(err, sleep.ErrDamaged) {
				t.Fatalf("open: %v", err)
			}
			return
		}
		defer func() { feed.Close() }()
		readAll(t, feed)
		was := summary(feed)
		feed.Close()
		if feed, err = sleep.Open(t.Context(), memory.Open, sleep.Options{}); err != nil {
			t.Fatalf("second opening: %v", err)
		}
		if got := summary(feed); got != was {
			t.Fatalf("second opening found %s, the first %s", got, was)
		}
		if cleared, err := feed.Clear(3, 5); err != nil || cleared > 2 || feed.HasBlock(3) || feed.HasBlock(4) {
			t.Fatalf("Clear(3, 5) = %d, %v", cleared, err)
		}
		if !writable {
			return
		}
		// Whatever is there, the feed goes on behind it.
		length := feed.Length()
		w := newWriter(t, feed)
		w.append([]byte("next"))
		was = summary(feed)
		feed.Close()
		if feed, err = sleep.Open(t.Context(), memory.Open, sleep.Options{}); err != nil {
			t.Fatalf("opening after an append: %v", err)
		}
		if got := summary(feed); got != was {
			t.Fatalf("opening after an append found %s, want %s", got, was)
		}
		if b, err := feed.ReadBlock(nil, length); err != nil || string(b) != "next" {
			t.Fatalf("block %d is %q, %v", length, b, err)
		}
	})
}

// readAll reads all that the files say they hold.
func readAll(t *testing.T, f *sleep.Files) {
	t.Helper()
	if _, err := f.Verify(t.Context(), sleep.VerifyOptions{Workers: 1, OnProblem: func(p sleep.Problem) { _ = p.String() }}); err != nil {
		t.Fatalf("verify: %v", err)
	}
	damage := func(what string, err error) {
		if err != nil && !errors.Is(err, sleep.ErrDamaged) && !errors.Is(err, sleep.ErrNoSignature) &&
			!errors.Is(err, tree.ErrUnknownNode) && !errors.Is(err, tree.ErrMissingRoots) && !errors.Is(err, tree.ErrSize) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for run := range f.Blocks(0, f.Length()) {
		for n := run.Start; n < run.End; n++ {
			b, err := f.ReadBlock(nil, n)
			damage(fmt.Sprint("block ", n), err)
			if len(b) > 1<<20 {
				t.Fatalf("block %d has %d bytes", n, len(b))
			}
			_, _, err = f.NextSignature(n)
			damage(fmt.Sprint("signature ", n), err)
		}
	}
}

// FuzzHeader opens a feed whose headers are the input, which is either the one
// that belongs there, the beginning of it, or refused.
func FuzzHeader(f *testing.F) {
	f.Add([]byte{5, 2, 0x57})
	f.Add(sleep.AppendTreeHeader(nil))
	f.Add(sleep.AppendBitfieldHeader(nil, sleep.OldIndexSize))
	f.Add(sleep.AppendBitfieldHeader(nil, 1<<15))
	f.Fuzz(func(t *testing.T, header []byte) {
		for name, good := range map[string][]byte{
			"tree": sleep.AppendTreeHeader(nil), "signatures": sleep.AppendSignaturesHeader(nil), "bitfield": nil,
		} {
			memory := stored(t, map[string][]byte{name: header, "key": make([]byte, 32)})
			feed, err := sleep.Open(t.Context(), memory.Open, sleep.Options{Key: [32]byte{1}})
			if err != nil {
				var he *sleep.HeaderError
				if !errors.As(err, &he) && !errors.Is(err, sleep.ErrDamaged) || he != nil && he.File != name {
					t.Fatalf("%s: %v", name, err)
				}
				continue
			}
			if name == "bitfield" {
				good = sleep.AppendBitfieldHeader(nil, feed.IndexSize())
			}
			feed.Close()
			if got := contents(t, memory.Open)[name]; !bytes.HasPrefix(got, good) {
				t.Fatalf("%s: header is %x", name, got[:min(32, len(got))])
			}
		}
	})
}
