package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-feeds/cairn/tools/peers"
)

// examine runs the doctor and requires a cause, with its exit status.
func examine(t *testing.T, store, feed, addr string, want cause, args ...string) diagnosis {
	t.Helper()
	c := start(t, append([]string{"doctor", feed, addr, "--json", "--timeout", "2s", "--store", store}, args...)...)
	status, lines := c.end(t)
	var d diagnosis
	if len(lines) != 1 || json.Unmarshal([]byte(lines[0]), &d) != nil {
		t.Fatalf("%q: %s", lines, c.err.Bytes())
	}
	t.Logf("%d %+v", status, d)
	if status != int(want) || d.Cause != want.String() {
		t.Errorf("status %d, %+v; want %v", status, d, want)
	}
	return d
}

// answering listens, does something with each connection, and returns its address.
func answering(t *testing.T, do func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			do(conn)
		}
	}()
	return l.Addr().String()
}

// Nobody is there, or somebody who speaks something else.
func TestDoctorStrangers(t *testing.T) {
	store := newStore(t, "a")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	examine(t, store, "a", l.Addr().String(), causeNobody)
	http := answering(t, func(c net.Conn) {
		io.ReadFull(c, make([]byte, 10))
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
		c.Close()
	})
	examine(t, store, "a", http, causeProtocol)
	examine(t, store, "a", http, causeProtocol, "--plain")
	examine(t, store, "a", answering(t, func(c net.Conn) { c.Close() }), causeProtocol)
	var held []net.Conn // or they would be closed as garbage
	examine(t, store, "a", answering(t, func(c net.Conn) { held = append(held, c) }), causeProtocol)
	c := start(t, "doctor", "a", "nowhere", "--store", store)
	if status, _ := c.end(t); status != statusFailure {
		t.Errorf("an address without a port: status %d", status)
	}
}

// The causes that a real peer has.
func TestDoctorReference(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	p.Do(t, "open", peers.Args{"id": "a", "quiet": true})
	key := p.Do(t, "fill", peers.Args{"id": "a", "count": 20, "size": 10}).Text("key")
	p.Do(t, "open", peers.Args{"id": "b", "quiet": true})
	store := newStore(t, "other")
	cairn(t, nil, "feed", "add", key, "a", "--store", store)
	listen := func(args peers.Args) string { return address(p.Do(t, "listen", args).Int("port")) }

	well := listen(peers.Args{"feeds": []string{"a"}, "live": true})
	if d := examine(t, store, "a", well, causeNone); d.RemoteLength != 20 || d.Length != 0 || !strings.Contains(d.Text, "20 blocks") {
		t.Errorf("%+v", d)
	}
	examine(t, store, "other", well, causeNoFeed)
	examine(t, store, "a", well, causeProtocol, "--plain")
	examine(t, store, "a", listen(peers.Args{"feeds": []string{"b"}}), causeNoFeed)
	plain := listen(peers.Args{"feeds": []string{"a"}, "opts": map[string]bool{"encrypted": false, "noise": false}})
	examine(t, store, "a", plain, causeProtocol)
	examine(t, store, "a", plain, causeNone, "--plain")
	examine(t, store, "a", listen(peers.Args{"feeds": []string{"a"}, "refuse": true}), causeRefused)
	examine(t, store, "a", listen(peers.Args{"feeds": []string{"a"}, "opts": map[string]bool{"upload": false}}), causeLacking)

	cairn(t, nil, "feed", "replicate", "a", "--connect", well, "--range", "0:5", "--store", store, "--json")
	p.Do(t, "clear", peers.Args{"id": "a", "start": 7, "end": 9})
	if d := examine(t, store, "a", well, causeLacking); !strings.Contains(d.Text, "lacks 2 of the 15 blocks") || !strings.Contains(d.Text, "the first is 7") {
		t.Errorf("%+v", d)
	}
	if s := state(t, store, "a"); s.Downloaded != 5 {
		t.Errorf("the examination changed the store: %+v", s)
	}
}

// A feed whose owner signed two histories, from the first block or from a later one on, whoever is longer.
func TestDoctorFork(t *testing.T) {
	for i, tt := range []struct{ shared, ours, theirs int }{{0, 1, 1}, {5, 3, 4}, {8, 9, 1}, {3, 1, 30}, {6, 0, 5}, {6, 5, 0}} {
		seed := strings.Repeat(fmt.Sprintf("%02x", 0x30+i), 32)
		stores := make([]string, 2)
		for k, own := range []int{tt.ours, tt.theirs} {
			stores[k] = newStore(t, "other")
			cairn(t, nil, "feed", "new", "a", "--seed", seed, "--store", stores[k])
			lines := strings.Repeat("shared\n", tt.shared) + strings.Repeat(fmt.Sprint("own ", k, "\n"), own)
			file := filepath.Join(t.TempDir(), "lines")
			if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
				t.Fatal(err)
			}
			cairn(t, nil, "feed", "append", "a", file, "--lines", "--store", stores[k])
		}
		want := causeFork
		if tt.ours == 0 || tt.theirs == 0 {
			want = causeNone
		}
		server, port := listen(t, "feed", "replicate", "a", "--live", "--store", stores[1])
		examine(t, stores[0], "a", address(port), want)
		if err := server.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		server.end(t)
	}
}
