package dht

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/hash"
	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

const (
	defaultMaxRecords = 65536
	defaultTopicAge   = 20 * time.Minute
	defaultValueAge   = 48 * time.Hour

	// maxValueBytes bounds a generation of mutable and one of immutable values, so
	// that as many values as there may be, all of them large, do not fill the memory.
	maxValueBytes = 32 << 20

	// maxBumpDrift is how far in the future a bump may be.
	maxBumpDrift = time.Minute

	// maxRelays is how many relays of a peer are kept.
	maxRelays = 3
)

// storage is what the node keeps for others, and answers with. It answers only while
// the node has an id.
type storage struct {
	router *router
	writer *writer // nil without a RecordStore

	mu         sync.Mutex
	topics     *topics
	bumps      *cache[rpc.ID, uint64]
	refreshes  *cache[[32]byte, refresh] // by hash of the block that renews
	mutables   *cache[rpc.ID, []byte]    // encoded MutableValue
	immutables *cache[rpc.ID, []byte]
}

// refresh is an announcement that can be renewed without a signature.
type refresh struct {
	target rpc.ID
	key    PublicKey
	record []byte
}

func newStorage(o *Options, r *router) *storage {
	topicAge, valueAge := o.MaxRecordAge, o.MaxRecordAge
	if o.MaxRecordAge == 0 {
		topicAge, valueAge = defaultTopicAge, defaultValueAge
	}
	values := max(o.MaxRecords/2, 1)
	s := &storage{
		router:     r,
		topics:     newTopics(o.MaxRecords, topicAge),
		bumps:      newCache[rpc.ID, uint64](o.MaxRecords, topicAge),
		refreshes:  newCache[[32]byte, refresh](o.MaxRecords, topicAge),
		mutables:   newCache[rpc.ID, []byte](values, valueAge),
		immutables: newCache[rpc.ID, []byte](values, valueAge),
	}
	for _, c := range []*cache[rpc.ID, []byte]{s.mutables, s.immutables} {
		c.maxBytes, c.size = maxValueBytes, func(b []byte) int { return len(b) }
	}
	return s
}

// keep uses a RecordStore from now on, and loads what it has.
func (s *storage) keep(now time.Time, w *writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var old []string
	err := w.store.Load(func(key, value []byte) error {
		if !s.load(now, key, value) {
			old = append(old, string(key))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range old {
		w.delete(key)
	}
	s.writer = w
	s.mutables.evict = func(k rpc.ID) { w.delete(storedKey(storedMutable, k)) }
	s.immutables.evict = func(k rpc.ID) { w.delete(storedKey(storedImmutable, k)) }
	s.topics.evict = func(topic rpc.ID, key PublicKey) { w.delete(storedPeerKey(topic, key)) }
	return nil
}

// load takes in a record from a RecordStore. It reports false for those that are too
// old, or not records.
func (s *storage) load(now time.Time, key, value []byte) bool {
	if len(key) < 33 || len(value) < 8 {
		return false
	}
	came := time.UnixMilli(int64(binary.BigEndian.Uint64(value)))
	record := bytes.Clone(value[8:])
	target := rpc.ID(key[1:33])
	young := func(age time.Duration) bool { return now.Sub(came) < age }
	switch {
	case key[0] == storedMutable && len(key) == 33 && young(s.mutables.age):
		if _, err := messages.ParseMutableValue(record); err != nil {
			return false
		}
		s.mutables.set(now, target, record)
	case key[0] == storedImmutable && len(key) == 33 && young(s.immutables.age):
		if hash.Sum(record) != target {
			return false
		}
		s.immutables.set(now, target, record)
	case key[0] == storedPeer && len(key) == 65 && young(s.topics.age):
		p, err := messages.ParsePeer(record)
		if err != nil || p.PublicKey != [32]byte(key[33:]) {
			return false
		}
		s.topics.add(now, target, p.PublicKey, record)
	default:
		return false
	}
	return true
}

// handle answers a request if its command is one of storage.
func (s *storage) handle(id rpc.ID, r *rpc.Request) bool {
	switch r.Command {
	case messages.FindPeer:
		s.findPeer(r)
	case messages.Lookup:
		s.lookup(r)
	case messages.AnnouncePeer:
		s.announce(id, r)
	case messages.UnannouncePeer:
		s.unannounce(id, r)
	case messages.PutMutable:
		s.putMutable(r)
	case messages.GetMutable:
		s.getMutable(r)
	case messages.PutImmutable:
		s.putImmutable(r)
	case messages.GetImmutable:
		s.getImmutable(r)
	default:
		return false
	}
	return true
}

// quiet is how announcements are answered.
var quiet = &rpc.ReplyOptions{NoToken: true, NoCloserNodes: true}

func (s *storage) findPeer(r *rpc.Request) {
	if r.Target == nil {
		return
	}
	_ = r.Reply(s.router.record(time.Now(), *r.Target), nil)
}

func (s *storage) lookup(r *rpc.Request) {
	if r.Target == nil {
		return
	}
	now := time.Now()
	own := s.router.record(now, *r.Target)
	s.mu.Lock()
	records := s.topics.sample(now, *r.Target, lookupRecords)
	bump, _ := s.bumps.get(now, *r.Target)
	s.mu.Unlock()
	if own != nil && len(records) < lookupRecords {
		records = append(records, own)
	}
	var value []byte
	if len(records) > 0 {
		value = messages.AppendLookupReply(nil, records, bump)
	}
	_ = r.Reply(value, nil)
}

func (s *storage) announce(id rpc.ID, r *rpc.Request) {
	if r.Target == nil || r.Token == nil {
		return
	}
	m, err := messages.ParseAnnounce(r.Value)
	if err != nil {
		return
	}
	now := time.Now()
	if m.Peer == nil {
		if m.Refresh != nil && s.renew(now, *m.Refresh, r.From) {
			_ = r.Reply(nil, quiet)
		}
		return
	}
	if !m.Verify(messages.NSAnnounce, *r.Target, id, r.Token) {
		return
	}
	if len(m.Peer.RelayAddresses) > maxRelays {
		m.Peer.RelayAddresses = m.Peer.RelayAddresses[:maxRelays]
	}
	ann := refresh{target: *r.Target, key: m.Peer.PublicKey, record: m.Peer.Append(nil)}
	s.mu.Lock()
	self := s.addLocked(now, &ann, r.From)
	if !self && m.Bump <= uint64(now.Add(maxBumpDrift).UnixMilli()) {
		if current, _ := s.bumps.get(now, ann.target); m.Bump > current {
			s.bumps.set(now, ann.target, m.Bump)
		}
	}
	if m.Refresh != nil {
		s.refreshes.set(now, *m.Refresh, ann)
	}
	s.mu.Unlock()
	_ = r.Reply(nil, quiet)
}

// addLocked keeps an announcement. It reports whether it is that of a server under
// its own key, which is kept in the router with the way to it.
func (s *storage) addLocked(now time.Time, ann *refresh, from netip.AddrPort) (self bool) {
	if ann.key.Target() == ann.target {
		s.router.forward(now, ann.target, from, ann.record)
		s.removeLocked(ann.target, ann.key)
		return true
	}
	if s.topics.add(now, ann.target, ann.key, ann.record) {
		s.writer.put(now, storedPeerKey(ann.target, ann.key), ann.record)
	}
	return false
}

func (s *storage) removeLocked(target rpc.ID, key PublicKey) {
	s.topics.remove(target, key)
	s.writer.delete(storedPeerKey(target, key))
}

// renew renews the announcement whose refresh is the hash of block.
func (s *storage) renew(now time.Time, block [32]byte, from netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := hash.Sum(block[:])
	ann, ok := s.refreshes.get(now, last)
	if !ok {
		return false
	}
	s.addLocked(now, &ann, from)
	s.refreshes.delete(last)
	s.refreshes.set(now, block, ann)
	return true
}

func (s *storage) unannounce(id rpc.ID, r *rpc.Request) {
	if r.Target == nil || r.Token == nil {
		return
	}
	m, err := messages.ParseAnnounce(r.Value)
	if err != nil || !m.Verify(messages.NSUnannounce, *r.Target, id, r.Token) {
		return
	}
	s.forget(*r.Target, m.Peer.PublicKey)
	_ = r.Reply(nil, quiet)
}

// forget drops the announcement of a key.
func (s *storage) forget(target rpc.ID, key PublicKey) {
	if key.Target() == target {
		s.router.drop(target)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeLocked(target, key)
}

func (s *storage) getMutable(r *rpc.Request) {
	if r.Target == nil || r.Value == nil {
		return
	}
	seq, err := messages.ParseSeq(r.Value)
	if err != nil {
		return
	}
	s.mu.Lock()
	value, ok := s.mutables.get(time.Now(), *r.Target)
	s.mu.Unlock()
	if ok {
		if stored, err := messages.ParseSeq(value); err != nil || stored < seq {
			value = nil
		}
	}
	_ = r.Reply(value, nil)
}

func (s *storage) putMutable(r *rpc.Request) {
	if r.Target == nil || r.Token == nil || r.Value == nil {
		return
	}
	m, err := messages.ParseMutablePut(r.Value)
	if err != nil || PublicKey(m.PublicKey).Target() != *r.Target || !m.Verify(&m.PublicKey) {
		return
	}
	if code := s.storeMutable(time.Now(), *r.Target, &m.MutableValue); code != rpc.OK {
		_ = r.Fail(code, nil)
		return
	}
	_ = r.Reply(nil, nil)
}

func (s *storage) storeMutable(now time.Time, target rpc.ID, m *messages.MutableValue) rpc.Code {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stored, ok := s.mutables.get(now, target); ok {
		old, err := messages.ParseMutableValue(stored)
		switch {
		case err != nil: // nothing to compare with
		case old.Seq == m.Seq && !bytes.Equal(old.Value, m.Value):
			return messages.SeqReused
		case old.Seq > m.Seq:
			return messages.SeqTooLow
		}
	}
	value := m.Append(nil)
	s.mutables.set(now, target, value)
	s.writer.put(now, storedKey(storedMutable, target), value)
	return rpc.OK
}

func (s *storage) getImmutable(r *rpc.Request) {
	if r.Target == nil {
		return
	}
	s.mu.Lock()
	value := s.immutable(time.Now(), *r.Target)
	s.mu.Unlock()
	_ = r.Reply(value, nil)
}

func (s *storage) immutable(now time.Time, target rpc.ID) []byte {
	value, _ := s.immutables.get(now, target)
	return value
}

func (s *storage) putImmutable(r *rpc.Request) {
	if r.Target == nil || r.Token == nil || r.Value == nil || hash.Sum(r.Value) != *r.Target {
		return
	}
	now := time.Now()
	value := bytes.Clone(r.Value)
	s.mu.Lock()
	s.immutables.set(now, *r.Target, value)
	s.writer.put(now, storedKey(storedImmutable, *r.Target), value)
	s.mu.Unlock()
	_ = r.Reply(nil, nil)
}
