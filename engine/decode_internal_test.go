package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/cairn-feeds/cairn/tree"
)

// FuzzParseHead: what parses encodes to the same head again, and nothing panics.
func FuzzParseHead(f *testing.F) {
	for _, n := range []int{0, 1, 2, 3, 7, 64, 100} {
		b, _ := tree.NewBuilder(0, nil)
		blocks := make([][]byte, n)
		for i := range blocks {
			blocks[i] = bytes.Repeat([]byte{1}, i)
		}
		b.Append(nil, blocks)
		h := &head{length: uint64(n), byteLength: b.ByteLength(), prefix: uint64(n / 2), present: uint64(n/2 + n/4), flags: flagGrouped, roots: b.Roots()}
		f.Add(appendHead(nil, h))
	}
	f.Add([]byte{2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHead(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, err := parseHead(appendHead(nil, h))
		if err != nil || again.length != h.length || again.byteLength != h.byteLength || again.prefix != h.prefix || again.present != h.present || again.flags != h.flags {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
		for i := range h.roots {
			if again.roots[i] != h.roots[i] {
				t.Fatalf("root %d", i)
			}
		}
	})
}

// FuzzBlockGroup: a group that parses has every block inside its data, and encodes to
// itself again unless a varint was longer than it need be.
func FuzzBlockGroup(f *testing.F) {
	var blocks [blockGroupSize][]byte
	f.Add(appendBlockGroup(nil, &blocks))
	for i := range blocks {
		blocks[i] = bytes.Repeat([]byte{byte(i)}, i*i)
	}
	f.Add(appendBlockGroup(nil, &blocks))
	blocks[3], blocks[blockGroupSize-1] = nil, nil
	f.Add(appendBlockGroup(nil, &blocks))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		var g blockGroup
		g.absent, g.offsets[5] = 7, 9 // leftovers of a group before
		if err := g.parse(b); err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v", err)
			}
			return
		}
		var blocks [blockGroupSize][]byte
		size := 0
		for i := range blocks {
			data, ok := g.block(i)
			if size += len(data); !ok {
				if len(data) > 0 {
					t.Fatalf("block %d is absent and has %d bytes", i, len(data))
				}
				continue
			}
			blocks[i] = append([]byte{}, data...)
		}
		if size != len(g.data) {
			t.Fatalf("%d bytes in blocks, %d in all", size, len(g.data))
		}
		var again blockGroup
		if err := again.parse(appendBlockGroup(nil, &blocks)); err != nil || again.absent != g.absent || !bytes.Equal(again.data, g.data) {
			t.Fatalf("%+v became %+v, %v", g, again, err)
		}
	})
}

// FuzzRecords: rows of the catalogue, keys of rows, seals, secret keys and evidence
// that somebody wrote into the database give errors.
func FuzzRecords(f *testing.F) {
	pair := tree.KeyPairFromSeed([32]byte{1})
	record, _ := msgpack.Marshal(&feedRecord{Number: 5, Key: pair.Public[:], Created: 1, Name: "x", Writable: true})
	seal, _ := msgpack.Marshal(&sealRow{Salt: []byte("salt"), Time: 1, Memory: 8, Threads: 1, Check: []byte("check")})
	fork, _ := msgpack.Marshal(&evidence{Theirs: packNodes([]tree.Node{{Index: 1}}), Signature: make([]byte, 64)})
	key := dataKey(3, kindBlock, 9)
	for _, seed := range [][]byte{record, seal, fork, key[:], append([]byte{secretPlain}, pair.Secret[:]...), {secretSealed}, nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseRecord(b); err == nil && r.key() == (tree.PublicKey{}) && len(r.Key) != 32 {
			t.Fatalf("record %+v", r)
		}
		if n, kind, index, err := parseDataKey(b); err == nil {
			if k := dataKey(n, kind, index); !bytes.Equal(k[:], b) {
				t.Fatalf("key %x became %x", b, k)
			}
		}
		if n, err := parseNumberKey(tableHeads, b); err == nil && !bytes.Equal(numberKey(tableHeads, n), b) {
			t.Fatalf("key %x", b)
		}
		if n, err := getNode(b, 6); err == nil {
			var v [nodeSize]byte
			if putNode(v[:], n); !bytes.Equal(v[:], b) {
				t.Fatalf("node %x became %x", b, v)
			}
		}
		s := &Store{seal: &seal1}
		if sk, err := s.openSecret(b, pair.Public); err == nil && sk.Public() != pair.Public {
			t.Fatal("a secret key of another feed")
		}
		var e evidence
		if msgpack.Unmarshal(b, &e) == nil {
			_, _ = unpackNodes(e.Theirs)
		}
	})
}

var seal1 = seal{key: new([32]byte), open: true}

// TestKeyOrder: the rows of a feed follow each other, by kind and index, and those of
// the next feed come behind them.
func TestKeyOrder(t *testing.T) {
	var last []byte
	for _, n := range []feedNumber{0, 1, 255, 256, 1 << 40} {
		start, end := dataSpan(n)
		for _, kind := range []byte{kindMap, kindNodeGroup, kindNode, kindSignature, kindBlockGroup, kindBlock} {
			for _, i := range []uint64{0, 1, 255, 256, 1 << 52} {
				k := dataKey(n, kind, i)
				if bytes.Compare(last, k[:]) >= 0 || bytes.Compare(start, k[:]) > 0 || bytes.Compare(k[:], end) >= 0 {
					t.Fatalf("key %x after %x, span %x to %x", k, last, start, end)
				}
				if got := binary.BigEndian.Uint64(k[1:]); got != uint64(n) {
					t.Fatalf("feed %d", got)
				}
				last = append([]byte(nil), k[:]...)
			}
		}
	}
}
