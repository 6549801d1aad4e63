package sleep

import (
	"errors"
	"sync"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/tree"
)

// Files is a feed in its six storages. All methods are safe for concurrent use:
// any number of readers beside one change at a time; further changes wait.
//
// A reader sees the length of a change only after the change returned. Blocks and
// nodes below the old length may be seen a moment earlier, once they are stored.
type Files struct {
	// Constant after Open.
	opts      Options
	key       tree.PublicKey
	secret    tree.SecretKey
	hasSecret bool
	indexSize int
	recovery  Recovery
	storages

	// change is held by the change that is under way, and guards these.
	change   sync.Mutex
	failed   error // why no change is possible any more
	tailsCut bool  // there is nothing behind the length in any file
	nodes    []tree.Node
	buf      []byte

	// mu guards these. It is not held while a storage is used.
	mu   sync.RWMutex
	bits *bitmap.File
	head head
}

// storages are the six storages; nil before they were opened.
type storages struct {
	data, tree, signatures, bitfield, keyFile, secretFile randomaccess.Storage
}

func (s *storages) all() []randomaccess.Storage {
	return []randomaccess.Storage{s.data, s.tree, s.signatures, s.keyFile, s.secretFile, s.bitfield}
}

// close closes all storages, the locked one last.
func (s *storages) close() error {
	var errs []error
	for _, st := range s.all() {
		if st != nil {
			errs = append(errs, st.Close())
		}
	}
	return errors.Join(errs...)
}

// head is what a length brings with it.
type head struct {
	length     uint64
	byteLength uint64
	roots      []tree.Node // full roots of length; never changed in place
	live       bool        // the slot of the last block is signed, or length is 0
}

// Key returns the public key of the feed.
func (f *Files) Key() tree.PublicKey { return f.key }

// SecretKey returns the secret key; ok is false if it is not known.
func (f *Files) SecretKey() (key tree.SecretKey, ok bool) { return f.secret, f.hasSecret }

// Writable reports whether the secret key is known and changes are possible.
func (f *Files) Writable() bool { return f.hasSecret && !f.opts.ReadOnly }

// IndexSize returns the length of the index in a page of the bitfield.
func (f *Files) IndexSize() int { return f.indexSize }

// Recovery tells what Open found to be different from what a clean close leaves.
func (f *Files) Recovery() Recovery { return f.recovery }

func (f *Files) currentHead() head {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.head
}

// Length returns the number of blocks of the feed, present or not.
func (f *Files) Length() uint64 { return f.currentHead().length }

// ByteLength returns the number of bytes of all blocks, present or not.
func (f *Files) ByteLength() uint64 { return f.currentHead().byteLength }

// Live reports whether the length is signed, or 0. A feed that is not live is a
// static one, whose key is its tree hash, or one that lost signatures.
func (f *Files) Live() bool { return f.currentHead().live }

// AppendRoots appends the full roots of the length to dst, from left to right.
func (f *Files) AppendRoots(dst []tree.Node) []tree.Node {
	return append(dst, f.currentHead().roots...)
}

// Head returns the length, the byte length and the full roots as they are at one
// moment. The slice is shared and must not be changed.
func (f *Files) Head() (length, byteLength uint64, roots []tree.Node) {
	h := f.currentHead()
	return h.length, h.byteLength, h.roots
}

// Close waits for a change under way and closes the storages. It does not sync.
// Closing twice is fine.
func (f *Files) Close() error {
	f.change.Lock()
	defer f.change.Unlock()
	if f.failed == nil {
		f.failed = ErrClosed
	}
	return f.close()
}

// Destroy deletes the feed and closes it. Files that never existed are no error.
// After a crash on the way the feed may be there, whole or empty, but is not
// damaged.
func (f *Files) Destroy() error {
	f.change.Lock()
	defer f.change.Unlock()
	if f.opts.ReadOnly {
		return errors.Join(ErrReadOnly, f.close())
	}
	if errors.Is(f.failed, ErrClosed) {
		return ErrClosed
	}
	f.failed = ErrClosed
	// Without bits and signatures the feed is empty. The lock is kept to the end.
	err := f.bitfield.Truncate(0)
	for _, s := range []randomaccess.Storage{f.signatures, f.tree, f.data, f.secretFile, f.keyFile, f.bitfield} {
		err = errors.Join(err, randomaccess.Destroy(s))
	}
	return err
}
