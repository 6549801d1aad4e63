package sleep

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
)

// The steps of Commit: store, syncChange, mark, writePages. All of them run with
// f.change held.

const (
	// writeSize is how much is gathered for one write. What is larger is written
	// from where it is.
	writeSize = 256 << 10

	// keptNodes is how much scratch space for nodes is kept between changes: 200
	// KiB. That for writes never takes more than writeSize.
	keptNodes = 1 << 12

	// maxGap is the number of absent nodes that are written as zeros rather than
	// left out between two nodes behind the length.
	maxGap = 64
)

// gather joins writes to one storage that follow each other.
type gather struct {
	to  randomaccess.Storage
	buf []byte
	at  int64 // where buf goes
}

// write writes p at off, now or with the next flush.
func (g *gather) write(p []byte, off int64) error {
	if off != g.at+int64(len(g.buf)) || len(g.buf)+len(p) > writeSize {
		if err := g.flush(); err != nil {
			return err
		}
		g.at = off
	}
	if len(p) >= writeSize {
		_, err := g.to.WriteAt(p, off)
		g.at = off + int64(len(p))
		return err
	}
	g.buf = append(g.buf, p...)
	return nil
}

func (g *gather) flush() error {
	if len(g.buf) == 0 {
		return nil
	}
	_, err := g.to.WriteAt(g.buf, g.at)
	g.at += int64(len(g.buf))
	g.buf = g.buf[:0]
	return err
}

// store writes data, nodes and signatures.
func (f *Files) store(c *Change) error {
	data := gather{to: f.data, buf: f.buf[:0]}
	for _, b := range c.Blocks {
		if err := data.write(b.Data, int64(b.Offset)); err != nil {
			return err
		}
	}
	if err := data.flush(); err != nil {
		return err
	}

	nodes := gather{to: f.tree, buf: data.buf}
	var entry [(1 + maxGap) * NodeSize]byte
	for i, n := range f.nodes {
		b := entry[:0]
		at := n.Index
		// Behind the length no node is known, so zeros may be written. The
		// reference does so for all nodes of a batch.
		if i > 0 {
			if next := f.nodes[i-1].Index + 1; uint64(next) >= 2*f.head.length && at-next <= maxGap {
				b = entry[:int(at-next)*NodeSize]
				clear(b)
				at = next
			}
		}
		if err := nodes.write(AppendNode(b, n), NodeOffset(at)); err != nil {
			return err
		}
	}
	if err := nodes.flush(); err != nil {
		return err
	}

	signatures := gather{to: f.signatures, buf: nodes.buf}
	for _, s := range c.Signatures {
		if err := signatures.write(s.Signature[:], SignatureOffset(s.Slot)); err != nil {
			return err
		}
	}
	f.buf = signatures.buf
	return signatures.flush()
}

// syncChange makes durable what store wrote, and the data bits of blocks whose
// leaves are new.
//
// A page of the bitfield is more than a disk writes in one piece. If power is
// lost while the commit record is written, any of its bits may arrive without the
// others. Open completes the tree bits from each other and from the tree itself,
// but whether a block is here, or was cleared, only its data bit says: so these
// come first. Without its leaf a data bit means nothing yet.
func (f *Files) syncChange(c *Change) error {
	early := false
	for run := range runsOf(c.Blocks) {
		for run.Start < run.End {
			page := run.Start / bitmap.FilePageBlocks
			end := min(run.End, (page+1)*bitmap.FilePageBlocks)
			wrote, err := f.writeDataBits(page, run.Start, end)
			if err != nil {
				return err
			}
			early = early || wrote
			run.Start = end
		}
	}
	var dirty []randomaccess.Storage
	for _, s := range []struct {
		storage randomaccess.Storage
		changed bool
	}{
		{f.data, len(c.Blocks) > 0},
		{f.tree, len(c.Nodes) > 0},
		{f.signatures, len(c.Signatures) > 0},
		{f.bitfield, early},
	} {
		if s.changed {
			dirty = append(dirty, s.storage)
		}
	}
	return syncAll(dirty)
}

// writeDataBits sets the data bits of the blocks [start, end), all in one page,
// on disk, except for those whose leaf is known. It reports whether there were
// others.
func (f *Files) writeDataBits(page, start, end uint64) (bool, error) {
	first, last := start/8, (end-1)/8
	var old, space [dataBits]byte
	b := space[:last-first+1]
	for i := range b {
		for k := range uint64(8) {
			n := (first+uint64(i))*8 + k
			present := f.bits.HasBlock(n)
			if present {
				old[i] |= 0x80 >> k
			}
			if present || n >= start && n < end && !f.bits.HasNode(2*n) {
				b[i] |= 0x80 >> k
			}
		}
	}
	if bytes.Equal(b, old[:len(b)]) {
		return false, nil
	}
	_, err := f.bitfield.WriteAt(b, PageOffset(page, f.indexSize)+int64(first%dataBits))
	return true, err
}

// syncAll syncs several storages at the same time.
func syncAll(storages []randomaccess.Storage) error {
	errs := make([]error, len(storages))
	var wg sync.WaitGroup
	for i, s := range storages[min(1, len(storages)):] {
		wg.Go(func() { errs[i+1] = s.Sync() })
	}
	if len(storages) > 0 {
		errs[0] = storages[0].Sync()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// mark makes the bits those after the change. f.mu must be held.
func (f *Files) mark(c *Change) {
	// The leaves of an append are a run, which costs less than one by one. Most of
	// the parents are known with them.
	var run bitmap.Run
	for _, n := range f.nodes {
		if !n.Index.IsLeaf() {
			continue
		}
		if n.Index.Block() != run.End {
			f.bits.SetLeaves(run.Start, run.End)
			run.Start = n.Index.Block()
		}
		run.End = n.Index.Block() + 1
	}
	f.bits.SetLeaves(run.Start, run.End)
	for _, n := range f.nodes {
		if !n.Index.IsLeaf() {
			f.bits.SetNode(uint64(n.Index))
		}
	}
	for run := range runsOf(c.Blocks) {
		f.bits.SetBlocks(run.Start, run.End)
	}
	for _, r := range c.Present {
		f.bits.SetBlocks(r.Start, r.End)
	}
	for _, r := range c.Missing {
		f.bits.ClearBlocks(r.Start, r.End)
	}
}

// writePages writes the pages that changed, and more ones, as commit record. The
// last page comes first: its blocks and leaves may complete trees that have their
// roots in earlier pages, and a root without its leaves could not be mended.
func (f *Files) writePages(more []uint64) error {
	pages := slices.Concat(more, f.bits.Dirty())
	if len(pages) == 0 {
		return nil
	}
	slices.Sort(pages)
	pages = slices.Compact(pages)
	for _, p := range slices.Backward(pages) {
		f.buf = f.bits.AppendPage(f.buf[:0], p)
		if _, err := f.bitfield.WriteAt(f.buf, PageOffset(p, f.indexSize)); err != nil {
			return err
		}
	}
	if f.opts.Sync {
		if err := f.bitfield.Sync(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	f.bits.MarkClean()
	f.mu.Unlock()
	return nil
}

// dropScratch lets go of scratch space that a large change took.
func (f *Files) dropScratch() {
	if cap(f.nodes) > keptNodes {
		f.nodes = nil
	}
}

// runsOf yields the indexes of blocks as runs of consecutive ones.
func runsOf(blocks []Block) iter.Seq[bitmap.Run] {
	return func(yield func(bitmap.Run) bool) {
		for len(blocks) > 0 {
			n := 1
			for n < len(blocks) && blocks[n].Index == blocks[n-1].Index+1 {
				n++
			}
			if !yield(bitmap.Run{Start: blocks[0].Index, End: blocks[n-1].Index + 1}) {
				return
			}
			blocks = blocks[n:]
		}
	}
}
