package peers_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/cairn-feeds/cairn/tools/peers"
)

func hexes(blocks ...string) []string {
	for i, b := range blocks {
		blocks[i] = peers.Hex([]byte(b))
	}
	return blocks
}

func TestHypercore9(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	// The key pair of the seed 11 11 ...: its public key is part of the vectors that hypercore 9 made.
	const key = "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737"
	secret := strings.Repeat("11", 32) + key
	dir := t.TempDir()
	if got := p.Do(t, "open", peers.Args{"id": "a", "dir": dir, "key": key, "secretKey": secret}); !got.Bool("writable") {
		t.Fatalf("a feed with its secret key is not writable: %s", got)
	}
	p.Do(t, "append", peers.Args{"id": "a", "blocks": hexes("hello", "", "world")})
	p.Do(t, "fill", peers.Args{"id": "a", "count": 10, "size": 300, "batch": 4})

	if got := p.Do(t, "info", peers.Args{"id": "a"}); got.Int("length") != 13 || got.Int("byteLength") != 3010 || got.Text("key") != key {
		t.Errorf("info: %s", got)
	}
	if got := p.Do(t, "get", peers.Args{"id": "a", "index": 12}).Bytes("value"); !bytes.Equal(got, peers.Pattern(12, 300)) {
		t.Errorf("block 12 is %x", got)
	}
	digest := sha256.New()
	digest.Write([]byte("helloworld"))
	for i := uint64(3); i < 13; i++ {
		digest.Write(peers.Pattern(i, 300))
	}
	if got := p.Do(t, "read", peers.Args{"id": "a"}); !bytes.Equal(got.Bytes("sha256"), digest.Sum(nil)) || got.Int("bytes") != 3010 {
		t.Errorf("read: %s", got)
	}
	signature := p.Do(t, "signature", peers.Args{"id": "a"})
	p.Do(t, "verify", peers.Args{"id": "a", "index": 12, "signature": signature.Text("signature")})
	if got := p.Do(t, "audit", peers.Args{"id": "a"}); got.Int("valid") != 13 || got.Int("invalid") != 0 {
		t.Errorf("audit: %s", got)
	}
	p.Do(t, "clear", peers.Args{"id": "a", "start": 0, "end": 3})
	if _, err := p.Call(t.Context(), "get", peers.Args{"id": "a", "index": 0, "opts": peers.Args{"wait": false}}); err == nil {
		t.Error("a cleared block was read")
	}

	// To another feed in the same process, over a real connection, through every command of a replica.
	proof := p.Do(t, "proof", peers.Args{"id": "a", "index": 5})
	block := p.Do(t, "get", peers.Args{"id": "a", "index": 5})
	p.Do(t, "open", peers.Args{"id": "b", "key": key, "opts": peers.Args{"sparse": true}})
	p.Do(t, "put", peers.Args{"id": "b", "index": 5, "value": block.Text("value"), "nodes": proof["nodes"], "signature": proof["signature"]})
	if got := p.Do(t, "has", peers.Args{"id": "b", "index": 5}); !got.Bool("has") {
		t.Error("a block that was put is not there")
	}
	port := p.Do(t, "listen", peers.Args{"feeds": []string{"a"}, "live": true}).Int("port")
	s := p.Do(t, "connect", peers.Args{"feeds": []string{"b"}, "live": true, "port": port}).Int("s")
	p.Await(t, "handshake", peers.Args{"s": s})
	p.Do(t, "download", peers.Args{"id": "b", "range": peers.Args{"start": 3, "end": 13}})
	if got := p.Do(t, "downloaded", peers.Args{"id": "b"}).Int("downloaded"); got != 10 {
		t.Errorf("the replica has %d blocks", got)
	}
	p.Do(t, "endStream", peers.Args{"s": s})
	p.Await(t, "stream-close", peers.Args{"s": s})
	p.Do(t, "unlisten", peers.Args{"port": port})
}

func TestMultifeed6(t *testing.T) {
	p := peers.Start(t, peers.Hypercore9)
	for _, set := range []string{"one", "two"} {
		p.Do(t, "multi", peers.Args{"id": set})
		w := p.Do(t, "writer", peers.Args{"id": set, "name": "local"})
		p.Do(t, "append", peers.Args{"id": w.Text("feed"), "blocks": hexes("from " + set)})
	}
	port := p.Do(t, "listen", peers.Args{"multi": "one"}).Int("port")
	s := p.Do(t, "connect", peers.Args{"multi": "two", "port": port}).Int("s")
	p.Await(t, "remote-feeds", peers.Args{"s": s})
	p.Await(t, "stream-close", peers.Args{"s": s})
	for _, set := range []string{"one", "two"} {
		var feeds []struct{ Length int }
		if err := p.Do(t, "feeds", peers.Args{"id": set}).Decode("feeds", &feeds); err != nil || len(feeds) != 2 {
			t.Errorf("the set %s has %v (%v)", set, feeds, err)
		}
	}
}

func TestHypercore1(t *testing.T) {
	const id = "e1a31bb8716f0a0487377e22dbc7f0491fb47a712ac21519792a4e32cf56fb6f" // of hello, world, in its documentation
	from, to := peers.Start(t, peers.Hypercore1), peers.Start(t, peers.Hypercore1)
	for _, p := range []*peers.Peer{from, to} {
		p.Do(t, "core", peers.Args{"extensions": []string{"ping"}})
	}
	if got := from.Do(t, "create", peers.Args{"blocks": hexes("hello", "world")}); got.Text("id") != id || got.Int("blocks") != 2 {
		t.Fatalf("create: %s", got)
	}
	port := from.Do(t, "listen", nil).Int("port")
	to.Do(t, "want", peers.Args{"id": id})
	s := to.Do(t, "connect", peers.Args{"port": port}).Int("s")
	to.Await(t, "handshake", peers.Args{"s": s})
	if got := to.Do(t, "get", peers.Args{"id": id, "block": 1}).Bytes("value"); string(got) != "world" {
		t.Errorf("block 1 is %q", got)
	}
	if got := to.Do(t, "get", peers.Args{"id": id, "block": 2}).Bytes("value"); got != nil {
		t.Errorf("the block past the end is %q", got)
	}
	if !to.Do(t, "send", peers.Args{"s": s, "name": "ping", "data": "01"}).Bool("sent") {
		t.Error("the remote does not know the extension")
	}
	from.Await(t, "extension", peers.Args{"name": "ping", "data": "01"})
}

func TestHyperswarm2(t *testing.T) {
	p := peers.Start(t, peers.Hyperswarm2)
	port := p.Do(t, "bootstrap", peers.Args{"id": "boot"}).Int("port")
	topic := strings.Repeat("ab", 32)
	for _, id := range []string{"server", "client"} {
		p.Do(t, "swarm", peers.Args{"id": id, "opts": peers.Args{"bootstrap": []string{local(port)}}})
		p.Do(t, "join", peers.Args{"id": id, "topic": topic, "opts": peers.Args{"announce": id == "server", "lookup": id == "client"}})
	}
	sock := p.Await(t, "connection", peers.Args{"id": "client"}).Int("sock")
	p.Do(t, "write", peers.Args{"sock": sock, "data": "beef"})
	p.Await(t, "data", peers.Args{"data": "beef"})
}

func TestHyperswarm4(t *testing.T) {
	p := peers.Start(t, peers.Hyperswarm4)
	net := p.Do(t, "testnet", peers.Args{"size": 4})
	topic := strings.Repeat("cd", 32)
	for _, id := range []string{"server", "client"} {
		p.Do(t, "swarm", peers.Args{"id": id, "bootstrap": net["bootstrap"]})
		p.Do(t, "join", peers.Args{"id": id, "topic": topic, "server": id == "server", "client": id == "client"})
	}
	sock := p.Await(t, "connection", peers.Args{"id": "client"}).Int("sock")
	p.Do(t, "write", peers.Args{"sock": sock, "data": "beef"})
	p.Await(t, "data", peers.Args{"data": "beef"})
}

func TestHyperDHT6(t *testing.T) {
	p := peers.Start(t, peers.HyperDHT6)
	p.Do(t, "testnet", nil)
	p.Do(t, "node", peers.Args{"node": "a"})
	p.Do(t, "node", peers.Args{"node": "b"})

	hash := p.Do(t, "immutablePut", peers.Args{"node": "a", "value": "c0ffee"}).Text("hash")
	if got := p.Do(t, "immutableGet", peers.Args{"node": "b", "hash": hash}); !got.Bool("found") || got.Text("value") != "c0ffee" {
		t.Errorf("immutableGet: %s", got)
	}

	// Key pairs from seeds are hyperdht's own: this one is in the notes on its records.
	seed := strings.Repeat("03", 32)
	listen := p.Do(t, "listen", peers.Args{"node": "a", "server": "s", "seed": seed, "sink": true})
	if got := listen.Text("publicKey"); got != "ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1" {
		t.Errorf("the key pair of the seed has the public key %s", got)
	}
	conn := p.Do(t, "connect", peers.Args{"node": "b", "publicKey": listen.Text("publicKey")}).Text("conn")
	p.Await(t, "open", peers.Args{"conn": conn})
	const size = 1 << 20
	p.Do(t, "pump", peers.Args{"conn": conn, "bytes": size})
	p.Do(t, "end", peers.Args{"conn": conn})
	digest := sha256.Sum256(peers.Pattern(0, size))
	p.Await(t, "end", peers.Args{"bytes": size, "sha256": hex.EncodeToString(digest[:])})
	p.Await(t, "conn-close", peers.Args{"conn": conn})
}

func TestSecretStream(t *testing.T) {
	p := peers.Start(t, peers.HyperDHT6)
	listen := p.Do(t, "secretListen", peers.Args{"server": "s", "echo": true})
	conn := p.Do(t, "secretConnect", peers.Args{"port": listen.Int("port")}).Text("conn")
	if got := p.Await(t, "open", peers.Args{"conn": conn}).Text("remotePublicKey"); got != listen.Text("publicKey") {
		t.Errorf("connected to %s, not to %s", got, listen.Text("publicKey"))
	}
	p.Do(t, "write", peers.Args{"conn": conn, "data": "beef"})
	p.Await(t, "data", peers.Args{"conn": conn, "data": "beef"})
}

func TestUDX(t *testing.T) {
	p := peers.Start(t, peers.HyperDHT6)
	ports := make(map[string]int)
	for _, name := range []string{"left", "right"} {
		ports[name] = p.Do(t, "udxSocket", peers.Args{"socket": name}).Int("port")
	}
	p.Do(t, "udxStream", peers.Args{"socket": "right", "id": 2, "remoteId": 1, "port": ports["left"], "echo": true})
	left := p.Do(t, "udxStream", peers.Args{"socket": "left", "id": 1, "remoteId": 2, "port": ports["right"]}).Text("conn")
	p.Do(t, "write", peers.Args{"conn": left, "data": "beef"})
	p.Await(t, "data", peers.Args{"conn": left, "data": "beef"})
	p.Do(t, "send", peers.Args{"conn": left, "data": "aa"})
	p.Await(t, "message", peers.Args{"data": "aa"})
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
