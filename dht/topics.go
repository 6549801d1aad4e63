package dht

import (
	"math/rand/v2"
	"time"

	"github.com/cairn-feeds/cairn/dht/rpc"
)

// lookupRecords is how many records a reply to a lookup has at most.
const lookupRecords = 20

// topics are the records of peers under their topics, in two generations like
// those of a cache. A record that is fresh is not replaced: the first one stays.
type topics struct {
	max   int // records in a generation, of all topics
	age   time.Duration
	evict func(topic rpc.ID, key PublicKey) // told what was forgotten; may be nil

	fresh, stale map[rpc.ID]*peerSet
	size         int // records in fresh
	turn         time.Time
}

func newTopics(size int, age time.Duration) *topics {
	return &topics{max: size, age: age, fresh: make(map[rpc.ID]*peerSet)}
}

func (t *topics) advance(now time.Time) {
	if t.turn.IsZero() {
		return
	}
	for i := 0; i < 2 && !now.Before(t.turn); i++ {
		t.rotate()
		t.turn = t.turn.Add(t.age * 2 / 3)
	}
	if !now.Before(t.turn) {
		t.turn = now.Add(t.age * 2 / 3)
	}
}

func (t *topics) rotate() {
	forgotten := t.stale
	t.stale, t.fresh, t.size = t.fresh, make(map[rpc.ID]*peerSet), 0
	if t.evict == nil {
		return
	}
	for topic, peers := range forgotten {
		for key := range peers.index {
			if t.stale[topic].get(key) == nil {
				t.evict(topic, key)
			}
		}
	}
}

// add keeps an encoded record. It reports whether it was not there before.
func (t *topics) add(now time.Time, topic rpc.ID, key PublicKey, record []byte) bool {
	t.advance(now)
	peers := t.fresh[topic]
	if peers.get(key) != nil {
		return false
	}
	t.stale[topic].remove(key)
	if t.size >= t.max {
		t.rotate()
		t.turn, peers = time.Time{}, nil
	}
	if t.turn.IsZero() {
		t.turn = now.Add(t.age * 2 / 3)
	}
	if peers == nil {
		peers = &peerSet{index: make(map[PublicKey]int)}
		t.fresh[topic] = peers
	}
	peers.add(key, record)
	t.size++
	return true
}

func (t *topics) remove(topic rpc.ID, key PublicKey) {
	if peers := t.fresh[topic]; peers.remove(key) {
		t.size--
		if len(peers.records) == 0 {
			delete(t.fresh, topic)
		}
	}
	if peers := t.stale[topic]; peers.remove(key) && len(peers.records) == 0 {
		delete(t.stale, topic)
	}
}

// sample returns up to n records of a topic, at random.
func (t *topics) sample(now time.Time, topic rpc.ID, n int) [][]byte {
	t.advance(now)
	records := t.fresh[topic].sample(nil, n)
	return t.stale[topic].sample(records, n-len(records))
}

// peerSet is the records of one topic. A nil one is empty.
type peerSet struct {
	index   map[PublicKey]int
	records []peerRecord
}

type peerRecord struct {
	key     PublicKey
	encoded []byte
}

func (s *peerSet) get(key PublicKey) []byte {
	if s == nil {
		return nil
	}
	if i, ok := s.index[key]; ok {
		return s.records[i].encoded
	}
	return nil
}

func (s *peerSet) add(key PublicKey, record []byte) {
	s.index[key] = len(s.records)
	s.records = append(s.records, peerRecord{key, record})
}

func (s *peerSet) remove(key PublicKey) bool {
	if s == nil {
		return false
	}
	i, ok := s.index[key]
	if !ok {
		return false
	}
	last := len(s.records) - 1
	s.records[i] = s.records[last]
	s.index[s.records[i].key] = i
	s.records[last] = peerRecord{}
	s.records = s.records[:last]
	delete(s.index, key)
	return true
}

// sample appends n different records, or all if there are fewer.
func (s *peerSet) sample(to [][]byte, n int) [][]byte {
	if s == nil || n <= 0 {
		return to
	}
	if n >= len(s.records) {
		for i := range s.records {
			to = append(to, s.records[i].encoded)
		}
		return to
	}
	// The first n of a shuffle, which may stay shuffled.
	for i := range n {
		j := i + rand.IntN(len(s.records)-i)
		s.records[i], s.records[j] = s.records[j], s.records[i]
		s.index[s.records[i].key], s.index[s.records[j].key] = i, j
		to = append(to, s.records[i].encoded)
	}
	return to
}
