package sleep

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/crypto/blake2b"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// VerifyOptions say what Verify does. The zero value checks everything.
type VerifyOptions struct {
	// LastSignature checks only the signature of the whole feed and those that
	// prove nodes which it does not: one for each other signature is slow.
	LastSignature bool

	// SkipData does not compare blocks with their leaves.
	SkipData bool

	// Workers is how many goroutines check at a time; each takes about 2 MiB. Zero
	// means GOMAXPROCS.
	Workers int

	// OnProblem, if not nil, is called for each problem, in no particular order.
	// Verify calls it itself and goes on when it returns.
	OnProblem func(Problem)
}

// Problem is something that Verify found.
type Problem struct {
	// File is the storage that does not fit: the data for a block that is not
	// what its leaf says, the tree for nodes, signatures for slots.
	File string
	// Index is the number of the block, node or slot.
	Index uint64
	// Err says what is wrong.
	Err error
}

func (p Problem) String() string { return fmt.Sprintf("%s %d: %v", p.File, p.Index, p.Err) }

// Report counts what Verify checked.
type Report struct {
	Blocks, BadBlocks uint64
	Nodes, BadNodes   uint64
	// Signatures counts the slots that are not blank. Unchecked are those of them
	// that a sparse replica does not have the roots for, or that LastSignature
	// skipped.
	Signatures, BadSignatures, Unchecked uint64
}

// OK reports whether no problem was found.
func (r Report) OK() bool { return r.BadBlocks+r.BadNodes+r.BadSignatures == 0 }

// Verify checks whatever the files claim to hold: blocks against their leaves,
// nodes against their parents, roots against signatures. What does not fit is in
// the report; an error means that the check could not be finished. Changes go on
// meanwhile and are not looked at.
func (f *Files) Verify(ctx context.Context, opts VerifyOptions) (Report, error) {
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	v := verifier{
		files:    f,
		opts:     opts,
		ctx:      ctx,
		cancel:   cancel,
		problems: make(chan Problem),
		unproved: map[tree.Index]bool{},
	}
	v.takeSnapshot()
	go v.run()
	for p := range v.problems {
		if opts.OnProblem != nil {
			opts.OnProblem(p)
		}
	}
	return v.report, context.Cause(ctx)
}

// verifier is the state of Verify.
type verifier struct {
	files    *Files
	opts     VerifyOptions
	ctx      context.Context
	cancel   context.CancelCauseFunc
	problems chan Problem // closed when all is checked

	// As they were at the start.
	head          head
	pages         uint64
	blocks, nodes *bitmap.Set

	mu       sync.Mutex // guards the rest
	report   Report
	unproved map[tree.Index]bool // nodes that no other known node stands for
}

// takeSnapshot takes the head, and the bits that are about it. Of damaged files
// all bits are taken.
func (v *verifier) takeSnapshot() {
	f := v.files
	f.mu.Lock()
	v.head, v.pages = f.head, f.bits.Pages()
	v.blocks, v.nodes = f.bits.Blocks().Clone(), f.bits.Nodes().Clone()
	f.mu.Unlock()
	if f.opts.Inspect {
		return
	}
	// A change that is under way has its bits set already.
	end := 2 * v.head.length
	v.blocks.Remove(v.head.length, tree.MaxLength)
	v.nodes.Remove(end, 2*tree.MaxLength)
	if end > 0 {
		for i := tree.Index(end - 2); uint64(i) < 2*tree.MaxLength; i = i.Parent() {
			if uint64(i.RightSpan()) >= end {
				v.nodes.Remove(uint64(i), uint64(i)+1)
			}
		}
	}
}

// run makes all checks. It is the goroutine that Verify waits for.
func (v *verifier) run() {
	defer close(v.problems)
	v.each(v.pages, v.newPageChecker)
	v.checkHead()
	v.checkSignatures()
	for i := range v.unproved {
		v.problem(TreeFile, uint64(i), errors.New("neither hashes to a known node nor is a root of a signed length"))
	}
}

func (v *verifier) problem(file string, index uint64, err error) {
	v.mu.Lock()
	switch file {
	case DataFile:
		v.report.BadBlocks++
	case TreeFile:
		v.report.BadNodes++
	case SignaturesFile:
		v.report.BadSignatures++
	}
	v.mu.Unlock()
	v.problems <- Problem{file, index, err}
}

// each runs checks for the numbers below count on all workers, each with a
// checker of its own, until the context ends.
func (v *verifier) each(count uint64, newChecker func() func(uint64) error) {
	var wg sync.WaitGroup
	next := make(chan uint64)
	for range min(uint64(v.opts.Workers), count) {
		wg.Go(func() {
			check := newChecker()
			for n := range next {
				if err := check(n); err != nil {
					v.cancel(err)
				}
			}
		})
	}
	for n := range count {
		if v.ctx.Err() != nil {
			break
		}
		next <- n
	}
	close(next)
	wg.Wait()
}

// pageChecker checks the nodes and blocks that a page of the bitfield is about.
// Nodes up to pageDepth have their children in the same page.
type pageChecker struct {
	*verifier
	first   tree.Index // node of the page
	known   []bool     // of its nodes
	entries []byte     // of its nodes
	data    []byte     // buffer
}

func (v *verifier) newPageChecker() func(uint64) error {
	c := &pageChecker{
		verifier: v,
		known:    make([]bool, bitmap.FilePageNodes),
		entries:  make([]byte, bitmap.FilePageNodes*NodeSize),
		data:     make([]byte, 1<<20),
	}
	return c.check
}

func (c *pageChecker) check(page uint64) error {
	c.first = tree.Index(page * bitmap.FilePageNodes)
	clear(c.known)
	nodes := uint64(0)
	for run := range c.nodes.Runs(uint64(c.first), uint64(c.first)+bitmap.FilePageNodes) {
		nodes += run.Len()
		for i := run.Start; i < run.End; i++ {
			c.known[i-uint64(c.first)] = true
		}
	}
	c.mu.Lock()
	c.report.Nodes += nodes
	c.mu.Unlock()
	if nodes > 0 {
		if err := c.files.readNodes(c.entries, c.first); err != nil {
			return err
		}
		if err := c.checkNodes(); err != nil {
			return err
		}
	}
	return c.checkBlocks()
}

// has reports whether a node is known, in this page or not.
func (c *pageChecker) has(i tree.Index) bool {
	if in := i - c.first; in < bitmap.FilePageNodes {
		return c.known[in]
	}
	return c.nodes.Has(uint64(i))
}

// node returns a node that is known.
func (c *pageChecker) node(i tree.Index) (tree.Node, bool, error) {
	if in := i - c.first; in < bitmap.FilePageNodes {
		n, ok := ParseNode(i, (*[NodeSize]byte)(c.entries[in*NodeSize:]))
		return n, ok && n.Size <= tree.MaxSize, nil
	}
	return c.files.storedNode(i)
}

func (c *pageChecker) checkNodes() error {
	for in, known := range c.known {
		if !known {
			continue
		}
		i := c.first + tree.Index(in)
		n, ok, err := c.node(i)
		if err != nil {
			return err
		}
		if !ok {
			c.problem(TreeFile, uint64(i), errors.New("is known, but blank or too large"))
			continue
		}
		if left, ok := i.Left(); ok && c.has(left) && c.has(left.Sibling()) {
			if err := c.checkParent(n, left); err != nil {
				return err
			}
		}
		if !c.has(i.Parent()) || !c.has(i.Sibling()) {
			c.mu.Lock()
			c.unproved[i] = true
			c.mu.Unlock()
		}
	}
	return nil
}

// checkParent compares a node with its children, the left of which is given.
func (c *pageChecker) checkParent(n tree.Node, left tree.Index) error {
	a, ok, err := c.node(left)
	if !ok || err != nil {
		return err // a problem of the child
	}
	b, ok, err := c.node(left.Sibling())
	if !ok || err != nil {
		return err
	}
	if tree.ParentNode(a, b) != n {
		c.problem(TreeFile, uint64(n.Index), fmt.Errorf("is not the parent of %d and %d", a.Index, b.Index))
	}
	return nil
}

// checkBlocks compares the blocks of the page with their leaves.
func (c *pageChecker) checkBlocks() error {
	start := c.first.Block()
	blocks := uint64(0)
	for run := range c.blocks.Runs(start, start+bitmap.FilePageBlocks) {
		blocks += run.Len()
		if c.opts.SkipData {
			continue
		}
		if err := c.checkRun(run); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.report.Blocks += blocks
	c.mu.Unlock()
	return nil
}

func (c *pageChecker) checkRun(run bitmap.Run) error {
	offset, err := tree.ByteOffset(bitsTree{c.verifier}, run.Start)
	known := err == nil
	for n := run.Start; n < run.End; n++ {
		if c.ctx.Err() != nil {
			return nil
		}
		leaf, ok, err := c.node(tree.LeafIndex(n))
		switch {
		case err != nil:
			return err
		case !ok || !c.has(leaf.Index):
			c.problem(DataFile, n, errors.New("has no leaf"))
			known = false
			continue
		case !known:
			// After a block without a leaf the offset has to be found again.
			offset, err = tree.ByteOffset(bitsTree{c.verifier}, n)
			if known = err == nil; !known {
				c.problem(DataFile, n, fmt.Errorf("its place is not known: %w", err))
				continue
			}
		}
		hash, err := leafHashAt(c.ctx, c.files, offset, leaf.Size, c.data)
		if err == nil && hash != leaf.Hash {
			err = errors.New("does not hash to its leaf")
		}
		if err != nil && c.ctx.Err() == nil && c.files.hasBit(n) {
			c.problem(DataFile, n, err)
		}
		offset += leaf.Size
	}
	return nil
}

// hasBit reports whether a block is still present, whatever the length.
func (f *Files) hasBit(n uint64) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.bits.HasBlock(n)
}

// bitsTree is the tree.Reader of the nodes of the snapshot.
type bitsTree struct{ *verifier }

func (t bitsTree) Has(i tree.Index) (bool, error) { return t.nodes.Has(uint64(i)), nil }

func (t bitsTree) Node(i tree.Index) (tree.Node, error) {
	if !t.nodes.Has(uint64(i)) {
		return tree.Node{}, unknownNode(i)
	}
	return storedTree{t.files}.Node(i)
}

// checkHead checks the roots of the length.
func (v *verifier) checkHead() {
	if v.head.length == 0 || v.ctx.Err() != nil {
		return
	}
	h, state, err := v.files.probe(v.head.length)
	slot := h.length - 1
	switch {
	case err != nil:
		v.cancel(err)
	case state == unreadable:
		v.problem(TreeFile, uint64(tree.LeafIndex(slot)), fmt.Errorf("roots of the length %d are absent or wrong", h.length))
	case state == unsigned:
		v.problem(SignaturesFile, slot, fmt.Errorf("the length %d is not signed", h.length))
	case state == mismatch:
		// checkSignatures has it.
	case state == proved:
		for _, n := range h.roots {
			delete(v.unproved, n.Index)
		}
	}
}

// checkSignatures checks the slots that are not blank.
func (v *verifier) checkSignatures() {
	const group = slotsRead
	v.each((v.head.length+group-1)/group, func() func(uint64) error {
		buf := make([]byte, group*SignatureSize)
		return func(g uint64) error {
			first := g * group
			b := buf[:min(group, v.head.length-first)*SignatureSize]
			n, err := readUpTo(v.files.signatures, b, SignatureOffset(first))
			if err != nil {
				return err
			}
			for i := 0; i+SignatureSize <= n && v.ctx.Err() == nil; i += SignatureSize {
				if sig := b[i : i+SignatureSize]; !isBlank(sig) {
					if err := v.checkSignature(first+uint64(i/SignatureSize), tree.Signature(sig)); err != nil {
						return err
					}
				}
			}
			return nil
		}
	})
}

func (v *verifier) checkSignature(slot uint64, sig tree.Signature) error {
	roots, err := tree.Roots(bitsTree{v}, slot+1)
	v.mu.Lock()
	v.report.Signatures++
	check := err == nil && (!v.opts.LastSignature || slot+1 == v.head.length)
	for _, n := range roots {
		check = check || err == nil && v.unproved[n.Index]
	}
	if !check {
		v.report.Unchecked++
	}
	v.mu.Unlock()
	switch {
	case errors.Is(err, tree.ErrMissingRoots):
		return nil
	case err != nil || !check:
		return err
	}
	err = v.files.opts.Crypto.VerifyRoots(roots, slot+1, sig, v.files.key)
	if errors.Is(err, tree.ErrSignature) {
		v.problem(SignaturesFile, slot, err)
		return nil
	}
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range roots {
		delete(v.unproved, n.Index)
	}
	return nil
}

// leafHashAt returns the hash of the leaf of the block that is in the data at
// offset. It reads through buf, so that a size from a damaged tree does no harm.
func leafHashAt(ctx context.Context, f *Files, offset, size uint64, buf []byte) (tree.Hash, error) {
	if size <= uint64(len(buf)) {
		if err := ctx.Err(); err != nil {
			return tree.Hash{}, err
		}
		data, err := f.ReadData(buf[:0], offset, size)
		return tree.LeafHash(data), err
	}
	info, err := f.data.Stat()
	if err != nil {
		return tree.Hash{}, err
	}
	if size > tree.MaxSize || offset > tree.MaxSize || uint64(info.Size) < offset+size {
		return tree.Hash{}, damaged(DataFile, "ends at %d, before %d bytes at %d", info.Size, size, offset)
	}
	// As tree.LeafHash, in parts.
	h, err := blake2b.New256(nil)
	if err != nil {
		return tree.Hash{}, err
	}
	var prefix [9]byte
	binary.BigEndian.PutUint64(prefix[1:], size)
	h.Write(prefix[:])
	for size > 0 {
		if err := ctx.Err(); err != nil {
			return tree.Hash{}, err
		}
		data, err := f.ReadData(buf[:0], offset, min(size, uint64(len(buf))))
		if err != nil {
			return tree.Hash{}, err
		}
		h.Write(data)
		offset += uint64(len(data))
		size -= uint64(len(data))
	}
	return tree.Hash(h.Sum(nil)), nil
}
