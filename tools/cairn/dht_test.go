package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-feeds/cairn/dht"
	"github.com/cairn-feeds/cairn/tools/peers"
)

// background starts a command that is ended with a signal, at the end of the test at the latest.
func background(t *testing.T, args ...string) *process {
	t.Helper()
	p := startCommand(t, exec.Command("cairn", args...))
	t.Cleanup(func() {
		if p.ProcessState == nil {
			interrupt(t, p)
		}
		if p.err.Len() > 0 {
			t.Logf("cairn %q: %s", args, p.err.Bytes())
		}
	})
	return p
}

// interrupt ends a command, whose status must be 0.
func interrupt(t *testing.T, p *process) {
	t.Helper()
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if status, _ := p.end(t); status != 0 {
		t.Errorf("cairn %q ended with status %d", p.Args[1:], status)
	}
}

// listeningAt returns what a command says on its first line that it listens at.
func listeningAt(t *testing.T, p *process) string {
	t.Helper()
	line := p.line(t)
	at, ok := strings.CutPrefix(line, "listening ")
	if !ok {
		t.Fatalf("cairn %q began with %q", p.Args[1:], line)
	}
	return at
}

// output runs a command with some stdin, which must succeed, and returns what it prints.
func output(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "cairn", args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cairn %q: %v\n%s", args, err, stderr.Bytes())
	}
	return string(out)
}

// refused runs a command that must end with status 1 and print nothing, and returns what it says.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "cairn", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != statusFailure || stdout.Len() > 0 {
		t.Errorf("cairn %q ended with %d and printed %q", args, got, stdout.Bytes())
	}
	return stderr.String()
}

// dhtNetwork runs a bootstrap node and three persistent nodes, and returns where to start from.
func dhtNetwork(t *testing.T) (bootstrap string) {
	t.Helper()
	bootstrap = listeningAt(t, background(t, "dht", "bootstrap", "--host", "127.0.0.1", "--port", "0"))
	nodes := background(t, "dht", "node", "--nodes", "3", "--persistent", "--host", "127.0.0.1", "--bootstrap", bootstrap)
	for range 3 {
		if _, err := netip.ParseAddrPort(listeningAt(t, nodes)); err != nil {
			t.Fatal(err)
		}
	}
	return bootstrap
}

var dhtSeed = strings.Repeat("11", 32)

func TestDHTRecords(t *testing.T) {
	bootstrap := dhtNetwork(t)
	args := func(command string, more ...string) []string {
		return append([]string{"dht", command, "--host", "127.0.0.1", "--bootstrap", bootstrap}, more...)
	}
	hash := strings.TrimSpace(output(t, "", args("put", "hello")...))
	if want := dht.Hash([]byte("hello")); hash != hex.EncodeToString(want[:]) {
		t.Errorf("put printed %s", hash)
	}
	if got := output(t, "", args("get", hash)...); got != "hello" {
		t.Errorf("get printed %q", got)
	}
	var value struct {
		Hash, Key, Value, Base64 string
		Seq                      uint64
	}
	cairn(t, &value, args("get", hash, "--json")...)
	if value.Hash != hash || value.Value != "hello" {
		t.Errorf("get --json printed %+v", value)
	}
	hash = strings.TrimSpace(output(t, "\xff\x00", args("put", "-")...))
	cairn(t, &value, args("get", hash, "--json")...)
	if value.Base64 != "/wA=" {
		t.Errorf("get --json of what is no text printed %+v", value)
	}
	if got := refused(t, args("get", strings.Repeat("0", 64))...); !strings.Contains(got, "not found") {
		t.Errorf("get of nothing: %s", got)
	}

	seed := filepath.Join(t.TempDir(), "seed.hex")
	if err := os.WriteFile(seed, []byte(dhtSeed+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(output(t, "", args("mput", "one", "--seed", "@"+seed, "--seq", "1")...))
	output(t, "", args("mput", "two", "--seed", dhtSeed, "--seq", "2")...)
	if got := output(t, "", args("mget", key, "--latest")...); got != "two" {
		t.Errorf("mget printed %q", got)
	}
	cairn(t, &value, args("mget", key, "--json")...)
	if value.Key != key || value.Seq != 2 || value.Value != "two" {
		t.Errorf("mget --json printed %+v", value)
	}
	for _, seq := range []string{"1", "2"} {
		if got := refused(t, args("mput", "another", "--seed", dhtSeed, "--seq", seq)...); !strings.Contains(got, "seq") {
			t.Errorf("mput with an old seq: %s", got)
		}
	}
	refused(t, args("mget", strings.Repeat("0", 64))...)
	if got := refused(t, args("mput", "x", "--seed", "12")...); !strings.Contains(got, "64 digits") {
		t.Errorf("mput with a bad seed: %s", got)
	}
}

// A network of commands is one that real clients use, and commands use theirs.
func TestDHTInterop(t *testing.T) {
	t.Run("network=ours", func(t *testing.T) {
		p := peers.Start(t, peers.HyperDHT6)
		bootstrap := dhtNetwork(t)
		at := netip.MustParseAddrPort(bootstrap)
		p.Do(t, "node", peers.Args{"node": "n", "bootstrap": []any{peers.Args{"host": at.Addr().String(), "port": at.Port()}}})
		dhtInterop(t, p, bootstrap)
	})
	t.Run("network=theirs", func(t *testing.T) {
		p := peers.Start(t, peers.HyperDHT6)
		var nodes []struct {
			Host string
			Port uint16
		}
		if err := p.Do(t, "testnet", nil).Decode("bootstrap", &nodes); err != nil {
			t.Fatal(err)
		}
		p.Do(t, "node", peers.Args{"node": "n"})
		dhtInterop(t, p, netip.AddrPortFrom(netip.MustParseAddr(nodes[0].Host), nodes[0].Port).String())
	})
}

func dhtInterop(t *testing.T, p *peers.Peer, bootstrap string) {
	args := func(command string, more ...string) []string {
		return append([]string{"dht", command, "--host", "127.0.0.1", "--bootstrap", bootstrap}, more...)
	}
	run := func(command string, more ...string) string {
		t.Helper()
		return strings.TrimSpace(output(t, "", args(command, more...)...))
	}

	hash := run("put", "from a command")
	if m := p.Do(t, "immutableGet", peers.Args{"node": "n", "hash": hash}); string(m.Bytes("value")) != "from a command" {
		t.Errorf("they got %v", m)
	}
	hash = p.Do(t, "immutablePut", peers.Args{"node": "n", "value": peers.Hex([]byte("from them"))}).Text("hash")
	if got := run("get", hash); got != "from them" {
		t.Errorf("get printed %q", got)
	}

	key := run("mput", "one", "--seed", dhtSeed, "--seq", "1")
	if m := p.Do(t, "mutableGet", peers.Args{"node": "n", "publicKey": key}); string(m.Bytes("value")) != "one" || m.Int("seq") != 1 {
		t.Errorf("they got %v", m)
	}
	p.Do(t, "mutablePut", peers.Args{"node": "n", "seed": dhtSeed, "seq": 2, "value": peers.Hex([]byte("two"))})
	if got := run("mget", key, "--latest"); got != "two" {
		t.Errorf("mget printed %q", got)
	}

	topic := peers.Hex(bytes.Repeat([]byte{7}, 32))
	other := p.Do(t, "listen", peers.Args{"node": "n", "server": "other", "echo": true}).Text("publicKey")
	p.Do(t, "announce", peers.Args{"node": "n", "topic": topic, "seed": strings.Repeat("22", 32)})
	run("announce", topic, "--seed", dhtSeed)
	theirs := dht.KeyPairFromSeed([32]byte(bytes.Repeat([]byte{0x22}, 32))).Public.String()
	found := strings.Fields(run("lookup", topic))
	if len(found) != 2 || !strings.Contains(strings.Join(found, " "), key) || !strings.Contains(strings.Join(found, " "), theirs) {
		t.Errorf("lookup printed %q", found)
	}
	var they map[string]any
	if err := p.Do(t, "lookup", peers.Args{"node": "n", "topic": topic}).Decode("peers", &they); err != nil || len(they) != 2 {
		t.Errorf("they found %v, %v", they, err)
	}
	run("unannounce", topic, "--seed", dhtSeed)
	if got := run("lookup", topic); got != theirs {
		t.Errorf("lookup printed %q", got)
	}

	// connect, to their echo.
	text := strings.Repeat("there and back\n", 100_000)
	if got := output(t, text, args("connect", other)...); got != text {
		t.Errorf("connect printed %d bytes of %d", len(got), len(text))
	}
	p.Do(t, "unlisten", peers.Args{"server": "other"})

	// listen, with echo and with a pipe.
	echo := background(t, args("listen", "--echo", "--seed", dhtSeed)...)
	if got := listeningAt(t, echo); got != key {
		t.Errorf("listening %s", got)
	}
	conn := p.Do(t, "connect", peers.Args{"node": "n", "publicKey": key, "autoEnd": false}).Text("conn")
	p.Await(t, "open", peers.Args{"conn": conn})
	p.Do(t, "write", peers.Args{"conn": conn, "data": peers.Hex([]byte("hello"))})
	if m := p.Await(t, "data", peers.Args{"conn": conn}); string(m.Bytes("data")) != "hello" {
		t.Errorf("they got %v", m)
	}
	p.Do(t, "end", peers.Args{"conn": conn})
	p.Await(t, "end", peers.Args{"conn": conn})
	p.Await(t, "conn-close", peers.Args{"conn": conn})
	if got := echo.line(t); !strings.HasPrefix(got, "connection ") {
		t.Errorf("listen printed %q", got)
	}
	interrupt(t, echo)

	pipe := exec.CommandContext(t.Context(), "cairn", args("listen", "--pipe", "--json")...)
	pipe.Stdin = strings.NewReader("from stdin")
	stdout, err := pipe.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := pipe.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(stdout)
	first, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	at, ok := strings.CutPrefix(strings.TrimSpace(first), `{"listening":"`)
	if !ok {
		t.Fatalf("listen --json began with %q", first)
	}
	conn = p.Do(t, "connect", peers.Args{"node": "n", "publicKey": strings.TrimSuffix(at, `"}`), "autoEnd": false}).Text("conn")
	p.Await(t, "open", peers.Args{"conn": conn})
	p.Do(t, "write", peers.Args{"conn": conn, "data": peers.Hex([]byte("to stdout"))})
	p.Do(t, "end", peers.Args{"conn": conn})
	if m := p.Await(t, "data", peers.Args{"conn": conn}); string(m.Bytes("data")) != "from stdin" {
		t.Errorf("they got %v", m)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "to stdout" {
		t.Errorf("listen --pipe printed %q, %v", got, err)
	}
	if err := pipe.Wait(); err != nil {
		t.Error(err)
	}
}

// Records survive a restart of a node with a store.
func TestDHTStore(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	bootstrap := listeningAt(t, background(t, "dht", "bootstrap", "--port", "0"))
	run := func(port string) (*process, string) {
		p := background(t, "dht", "node", "--persistent", "--host", "127.0.0.1", "--port", port, "--bootstrap", bootstrap, "--store", store)
		return p, listeningAt(t, p)
	}
	node, at := run("0")
	hash := strings.TrimSpace(output(t, "", "dht", "put", "kept", "--bootstrap", bootstrap))
	interrupt(t, node)
	// At another address it would be another node, which takes longer to find.
	run(strings.TrimPrefix(at, "127.0.0.1:"))
	if got := output(t, "", "dht", "get", hash, "--bootstrap", bootstrap); got != "kept" {
		t.Errorf("get printed %q", got)
	}
}
