package dht

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/hash"
	"github.com/cairn-feeds/cairn/dht/internal/messages"
)

// FuzzStorageLoad loads what a RecordStore might have by mistake: what is taken is a
// record that may be replied.
func FuzzStorageLoad(f *testing.F) {
	now := time.UnixMilli(1_700_000_000_000)
	value := func(record []byte) []byte {
		return append(binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli())), record...)
	}
	key := PublicKey{1}
	peer := messages.Peer{PublicKey: key}
	mutable := messages.MutableValue{Seq: 1, Value: []byte("x")}
	f.Add([]byte(storedKey(storedMutable, [32]byte{2})), value(mutable.Append(nil)))
	f.Add([]byte(storedKey(storedImmutable, hash.Sum([]byte("x")))), value([]byte("x")))
	f.Add([]byte(storedPeerKey([32]byte{3}, key)), value(peer.Append(nil)))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		o := Options{MaxRecords: 10}
		s := newStorage(&o, newRouter(&o))
		taken := s.load(now, key, value)
		if n := len(s.mutables.fresh) + len(s.immutables.fresh) + s.topics.size; taken != (n == 1) || n > 1 {
			t.Fatalf("taken: %v, kept: %d", taken, n)
		}
		for target, v := range s.immutables.fresh {
			if hash.Sum(v) != target {
				t.Errorf("immutable %v is %q", target, v)
			}
		}
		for topic, peers := range s.topics.fresh {
			for _, r := range peers.records {
				if p, err := messages.ParsePeer(r.encoded); err != nil || p.PublicKey != r.key {
					t.Errorf("topic %v has %q", topic, r.encoded)
				}
			}
		}
	})
}
