package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// ImportOptions say how a feed is taken from files.
type ImportOptions struct {
	// Name is a local name for the feed, when it is new to the store.
	Name string
	// Public leaves a secret key that is there out.
	Public bool
	// Progress, when not nil, is called now and then with the blocks imported so
	// far and in all.
	Progress func(done, total uint64)
}

// Imported tells what an import has taken.
type Imported struct {
	// Key is the public key of the feed.
	Key tree.PublicKey
	// Length is the length of the feed in the store now.
	Length uint64
	// Blocks and Bytes are what was new to the store.
	Blocks, Bytes uint64
	// Writable is set when the secret key came too.
	Writable bool
}

// importChunk is how many blocks become one change, a multiple of what is stored together;
// importBytes bounds their bytes.
const (
	importChunk = 64 * nodeGroupSize
	importBytes = 8 << 20
)

// Import takes a feed from the six files of hypercore 9. Every node, signature and
// block is verified before anything is stored: a damaged source changes nothing,
// and the error, which matches ErrCorrupt, names what is wrong. The files are only
// read.
//
// When the store has the feed already, the import adds what is missing. A source
// that contradicts what is here is refused with a *tree.ForkError. An import that
// was interrupted can be repeated.
//
// A secret key comes along. The feed is guarded while the import runs, and stays so
// when an older copy of it was in the store without the key.
func (s *Store) Import(ctx context.Context, open randomaccess.Opener, opts *ImportOptions) (Imported, error) {
	var o ImportOptions
	if opts != nil {
		o = *opts
	}
	files, err := sleep.Open(ctx, open, sleep.Options{ReadOnly: true})
	if err != nil {
		if errors.Is(err, sleep.ErrNoFeed) {
			return Imported{}, fmt.Errorf("import: %w: %w", ErrNoFeed, err)
		}
		return Imported{}, fmt.Errorf("import: %w", fileError(err))
	}
	defer files.Close()
	if err := verifyFiles(ctx, files); err != nil {
		return Imported{}, fmt.Errorf("import: %w", err)
	}
	out, err := s.importFiles(ctx, files, &o)
	if err != nil {
		return out, fmt.Errorf("import: %w", err)
	}
	return out, nil
}

// maxProblems is how many problems an error of an import names.
const maxProblems = 5

// verifyFiles checks everything the files claim to hold.
func verifyFiles(ctx context.Context, files *sleep.Files) error {
	var first []error
	report, err := files.Verify(ctx, sleep.VerifyOptions{OnProblem: func(p sleep.Problem) {
		if len(first) < maxProblems {
			first = append(first, errors.New(p.String()))
		}
	}})
	if err != nil {
		return err
	}
	if !report.OK() {
		return fmt.Errorf("%w: %d blocks, %d tree nodes and %d signatures of the source do not verify: %w",
			ErrCorrupt, report.BadBlocks, report.BadNodes, report.BadSignatures, errors.Join(first...))
	}
	return nil
}

func (s *Store) importFiles(ctx context.Context, files *sleep.Files, o *ImportOptions) (Imported, error) {
	out := Imported{Key: files.Key()}
	fo := FeedOptions{Sparse: true}
	if sk, ok := files.SecretKey(); ok && !o.Public {
		fo.SecretKey = &sk
	}
	_, err := s.Info(out.Key.DiscoveryKey())
	if err != nil && !errors.Is(err, ErrNoFeed) {
		return out, err
	}
	added := err != nil
	f, err := s.openFeed(ctx, out.Key, fo, openMode{name: o.Name, guarded: fo.SecretKey != nil})
	if err != nil {
		return out, err
	}
	defer f.Close()
	i := &importer{ctx: ctx, files: files, feed: f, progress: o.Progress, total: files.CountBlocks(0, files.Length())}
	if f.Length() == 0 {
		err = i.copyAll()
	} else {
		err = i.merge()
	}
	if err == nil && added && fo.SecretKey != nil {
		err = f.Unguard(ctx)
	}
	out.Length, out.Blocks, out.Bytes, out.Writable = f.Length(), i.blocks, i.bytes, f.live.writable
	return out, err
}

// importer brings one feed into the store.
type importer struct {
	ctx      context.Context
	files    *sleep.Files
	feed     *Feed
	progress func(done, total uint64)

	done, total   uint64 // blocks of the source
	blocks, bytes uint64 // new to the store
}

func (i *importer) step(n int) error {
	i.done += uint64(n)
	if i.progress != nil {
		i.progress(i.done, i.total)
	}
	if i.ctx.Err() != nil {
		return context.Cause(i.ctx)
	}
	return nil
}

// copyAll fills a feed that is empty, with changes of consecutive blocks and their
// nodes. The first one has the head: whatever happens then, the feed is a replica
// that lacks some blocks.
func (i *importer) copyAll() error {
	length, byteLength, roots := i.files.Head()
	if length == 0 {
		return nil
	}
	signatures, err := i.signatures(length)
	if err != nil {
		return err
	}
	err = i.change(func(h *head) (*change, error) {
		next := *h
		next.length, next.byteLength, next.roots = length, byteLength, slices.Clone(roots)
		c := &change{nodes: next.roots, signatures: signatures}
		return c, c.setPresent(i.feed.live.be, h, &next, nil, nil)
	})
	for start := uint64(0); err == nil && start < length; {
		start, err = i.copyChunk(start, length)
	}
	return err
}

// signatures reads all signatures of the source.
func (i *importer) signatures(length uint64) ([]signedLength, error) {
	var out []signedLength
	for slot := uint64(0); slot < length; {
		at, sig, err := i.files.NextSignature(slot)
		if errors.Is(err, tree.ErrNoSignature) {
			break
		}
		if err != nil {
			return nil, fileError(err)
		}
		out = append(out, signedLength{at + 1, sig})
		slot = at + 1
	}
	return out, nil
}

// change writes one change of the import.
func (i *importer) change(build func(h *head) (*change, error)) error {
	return i.feed.live.write(&op{kind: opChange, feed: i.feed, build: build})
}

// copyChunk copies blocks from start on, with the nodes that stand among them in
// the flat tree, and returns where the next chunk begins.
func (i *importer) copyChunk(start, length uint64) (next uint64, err error) {
	var blocks []placedBlock
	size := uint64(0)
	next = start
	for next < length && next-start < importChunk && (size < importBytes || next%nodeGroupSize != 0) {
		present, stop := i.files.HasBlock(next), min(length, start+importChunk)
		if !present {
			at, ok := i.files.NextBlock(next)
			if !ok {
				at = stop
			}
			next = min(at, stop)
			continue
		}
		b, err := i.block(next)
		if err != nil {
			return 0, err
		}
		blocks = append(blocks, b)
		size += uint64(len(b.data))
		next++
	}
	nodes, err := i.nodes(start, next)
	if err == nil && next > start {
		nodes, err = i.appendPath(nodes, next-1)
	}
	if err != nil {
		return 0, err
	}
	err = i.change(func(h *head) (*change, error) {
		n := *h
		c := &change{blocks: blocks, nodes: nodes}
		return c, c.setPresent(i.feed.live.be, h, &n, blockRuns(blocks), nil)
	})
	if err != nil {
		return 0, err
	}
	i.blocks += uint64(len(blocks))
	i.bytes += size
	return next, i.step(len(blocks))
}

// block reads a block and compares it with its leaf once more: it may have changed
// since it was verified.
func (i *importer) block(index uint64) (placedBlock, error) {
	offset, size, err := i.files.BlockRange(index)
	if err != nil {
		return placedBlock{}, &BlockError{Block: index, Err: fileError(err)}
	}
	data, err := i.files.ReadData(nil, offset, size)
	if err != nil {
		return placedBlock{}, &BlockError{Block: index, Err: fileError(err)}
	}
	leaf, err := i.files.ReadNode(tree.LeafIndex(index))
	if err == nil && leaf != tree.Leaf(index, data) {
		err = fmt.Errorf("%w: the block is not what its hash says", ErrCorrupt)
	}
	if err != nil {
		return placedBlock{}, &BlockError{Block: index, Err: fileError(err)}
	}
	return placedBlock{index: index, offset: offset, data: data}, nil
}

// nodes reads the known nodes that stand between two blocks.
func (i *importer) nodes(start, end uint64) ([]tree.Node, error) {
	var out []tree.Node
	for n, err := range i.files.Nodes(tree.LeafIndex(start), tree.LeafIndex(end)) {
		if err != nil {
			return nil, fileError(err)
		}
		out = append(out, n)
	}
	return out, nil
}

// appendPath adds the known nodes on the way from a block to its root, and their
// siblings: however far the import gets, nodes are known in pairs.
func (i *importer) appendPath(nodes []tree.Node, block uint64) ([]tree.Node, error) {
	for at := tree.LeafIndex(block); at.Depth() < maxDepth; at = at.Parent() {
		for _, k := range [...]tree.Index{at, at.Sibling()} {
			if !i.files.HasNode(k) {
				continue
			}
			n, err := i.files.ReadNode(k)
			if err != nil {
				return nil, fileError(err)
			}
			nodes = append(nodes, n)
		}
	}
	return nodes, nil
}

// merge adds what is missing to a feed that the store has, the way it would come
// from a peer: with proofs against what is known.
func (i *importer) merge() error {
	length := i.files.Length()
	if length == 0 {
		return nil
	}
	last := length - 1
	if i.files.HasNode(tree.LeafIndex(last)) {
		if err := i.deliver([]tree.Delivery{{Block: last}}); err != nil {
			return err
		}
	}
	for r := range i.files.Blocks(0, length) {
		if err := i.mergeRun(r); err != nil {
			return err
		}
	}
	return nil
}

// mergeRun delivers the blocks of a run that are missing.
func (i *importer) mergeRun(r bitmap.Run) error {
	var batch []tree.Delivery
	size := 0
	flush := func() error {
		err := i.deliver(batch)
		batch, size = batch[:0], 0
		return err
	}
	for index := r.Start; index < r.End; index++ {
		if i.feed.Has(index) {
			if err := i.step(1); err != nil {
				return err
			}
			continue
		}
		b, err := i.block(index)
		if err != nil {
			return err
		}
		batch = append(batch, tree.Delivery{Block: index, Data: b.data, HasData: true})
		i.blocks++
		i.bytes += uint64(len(b.data))
		if size += len(b.data); size >= importBytes || len(batch) >= importChunk {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// fromFiles is who delivers the blocks of an import. What files prove does not make
// a guard fall: another copy of the feed may be ahead of them.
type fromFiles struct{}

// deliver completes deliveries with their proofs and hands them to the feed.
func (i *importer) deliver(batch []tree.Delivery) error {
	for k := range batch {
		d := &batch[k]
		digest := uint64(0)
		var err error
		if d.HasData {
			if digest, err = i.feed.Digest(d.Block); err != nil {
				return err
			}
		}
		if d.Proof, err = tree.Prove(i.files.Tree(), i.files.ReadSignature, d.Block, digest, !d.HasData); err != nil {
			return err
		}
	}
	if _, err := i.feed.Deliver(i.ctx, fromFiles{}, batch); err != nil {
		return err
	}
	return i.step(len(batch))
}
