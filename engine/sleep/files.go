package sleep

import (
	"errors"
	"fmt"
	"iter"
	"slices"
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

// HasNode reports whether a node of the tree is known.
func (f *Files) HasNode(i tree.Index) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return uint64(i.RightSpan()) < 2*f.head.length && f.bits.HasNode(uint64(i))
}

// ReadNode returns a node. If it is not known the error matches
// tree.ErrUnknownNode.
func (f *Files) ReadNode(i tree.Index) (tree.Node, error) {
	if !f.HasNode(i) {
		return tree.Node{}, fmt.Errorf("sleep: node %d: %w", i, tree.ErrUnknownNode)
	}
	n, ok, err := f.storedNode(i)
	if err == nil && !ok {
		err = damaged(TreeFile, "node %d is known but blank", i)
	}
	return n, err
}

// nodeBuffers are for reads of single nodes, which would allocate otherwise.
var nodeBuffers = sync.Pool{New: func() any { return new([NodeSize]byte) }}

// storedNode reads a node, known or not; ok is false if it is absent.
func (f *Files) storedNode(i tree.Index) (n tree.Node, ok bool, err error) {
	if i >= 2*tree.MaxLength {
		return tree.Node{}, false, nil
	}
	b := nodeBuffers.Get().(*[NodeSize]byte)
	defer nodeBuffers.Put(b)
	got, err := readUpTo(f.tree, b[:], NodeOffset(i))
	if err != nil || got < NodeSize {
		return tree.Node{}, false, err
	}
	if n, ok = ParseNode(i, b); n.Size > tree.MaxSize {
		return tree.Node{}, false, damaged(TreeFile, "node %d has a size of %d", i, n.Size)
	}
	return n, ok, nil
}

// Tree returns the known nodes as a [tree.Reader].
func (f *Files) Tree() tree.Reader { return (*knownTree)(f) }

type knownTree Files

func (t *knownTree) Has(i tree.Index) (bool, error)       { return (*Files)(t).HasNode(i), nil }
func (t *knownTree) Node(i tree.Index) (tree.Node, error) { return (*Files)(t).ReadNode(i) }

// HasBlock reports whether a block is present.
func (f *Files) HasBlock(n uint64) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return n < f.head.length && f.bits.HasBlock(n)
}

// CountBlocks returns how many of the blocks [start, end) are present.
func (f *Files) CountBlocks(start, end uint64) uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	end = min(end, f.head.length)
	return f.bits.CountBlocks(min(start, end), end)
}

// NextBlock returns the first block at or after n that is present.
func (f *Files) NextBlock(n uint64) (uint64, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	next, ok := f.bits.NextBlock(n)
	if !ok || next >= f.head.length {
		return 0, false
	}
	return next, true
}

// NextMissing returns the first block at or after n that is not present. It may
// be the length, or n if that is more.
func (f *Files) NextMissing(n uint64) uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return max(n, min(f.bits.NextMissingBlock(n), f.head.length))
}

// Blocks yields the blocks of [start, end) that are present as runs, in order. It
// holds no lock while it yields: what is changed meanwhile may be in it or not.
func (f *Files) Blocks(start, end uint64) iter.Seq[bitmap.Run] {
	return func(yield func(bitmap.Run) bool) {
		for start < end {
			first, ok := f.NextBlock(start)
			if !ok || first >= end {
				return
			}
			start = min(f.NextMissing(first), end)
			if start > first && !yield(bitmap.Run{Start: first, End: start}) {
				return
			}
		}
	}
}

// BlockRange returns where a block is in the data. If nodes that this takes are
// not known the error matches tree.ErrMissingRoots or tree.ErrUnknownNode.
func (f *Files) BlockRange(n uint64) (offset, size uint64, err error) {
	leaf, err := f.ReadNode(tree.LeafIndex(n))
	if err != nil {
		return 0, 0, err
	}
	offset, err = tree.ByteOffset(f.Tree(), n)
	if err == nil && offset > tree.MaxSize-leaf.Size {
		err = damaged(TreeFile, "block %d ends past byte %d", n, uint64(tree.MaxSize))
	}
	return offset, leaf.Size, err
}

// ReadBlock appends a block to dst; if it is not present the error matches
// ErrNoBlock. As in the reference, what was read is not compared with its hash.
func (f *Files) ReadBlock(dst []byte, n uint64) ([]byte, error) {
	if !f.HasBlock(n) {
		return nil, fmt.Errorf("sleep: block %d: %w", n, ErrNoBlock)
	}
	offset, size, err := f.BlockRange(n)
	if err != nil {
		return nil, fmt.Errorf("sleep: block %d: %w", n, err)
	}
	return f.ReadData(dst, offset, size)
}

// uncheckedRead is how much is allocated without asking whether the data is that
// long. Sizes come from the tree, which may be damaged.
const uncheckedRead = 64 << 10

// ReadData appends size bytes of the data from offset to dst. If the data ends
// before, the error matches ErrDamaged.
func (f *Files) ReadData(dst []byte, offset, size uint64) ([]byte, error) {
	if offset > tree.MaxSize || size > tree.MaxSize {
		return nil, damaged(DataFile, "no %d bytes at %d", size, offset)
	}
	if size > uncheckedRead {
		info, err := f.data.Stat()
		if err != nil {
			return nil, err
		}
		if uint64(info.Size) < offset+size {
			return nil, damaged(DataFile, "ends at %d, before %d bytes at %d", info.Size, size, offset)
		}
	}
	dst = slices.Grow(dst, int(size))
	p := dst[len(dst):][:size]
	n, err := readUpTo(f.data, p, int64(offset))
	if err != nil {
		return nil, err
	}
	if n < len(p) {
		return nil, damaged(DataFile, "ends at %d, before %d bytes at %d", offset+uint64(n), size, offset)
	}
	return dst[:len(dst)+n], nil
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
