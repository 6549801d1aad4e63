package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"

	"github.com/cairn-feeds/cairn/tools/peers"
)

// addStatic makes a static feed of count blocks that both sides can make, and returns its id.
func addStatic(t *testing.T, store string, count, size int) string {
	t.Helper()
	blocks := filepath.Join(t.TempDir(), "blocks")
	if err := os.WriteFile(blocks, pattern(0, count, size), 0o600); err != nil {
		t.Fatal(err)
	}
	var added staticInfo
	cairn(t, &added, "static", "add", blocks, "--block-size", strconv.Itoa(size), "--store", store, "--json")
	if added.Blocks != uint64(count) || !added.Complete {
		t.Fatalf("added %+v", added)
	}
	return added.ID.String()
}

// endBySignal ends a listener, which has to succeed.
func endBySignal(t *testing.T, p *process) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status, _ := p.end(t); status != 0 || p.err.Len() > 0 {
		t.Errorf("a signal ended the listener with %d: %s", status, p.err.Bytes())
	}
}

// Static feeds are exchanged with hypercore 1: in both roles and directions.
func TestStaticReplicateReference(t *testing.T) {
	p := peers.Start(t, peers.Hypercore1)
	p.Do(t, "core", peers.Args{"extensions": []string{}})
	const count, size = 300, 40
	theirs := p.Do(t, "create", peers.Args{"count": count, "size": size}).Text("id")

	// They listen: we fetch.
	port := p.Do(t, "listen", nil).Int("port")
	store := filepath.Join(t.TempDir(), "fetched")
	var answer staticReplicated
	cairn(t, &answer, "static", "replicate", "--connect", address(port), theirs, "--store", store, "--json")
	if len(answer.Feeds) != 1 || !answer.Feeds[0].Complete || answer.Feeds[0].Blocks != count {
		t.Errorf("fetched %+v", answer)
	}
	if got := cairnBytes(t, "static", "cat", theirs, "--store", store); !bytes.Equal(got, pattern(0, count, size)) {
		t.Errorf("%d bytes came, and not those of the peer", len(got))
	}

	// They listen and want ours: we end when they have it.
	const more = count + 1
	store = filepath.Join(t.TempDir(), "pushed")
	ours := addStatic(t, store, more, size)
	p.Do(t, "want", peers.Args{"id": ours, "quiet": true})
	cairn(t, nil, "static", "replicate", "--connect", address(port), "--store", store, "--json")
	for i := range more {
		if !p.Do(t, "has", peers.Args{"id": ours, "block": i}).Bool("has") {
			t.Fatalf("the peer lacks block %d", i)
		}
	}

	// We listen: they fetch one feed and we another.
	store = filepath.Join(t.TempDir(), "listening")
	ours = addStatic(t, store, count+2, size)
	c, at := listen(t, "static", "replicate", theirs, "--store", store)
	p.Do(t, "want", peers.Args{"id": ours, "quiet": true})
	p.Do(t, "connect", peers.Args{"port": at})
	if got := p.Do(t, "get", peers.Args{"id": ours, "block": count + 1}).Bytes("value"); !bytes.Equal(got, peers.Pattern(count+1, size)) {
		t.Errorf("the last block is %x", got)
	}
	for i := range count + 2 {
		p.Do(t, "get", peers.Args{"id": ours, "block": i})
	}
	endBySignal(t, c)
	requireClosed(t, store)
}

// Two processes of the command; the listener serves one after the other, and says in JSON where.
func TestStaticReplicate(t *testing.T) {
	from := filepath.Join(t.TempDir(), "from")
	id := addStatic(t, from, 100, 30)
	other := addStatic(t, from, 7, 30)
	p, port := listen(t, "static", "replicate", "--store", from)
	for _, name := range []string{"one", "two"} {
		to := filepath.Join(t.TempDir(), name)
		out := string(cairnBytes(t, "static", "replicate", "--connect", address(port), id, other, "--store", to))
		if !strings.Contains(out, id+" 100 blocks, 3000 bytes\n") && !strings.Contains(out, id+" 100 blocks, 3,000 bytes\n") {
			t.Errorf("printed %q", out)
		}
		if got := cairnBytes(t, "static", "cat", other, "--store", to); !bytes.Equal(got, pattern(0, 7, 30)) {
			t.Errorf("%s has %d bytes", name, len(got))
		}
		// Again, with nothing to do.
		cairn(t, nil, "static", "replicate", "--connect", address(port), id, "--store", to, "--json")
	}
	// What nobody has is a failure.
	cmd := exec.CommandContext(t.Context(), "cairn", "static", "replicate", "--connect", address(port), strings.Repeat("ab", 32), "--store", filepath.Join(t.TempDir(), "three"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 1 || !strings.Contains(stderr.String(), "nothing of "+strings.Repeat("ab", 32)+" came") {
		t.Errorf("fetching what nobody has: %v, %s", err, stderr.Bytes())
	}
	endBySignal(t, p)

	j := start(t, "static", "replicate", "--listen", "127.0.0.1:0", "--json", "--store", from)
	if line := j.line(t); !strings.HasPrefix(line, `{"listening":"127.0.0.1:`) {
		t.Errorf("the first line is %q", line)
	}
	endBySignal(t, j)
}

// The database of hypercore 1 in the vectors is imported, with what is damaged left out.
func TestStaticImport(t *testing.T) {
	b, err := os.ReadFile("../../engine/static/testdata/hypercore1.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Sessions struct {
			TwoBlocks struct {
				ID      string
				Storage struct{ A map[string]string }
			}
		}
	}
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "hypercore.db")
	db, err := leveldb.OpenFile(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range vectors.Sessions.TwoBlocks.Storage.A {
		value, err := hex.DecodeString(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Put([]byte(k), value, nil); err != nil {
			t.Fatal(err)
		}
	}
	bad := "!feeds!" + strings.Repeat("00", 32)
	if err := db.Put([]byte(bad), []byte{1}, nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(t.TempDir(), "store")
	cmd := exec.CommandContext(t.Context(), "cairn", "static", "import", dir, "--store", store)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 1 || string(out) != vectors.Sessions.TwoBlocks.ID+"\n" {
		t.Errorf("printed %q, %v", out, err)
	}
	if !strings.Contains(stderr.String(), "corrupt") {
		t.Errorf("complained %q", stderr.String())
	}
	if got := cairnBytes(t, "static", "cat", vectors.Sessions.TwoBlocks.ID, "--store", store); string(got) != "helloworld" {
		t.Errorf("imported %q", got)
	}
}
