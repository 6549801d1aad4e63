package dht

import (
	"encoding/binary"
	"log/slog"
	"sync"
	"time"
)

// RecordStore keeps the records of a persistent node while it is not running. Keys
// have at most 65 bytes and values less than 2100; both are only valid during a
// call. The node makes all calls one after the other.
//
// Errors are logged: what cannot be kept is lost with the process, as all of it is
// without a store.
type RecordStore interface {
	// Load calls f with everything that is kept, until f returns an error, which
	// Load then returns.
	Load(f func(key, value []byte) error) error
	// Put keeps a value under a key, in place of an earlier one.
	Put(key, value []byte) error
	// Delete forgets a key. That there is none is no error.
	Delete(key []byte) error
}

// The first byte of a key in a RecordStore says of what kind the record is; its
// target follows, and of a peer its public key. A value is the time at which it
// came, in milliseconds since 1970 (8 bytes, big-endian), and the record as it is
// replied.
const (
	storedMutable   = 1
	storedImmutable = 2
	storedPeer      = 3
)

// maxPending bounds how many records wait for a RecordStore. Those that come when it
// is that slow are not kept.
const maxPending = 8192

// writer brings records to a RecordStore, in a goroutine of its own. A nil writer
// keeps nothing.
type writer struct {
	store RecordStore
	log   *slog.Logger
	wake  chan struct{}

	mu      sync.Mutex
	pending map[string][]byte // nil is a deletion
	lost    int
}

func newWriter(store RecordStore, log *slog.Logger) *writer {
	return &writer{store: store, log: log, wake: make(chan struct{}, 1), pending: make(map[string][]byte)}
}

func storedKey(kind byte, target [32]byte) string { return string(kind) + string(target[:]) }

func storedPeerKey(topic [32]byte, key PublicKey) string {
	return storedKey(storedPeer, topic) + string(key[:])
}

// put keeps a record, of which the caller has no further use.
func (w *writer) put(now time.Time, key string, record []byte) {
	if w == nil {
		return
	}
	value := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(record)), uint64(now.UnixMilli()))
	w.enter(key, append(value, record...))
}

func (w *writer) delete(key string) {
	if w != nil {
		w.enter(key, nil)
	}
}

func (w *writer) enter(key string, value []byte) {
	w.mu.Lock()
	if _, known := w.pending[key]; !known && len(w.pending) >= maxPending {
		w.lost++
	} else {
		w.pending[key] = value
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run writes until done is closed, and then what is left.
func (w *writer) run(done <-chan struct{}) {
	for {
		select {
		case <-w.wake:
			w.flush()
		case <-done:
			w.flush()
			return
		}
	}
}

func (w *writer) flush() {
	w.mu.Lock()
	pending, lost := w.pending, w.lost
	w.pending, w.lost = make(map[string][]byte), 0
	w.mu.Unlock()
	if lost > 0 {
		w.log.Warn("record store is too slow, records will not survive a restart", "records", lost)
	}
	var failed error
	for key, value := range pending {
		var err error
		if value == nil {
			err = w.store.Delete([]byte(key))
		} else {
			err = w.store.Put([]byte(key), value)
		}
		if err != nil {
			failed = err
		}
	}
	if failed != nil {
		w.log.Warn("record store failed", "error", failed)
	}
}
