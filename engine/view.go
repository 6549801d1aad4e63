package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"sync"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// A View shows a feed as the six files that hypercore 9 would have written for the
// same appends: data, tree, signatures, bitfield, key and secret_key. Blocks that
// are not here read as zeros; data ends behind the last one that is. It is
// read-only.
//
// A view is of the moment it was made: what is appended later does not show. What
// is cleared later reads as zeros.
type View struct {
	f       *Feed
	rows    *rows
	h       *head
	secret  *tree.SecretKey
	nodeEnd uint64 // behind the last known node
	mapEnd  uint64 // behind the last block that is present
	sigEnd  uint64 // behind the last signature's slot
	dataEnd uint64 // behind the last byte of the last block that is present
}

// NewView makes a view. withSecret shows the secret key too; otherwise that file is
// empty. The error matches ErrSealed when the key cannot be unsealed.
func (f *Feed) NewView(ctx context.Context, withSecret bool) (*View, error) {
	if err := f.check(ctx); err != nil {
		return nil, err
	}
	be, ok := f.live.be.(*rows)
	if !ok {
		return nil, f.fail(errors.New("only a feed of a store can be shown as files"))
	}
	v := &View{f: f, rows: be, h: f.live.head.Load()}
	if withSecret && f.live.writable {
		sk, err := f.live.secretKey()
		if err != nil {
			return nil, f.fail(err)
		}
		v.secret = &sk
	}
	if err := v.measure(); err != nil {
		return nil, f.fail(err)
	}
	return v, nil
}

// measure finds the ends of the files.
func (v *View) measure() error {
	l := v.f.live
	if err := l.use(); err != nil {
		return err
	}
	defer l.unuse()
	var err error
	if v.nodeEnd, err = v.rows.nodeEnd(tree.LeafIndex(v.h.length)); err != nil {
		return err
	}
	if v.sigEnd, err = v.rows.indexEnd(kindSignature, v.h.length); err != nil {
		return err
	}
	if v.mapEnd, err = v.rows.presentEnd(v.h, v.h.length); err != nil {
		return err
	}
	// Empty blocks leave no trace in the data.
	for end := v.mapEnd; end > 0; {
		leaf, err := v.rows.Node(tree.LeafIndex(end - 1))
		if err != nil {
			return err
		}
		if leaf.Size > 0 {
			v.dataEnd, err = tree.ByteOffset(v.rows, end)
			return err
		}
		if end, err = v.rows.presentEnd(v.h, end-1); err != nil {
			return err
		}
	}
	return nil
}

// Open implements randomaccess.Opener: it returns one of the six files.
func (v *View) Open(name string) (randomaccess.Storage, error) {
	size, read := uint64(0), readerFunc(nil)
	switch name {
	case sleep.DataFile:
		size, read = v.dataEnd, v.readData
	case sleep.TreeFile:
		size, read = uint64(sleep.NodeOffset(tree.Index(v.nodeEnd))), v.readTree
	case sleep.SignaturesFile:
		size, read = uint64(sleep.SignatureOffset(v.sigEnd)), v.readSignatures
	case sleep.BitfieldFile:
		size, read = uint64(sleep.PageOffset(v.pages(), sleep.DefaultIndexSize)), v.readBitfield
	case sleep.KeyFile:
		size, read = uint64(len(v.f.live.key)), bytesReader(v.f.live.key[:])
	case sleep.SecretKeyFile:
		if v.secret != nil {
			size, read = uint64(len(v.secret)), bytesReader(v.secret[:])
		}
	default:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &viewFile{v: v, name: name, size: int64(size), read: read}, nil
}

// readerFunc fills p, which is zero, with the bytes of a file from off; all of them
// are inside the file.
type readerFunc func(p []byte, off uint64) error

func bytesReader(b []byte) readerFunc {
	return func(p []byte, off uint64) error {
		copy(p, b[off:])
		return nil
	}
}

// viewFile is one file of a view.
type viewFile struct {
	v    *View
	name string
	size int64
	read readerFunc

	mu     sync.Mutex
	closed bool
}

// ReadAt implements randomaccess.Storage.
func (s *viewFile) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return 0, &fs.PathError{Op: "read", Path: s.name, Err: fs.ErrClosed}
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: s.name, Err: fs.ErrInvalid}
	}
	n := int(min(int64(len(p)), max(s.size-off, 0)))
	if n > 0 {
		clear(p[:n])
		l := s.v.f.live
		if err := l.use(); err != nil {
			return 0, s.v.f.fail(err)
		}
		defer l.unuse()
		if err := s.read(p[:n], uint64(off)); err != nil {
			return 0, s.v.f.fail(fmt.Errorf("%s at %d: %w", s.name, off, err))
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Stat implements randomaccess.Storage.
func (s *viewFile) Stat() (randomaccess.Info, error) { return randomaccess.Info{Size: s.size}, nil }

// Sync implements randomaccess.Storage.
func (s *viewFile) Sync() error { return nil }

// Close implements randomaccess.Storage.
func (s *viewFile) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// WriteAt implements randomaccess.Storage.
func (s *viewFile) WriteAt([]byte, int64) (int, error) { return 0, randomaccess.ErrReadOnly }

// Delete implements randomaccess.Storage.
func (s *viewFile) Delete(int64, int64) error { return randomaccess.ErrReadOnly }

// Truncate implements randomaccess.Storage.
func (s *viewFile) Truncate(int64) error { return randomaccess.ErrReadOnly }

// overlap copies the part of item, which begins at start of the file, that p, which
// begins at off, covers.
func overlap(p []byte, off uint64, item []byte, start uint64) {
	if start >= off {
		if start-off < uint64(len(p)) {
			copy(p[start-off:], item)
		}
	} else if off-start < uint64(len(item)) {
		copy(p, item[off-start:])
	}
}

// readTree shows the nodes that are known between zeros.
func (v *View) readTree(p []byte, off uint64) error {
	overlap(p, off, sleep.AppendTreeHeader(nil), 0)
	end := off + uint64(len(p))
	if end <= sleep.HeaderSize {
		return nil
	}
	first := (max(off, sleep.HeaderSize) - sleep.HeaderSize) / sleep.NodeSize
	last := (end - sleep.HeaderSize + sleep.NodeSize - 1) / sleep.NodeSize
	var buf [sleep.NodeSize]byte
	var failed error
	err := v.rows.nodes(tree.Index(first), tree.Index(last), func(r bitmap.Run) bool {
		for i := r.Start; i < r.End; i++ {
			var n tree.Node
			if n, failed = v.rows.Node(tree.Index(i)); failed != nil {
				return false
			}
			overlap(p, off, sleep.AppendNode(buf[:0], n), uint64(sleep.NodeOffset(tree.Index(i))))
		}
		return true
	})
	return errors.Join(err, failed)
}

// readSignatures shows the signatures between blank slots.
func (v *View) readSignatures(p []byte, off uint64) error {
	overlap(p, off, sleep.AppendSignaturesHeader(nil), 0)
	end := off + uint64(len(p))
	if end <= sleep.HeaderSize {
		return nil
	}
	slot := (max(off, sleep.HeaderSize) - sleep.HeaderSize) / sleep.SignatureSize
	last := (end - sleep.HeaderSize + sleep.SignatureSize - 1) / sleep.SignatureSize
	for slot < min(last, v.sigEnd) {
		at, sig, err := v.rows.signature(slot)
		if errors.Is(err, tree.ErrNoSignature) {
			return nil
		}
		if err != nil {
			return err
		}
		if at >= last {
			return nil
		}
		overlap(p, off, sig[:], uint64(sleep.SignatureOffset(at)))
		slot = at + 1
	}
	return nil
}

// pages returns how many pages the bitfield has.
func (v *View) pages() uint64 { return bitmap.FilePages(v.mapEnd, v.nodeEnd) }

// readBitfield makes the pages that p covers.
func (v *View) readBitfield(p []byte, off uint64) error {
	overlap(p, off, sleep.AppendBitfieldHeader(nil, sleep.DefaultIndexSize), 0)
	end := off + uint64(len(p))
	if end <= sleep.HeaderSize {
		return nil
	}
	blocks := &viewBits{runs: v.f.live.blockMap(v.h).runs}
	nodes := &viewBits{runs: v.nodeRuns}
	view := bitmap.FileView{Blocks: blocks, Nodes: nodes, Pages: v.pages()}
	size := uint64(view.PageLen())
	var buf []byte
	for n := (max(off, sleep.HeaderSize) - sleep.HeaderSize) / size; ; n++ {
		start := uint64(sleep.PageOffset(n, sleep.DefaultIndexSize))
		if start >= end {
			return errors.Join(blocks.err, nodes.err)
		}
		buf = view.AppendPage(buf[:0], n)
		overlap(p, off, buf, start)
	}
}

// viewBits turns runs that may fail into bitmap.Bits; it keeps the error.
type viewBits struct {
	runs func(start, end uint64) iter.Seq2[bitmap.Run, error]
	err  error
}

// Runs implements bitmap.Bits.
func (b *viewBits) Runs(start, end uint64) iter.Seq[bitmap.Run] {
	return func(yield func(bitmap.Run) bool) {
		for r, err := range b.runs(start, end) {
			if err != nil {
				b.err = err
				return
			}
			if !yield(r) {
				return
			}
		}
	}
}

// nodeRuns yields the known nodes of the view in [start, end).
func (v *View) nodeRuns(start, end uint64) iter.Seq2[bitmap.Run, error] {
	return func(yield func(bitmap.Run, error) bool) {
		end = min(end, v.nodeEnd)
		if start >= end {
			return
		}
		err := v.rows.nodes(tree.Index(start), tree.Index(end), func(r bitmap.Run) bool { return yield(r, nil) })
		if err != nil {
			yield(bitmap.Run{}, err)
		}
	}
}

// readData shows the blocks that are present between zeros.
func (v *View) readData(p []byte, off uint64) error {
	end := off + uint64(len(p))
	for at := off; at < end; {
		r, err := tree.Seek(v.rows, v.h.roots, at)
		if err != nil {
			return err
		}
		if !r.Exact {
			// Nothing of this subtree is here.
			if at, err = tree.ByteOffset(v.rows, r.End); err != nil {
				return err
			}
			continue
		}
		if at, err = v.readBlocks(p, off, at-r.Offset, r.Block); err != nil {
			return err
		}
	}
	return nil
}

// readBlocks shows blocks from one that starts at a byte, one after the other for
// as long as their leaves are known, and returns the byte where it stopped: behind
// p, or behind the subtree of which nothing is known.
func (v *View) readBlocks(p []byte, off, start, block uint64) (uint64, error) {
	m := v.f.live.blockMap(v.h)
	for end := off + uint64(len(p)); start < end && block < v.h.length; block++ {
		leaf, err := v.rows.Node(tree.LeafIndex(block))
		if errors.Is(err, tree.ErrUnknownNode) {
			return v.skipUnknown(block)
		}
		if err != nil {
			return 0, err
		}
		ok, err := m.has(block)
		if err != nil {
			return 0, err
		}
		if ok {
			if b, err := v.f.readPresent(nil, block); err == nil {
				overlap(p, off, b, start)
			} else if !errors.Is(err, ErrNotPresent) {
				return 0, err
			}
		}
		start += leaf.Size
	}
	return start, nil
}

// skipUnknown returns the byte behind the largest subtree around a block of which
// nothing is known. Nodes are known in pairs, so the first known ancestor is it.
func (v *View) skipUnknown(block uint64) (uint64, error) {
	i := tree.LeafIndex(block)
	for {
		known, err := v.rows.Has(i)
		if err != nil {
			return 0, err
		}
		if known {
			return tree.ByteOffset(v.rows, i.RightSpan().Block()+1)
		}
		if i.Depth() >= maxDepth {
			return 0, fmt.Errorf("block %d stands below no known node: %w", block, ErrCorrupt)
		}
		i = i.Parent()
	}
}

// maxDepth is the depth of the root of a tree of maxLength blocks.
const maxDepth = 52
