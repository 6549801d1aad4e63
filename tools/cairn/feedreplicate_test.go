package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/tools/peers"
)

// listen starts a command that listens and returns its port.
func listen(t *testing.T, args ...string) (*process, int) {
	t.Helper()
	p := start(t, append(args, "--listen", "127.0.0.1:0")...)
	address, ok := strings.CutPrefix(p.line(t), "listening ")
	if !ok {
		t.Fatalf("the first line is %q", address)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return p, n
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// replicateWith replicates a feed of a store with a real peer, in either role, and waits until the command ends well.
func replicateWith(t *testing.T, p *peers.Peer, id, store, feed string, connect bool, args ...string) {
	t.Helper()
	args = append([]string{"feed", "replicate", feed, "--store", store}, args...)
	with := peers.Args{"feeds": []string{id}, "live": true} // we must end although it would stay
	for _, arg := range args {
		if arg == "--plain" {
			with["opts"] = map[string]bool{"encrypted": false, "noise": false}
		}
	}
	var c *process
	if connect {
		port := p.Do(t, "listen", with).Int("port")
		c = start(t, append(args, "--connect", address(port))...)
	} else {
		var port int
		c, port = listen(t, args...)
		with["port"] = port
		p.Do(t, "connect", with)
	}
	if status, rest := c.end(t); status != 0 || c.err.Len() > 0 || len(rest) != 1 {
		t.Fatalf("ended with %d and %q: %s", status, rest, c.err.Bytes())
	}
	p.Await(t, "stream-close", nil)
	requireClosed(t, store)
}

// cairnBytes runs the command and returns what it writes to stdout.
func cairnBytes(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "cairn", args...)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cairn %q: %v", args, err)
	}
	return out
}

// pattern is the content of a feed that was filled with blocks that both sides can make.
func pattern(start, end, size int) []byte {
	var b []byte
	for i := start; i < end; i++ {
		b = append(b, peers.Pattern(uint64(i), size)...)
	}
	return b
}

type feedState struct {
	Key                string
	Length, Downloaded int
}

func state(t *testing.T, store, feed string) (s feedState) {
	t.Helper()
	cairn(t, &s, "feed", "info", feed, "--json", "--store", store)
	return s
}

// A feed is exchanged with hypercore 9: in both roles, in both directions, with and without encryption.
func TestReplicateReference(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	const count, size = 700, 50
	for _, connect := range []bool{true, false} {
		for _, flags := range [][]string{nil, {"--plain"}} {
			t.Run(fmt.Sprintf("connect=%v%v", connect, flags), func(t *testing.T) {
				theirs := "theirs" + t.Name()
				p.Do(t, "open", peers.Args{"id": theirs, "quiet": true})
				key := p.Do(t, "fill", peers.Args{"id": theirs, "count": count, "size": size}).Text("key")
				store := newStore(t, "ours")
				cairn(t, nil, "feed", "add", key, "theirs", "--store", store)
				replicateWith(t, p, theirs, store, "theirs", connect, flags...)
				if got := cairnBytes(t, "feed", "cat", "theirs", "--store", store); !bytes.Equal(got, pattern(0, count, size)) {
					t.Errorf("%d bytes came, and not those of the peer", len(got))
				}

				ours := "ours" + t.Name()
				blocks := t.TempDir() + "/blocks"
				if err := os.WriteFile(blocks, pattern(0, count, size), 0o600); err != nil {
					t.Fatal(err)
				}
				cairn(t, nil, "feed", "append", "ours", blocks, "--block-size", fmt.Sprint(size), "--store", store)
				p.Do(t, "open", peers.Args{"id": ours, "quiet": true, "key": state(t, store, "ours").Key})
				replicateWith(t, p, ours, store, "ours", connect, flags...)
				if audit := p.Do(t, "audit", peers.Args{"id": ours}); audit.Int("valid") != count || audit.Int("invalid") != 0 {
					t.Errorf("audit of the peer: %v", audit)
				}
			})
		}
	}
}

// A range is fetched exactly, and nothing but the length without one.
func TestReplicateRange(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	p.Do(t, "open", peers.Args{"id": "a"})
	key := p.Do(t, "fill", peers.Args{"id": "a", "count": 300, "size": 20}).Text("key")
	store := newStore(t)
	cairn(t, nil, "feed", "new", "--store", store)
	cairn(t, nil, "feed", "add", key, "a", "--store", store)
	replicateWith(t, p, "a", store, "a", true, "--sparse")
	if s := state(t, store, "a"); s.Length != 300 || s.Downloaded != 0 {
		t.Errorf("sparse: %+v", s)
	}
	for _, connect := range []bool{true, false} {
		replicateWith(t, p, "a", store, "a", connect, "--range", "100:110")
		if s := state(t, store, "a"); s.Length != 300 || s.Downloaded != 10 {
			t.Errorf("range: %+v", s)
		}
		got := cairnBytes(t, "feed", "cat", "a", "--start", "100", "--end", "110", "--store", store)
		if !bytes.Equal(got, pattern(100, 110, 20)) {
			t.Error("the range is not what the peer has")
		}
	}
	for range 10 {
		if i := p.Await(t, "upload", peers.Args{"id": "a"}).Int("index"); i < 100 || i >= 110 {
			t.Errorf("block %d was asked for", i)
		}
	}
}

// A range that the remote does not have all of is a failure that says so.
func TestReplicateLacking(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	p.Do(t, "open", peers.Args{"id": "a", "quiet": true})
	key := p.Do(t, "fill", peers.Args{"id": "a", "count": 30, "size": 20}).Text("key")
	p.Do(t, "clear", peers.Args{"id": "a", "start": 7, "end": 9})
	port := p.Do(t, "listen", peers.Args{"feeds": []string{"a"}, "live": true}).Int("port")
	store := newStore(t)
	cairn(t, nil, "feed", "new", "--store", store)
	cairn(t, nil, "feed", "add", key, "a", "--store", store)
	c := start(t, "feed", "replicate", "a", "--connect", address(port), "--range", "5:10", "--store", store)
	want := "the remote does not have all blocks: 2 of 5 blocks still missing, the first is 7"
	if status, _ := c.end(t); status != 1 || !strings.Contains(c.err.String(), want) {
		t.Errorf("ended with %d: %s", status, c.err.Bytes())
	}
	if s := state(t, store, "a"); s.Downloaded != 3 {
		t.Errorf("%+v", s)
	}
}

// A real peer that has another feed says nothing about ours, or refuses it.
func TestReplicateOther(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	p.Do(t, "open", peers.Args{"id": "a", "quiet": true})
	p.Do(t, "fill", peers.Args{"id": "a", "count": 3, "size": 20})
	var running []*process
	for _, live := range []bool{true, false} {
		for _, flags := range [][]string{nil, {"--plain"}} {
			with := peers.Args{"feeds": []string{"a"}, "live": live}
			if flags != nil {
				with["opts"] = map[string]bool{"encrypted": false, "noise": false}
			}
			port := p.Do(t, "listen", with).Int("port")
			args := []string{"feed", "replicate", "ours", "--connect", address(port), "--store", newStore(t, "ours")}
			running = append(running, start(t, append(args, flags...)...))
		}
	}
	for _, c := range running {
		if status, _ := c.end(t); status != 1 || !strings.Contains(c.err.String(), errUnanswered.Error()) {
			t.Errorf("%v: ended with %d: %s", c.Args, status, c.err.Bytes())
		}
	}
}

// A live command follows a peer that appends, until a signal ends it with status 0.
func TestReplicateLive(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("processes do not get signals here")
	}
	p := peers.Start(t, peers.Hypercore9)
	for i, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		id := fmt.Sprint(i)
		p.Do(t, "open", peers.Args{"id": id})
		key := p.Do(t, "fill", peers.Args{"id": id, "count": 2, "size": 20}).Text("key")
		store := newStore(t)
		cairn(t, nil, "feed", "new", "--store", store)
		cairn(t, nil, "feed", "add", key, "a", "--store", store)
		args := []string{"feed", "replicate", "a", "--live", "--store", store}
		with := peers.Args{"feeds": []string{id}, "live": true}
		var c *process
		if i == 0 {
			c = start(t, append(args, "--connect", address(p.Do(t, "listen", with).Int("port")))...)
		} else {
			c, with["port"] = listen(t, args...)
			p.Do(t, "connect", with)
		}
		const last = 20
		for n := 2; n < last; n++ {
			p.Await(t, "upload", peers.Args{"id": id, "index": n - 1}) // it is up to here
			p.Do(t, "fill", peers.Args{"id": id, "count": 1, "size": 20})
		}
		p.Await(t, "upload", peers.Args{"id": id, "index": last - 1})
		time.Sleep(200 * time.Millisecond) // it is on its way
		if err := c.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if status, _ := c.end(t); status != 0 || c.err.Len() > 0 {
			t.Errorf("%v: ended with %d: %s", signal, status, c.err.Bytes())
		}
		requireClosed(t, store)
		if got := cairnBytes(t, "feed", "cat", "a", "--store", store); !bytes.Equal(got, pattern(0, last, 20)) {
			t.Errorf("%v: %d bytes came", signal, len(got))
		}
	}
}

// Two processes of the command, the listening one live: it serves one after the other.
func TestReplicateEachOther(t *testing.T) {
	from := newStore(t, "a")
	blocks := t.TempDir() + "/blocks"
	if err := os.WriteFile(blocks, pattern(0, 2000, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	cairn(t, nil, "feed", "append", "a", blocks, "--block-size", "100", "--store", from)
	key := state(t, from, "a").Key
	server, port := listen(t, "feed", "replicate", "a", "--live", "--store", from)
	for range 3 {
		to := newStore(t, "other")
		cairn(t, nil, "feed", "add", key, "a", "--store", to)
		var r struct{ Length, Downloaded, ReceivedBlocks, ReceivedBytes, SentBlocks int }
		cairn(t, &r, "feed", "replicate", "a", "--connect", address(port), "--json", "--store", to)
		if r.Length != 2000 || r.Downloaded != 2000 || r.ReceivedBlocks != 2000 || r.ReceivedBytes != 200_000 || r.SentBlocks != 0 {
			t.Errorf("%+v", r)
		}
		if got := cairnBytes(t, "feed", "cat", "a", "--store", to); !bytes.Equal(got, pattern(0, 2000, 100)) {
			t.Errorf("%d bytes came", len(got))
		}
		// Another feed is refused, and the other processes are not harmed.
		c := start(t, "feed", "replicate", "other", "--connect", address(port), "--store", to)
		if status, _ := c.end(t); status != 1 || !strings.Contains(c.err.String(), "remote refuses the feed") {
			t.Errorf("another feed: ended with %d: %s", status, c.err.Bytes())
		}
	}
	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if status, _ := server.end(t); status != 0 {
		t.Errorf("the server ended with %d: %s", status, server.err.Bytes())
	}
	requireClosed(t, from)
}

// A listener that nobody comes to ends well by a signal; a connecting command that is not live does not.
func TestReplicateSignal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("processes do not get signals here")
	}
	store := newStore(t, "a")
	c, _ := listen(t, "feed", "replicate", "a", "--store", store)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status, _ := c.end(t); status != 0 || c.err.Len() > 0 {
		t.Errorf("ended with %d: %s", status, c.err.Bytes())
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c = start(t, "feed", "replicate", "a", "--connect", silent.Addr().String(), "--store", store)
	conn, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status, _ := c.end(t); status != 1 || !strings.Contains(c.err.String(), "ended by a signal") {
		t.Errorf("ended with %d: %s", status, c.err.Bytes())
	}
	requireClosed(t, store)
}

// A machine gets the address as an object.
func TestReplicateListeningJSON(t *testing.T) {
	c := start(t, "feed", "replicate", "a", "--listen", "127.0.0.1:0", "--json", "--store", newStore(t, "a"))
	var l struct{ Listening string }
	if err := json.Unmarshal([]byte(c.line(t)), &l); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", l.Listening); err != nil {
		t.Error(err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.end(t)
}
