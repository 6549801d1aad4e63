package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-feeds/cairn/tools/peers"
)

// seed1 makes the key pair key1, which is part of the vectors that hypercore 9 made.
const key1 = "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737"

var seed1 = strings.Repeat("11", 32)

// appendTo appends input to a feed.
func appendTo(t *testing.T, store, feed string, input []byte, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "cairn", append([]string{"feed", "append", feed, "--store", store}, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("append: %v: %s", err, out)
	}
}

// readFiles returns the files of a directory by name.
func readFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[d.Name()] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// The same blocks, one by one and batched, give six files that are those of hypercore 9, byte for byte. It opens, audits and
// appends to an export, and the import takes that back.
func TestExportIsHypercore9(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	blocks := []string{"hello", "", "world", "a longer block, " + strings.Repeat("long ", 1000)}
	for i := range 100 {
		blocks = append(blocks, fmt.Sprintf("block %d", i))
	}
	for _, batched := range []bool{false, true} {
		t.Run(fmt.Sprintf("batched=%v", batched), func(t *testing.T) {
			dir := t.TempDir()
			store := filepath.Join(dir, "store")
			theirs, ours := filepath.Join(dir, "theirs"), filepath.Join(dir, "ours")
			cairn(t, nil, "feed", "new", "mine", "--seed", seed1, "--store", store)
			id := func(name string) string { return fmt.Sprintf("%s %v", name, batched) }
			p.Do(t, "open", peers.Args{"id": id("theirs"), "dir": theirs, "key": key1, "secretKey": seed1 + key1})
			if batched {
				appendTo(t, store, "mine", []byte(strings.Join(blocks, "\n")+"\n"), "--lines")
				p.Do(t, "append", peers.Args{"id": id("theirs"), "blocks": hexes(blocks...)})
			} else {
				for _, b := range blocks[:20] {
					appendTo(t, store, "mine", []byte(b), "--sync", "never")
					p.Do(t, "append", peers.Args{"id": id("theirs"), "blocks": hexes(b)})
				}
			}

			// Proofs and signatures, as hypercore 9 makes them.
			var proof struct{ Nodes, Signature json.RawMessage }
			cairn(t, &proof, "feed", "proof", "mine", "5", "--json", "--store", store)
			want := p.Do(t, "proof", peers.Args{"id": id("theirs"), "index": 5})
			if !sameJSON(t, proof.Nodes, want["nodes"]) || !sameJSON(t, proof.Signature, want["signature"]) {
				t.Errorf("proof %s %s, want %s", proof.Nodes, proof.Signature, want)
			}
			length := p.Do(t, "info", peers.Args{"id": id("theirs")}).Int("length")
			signature := p.Do(t, "signature", peers.Args{"id": id("theirs")})
			cairn(t, nil, "feed", "verify", "mine", fmt.Sprint(signature.Int("index")), signature.Text("signature"), "--store", store)
			p.Do(t, "close", peers.Args{"id": id("theirs")})

			cairn(t, nil, "feed", "export", "mine", ours, "--store", store)
			got, reference := readFiles(t, ours), readFiles(t, theirs)
			if len(got) != 6 || len(reference) != 6 {
				t.Fatalf("%d files, hypercore 9 has %d", len(got), len(reference))
			}
			for name, b := range reference {
				if !bytes.Equal(got[name], b) {
					t.Errorf("%s is not what hypercore 9 wrote", name)
				}
			}

			// hypercore 9 goes on with the export.
			info := p.Do(t, "open", peers.Args{"id": id("ours"), "dir": ours})
			if info.Text("key") != key1 || info.Int("length") != length || !info.Bool("writable") {
				t.Fatalf("hypercore 9 opens the export as %s", info)
			}
			if a := p.Do(t, "audit", peers.Args{"id": id("ours")}); a.Int("valid") != length || a.Int("invalid") != 0 {
				t.Errorf("hypercore 9 audits the export: %s", a)
			}
			p.Do(t, "append", peers.Args{"id": id("ours"), "blocks": hexes("from", "javascript")})
			p.Do(t, "close", peers.Args{"id": id("ours")})

			// And back, into the store that has the rest, and into a new one.
			for _, to := range []string{store, filepath.Join(dir, "fresh")} {
				var in struct {
					Key            string
					Length, Blocks int
				}
				cairn(t, &in, "feed", "import", ours, "--json", "--store", to)
				if in.Key != key1 || in.Length != length+2 || (to == store) != (in.Blocks == 2) {
					t.Errorf("import: %+v", in)
				}
				var audit struct{ Valid, Invalid int }
				cairn(t, &audit, "feed", "audit", key1, "--json", "--store", to)
				if audit.Valid != length+2 || audit.Invalid != 0 {
					t.Errorf("audit after the import: %+v", audit)
				}
				cairn(t, nil, "feed", "verify", key1, "--store", to)
				cairn(t, nil, "check", "--store", to)
				if out, _, status := outcome(t, "feed", "get", key1, fmt.Sprint(length+1), "--store", to); status != 0 || out != "javascript" {
					t.Errorf("what hypercore 9 appended is %q, status %d", out, status)
				}
				again := filepath.Join(to, "..", filepath.Base(to)+" again")
				cairn(t, nil, "feed", "export", key1, again, "--store", to)
				for name, b := range readFiles(t, ours) {
					if !bytes.Equal(readFiles(t, again)[name], b) {
						t.Errorf("%s exported again is not what hypercore 9 wrote", name)
					}
				}
			}
		})
	}
}

func hexes(blocks ...string) []string {
	out := make([]string, len(blocks))
	for i, b := range blocks {
		out[i] = peers.Hex([]byte(b))
	}
	return out
}

// sameJSON compares two values whatever the order of their properties.
func sameJSON(t *testing.T, a, b json.RawMessage) bool {
	t.Helper()
	var values [2]any
	for i, raw := range []json.RawMessage{a, b} {
		if err := json.Unmarshal(raw, &values[i]); err != nil {
			t.Fatal(err)
		}
	}
	canonical := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	return canonical(values[0]) == canonical(values[1])
}
