package static

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/codec/protobuf"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// Keys of the database of hypercore 1. What follows them is, in hex, the id, the hash of the
// leaf, or the pointer, "!" and the index in decimal.
const (
	levelFeeds     = "!feeds!"
	levelBitfields = "!bitfields!"
	levelBlocks    = "!blocks!"
	levelHashes    = "!hashes!!"
)

// Batches in which an import delivers what it reads.
const (
	importBlocks = 512
	importBytes  = 4 << 20
)

// Import copies the feeds of a hypercore 1 database, a LevelDB directory that no other
// process has open, into the store, with all blocks that are there, and yields each feed
// when it is stored. Everything is verified. The directory is opened read-only; at most an
// empty file LOCK is added to it.
//
// An error beside a feed is about that feed: what is sound of it was stored, and the import
// goes on. An error beside a zero Info is about the directory and ends it.
func (c *Core) Import(ctx context.Context, dir string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		db, err := leveldb.OpenFile(dir, &opt.Options{ReadOnly: true, ErrorIfMissing: true, Strict: opt.StrictAll})
		if err != nil {
			yield(Info{}, fmt.Errorf("open LevelDB directory %s: %w", dir, err))
			return
		}
		defer db.Close()
		it := db.NewIterator(util.BytesPrefix([]byte(levelFeeds)), nil)
		defer it.Release()
		for it.Next() {
			info, err := c.importFeed(ctx, db, string(it.Key()), it.Value())
			if !yield(info, err) || ctx.Err() != nil {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(Info{}, fmt.Errorf("read LevelDB directory %s: %w", dir, err))
		}
	}
}

// levelFeed is the record of a feed in a database.
type levelFeed struct {
	id      ID
	blocks  uint64
	pointer string // in hex
}

// parseLevelFeed decodes a record: 1 id, 2 blocks, 4 pointer. Without pointer it is the id.
func parseLevelFeed(key string, value []byte) (levelFeed, error) {
	var f levelFeed
	id, err := ParseID(strings.TrimPrefix(key, levelFeeds))
	if err != nil {
		return f, fmt.Errorf("feed record %q: %w: %w", key, engine.ErrCorrupt, err)
	}
	f.id, f.pointer = id, id.String()
	r := protobuf.NewReader(value)
	for r.Next() {
		switch r.Number() {
		case 1:
			if string(r.Bytes()) != string(id[:]) {
				r.Fail(errors.New("not the id of its key"))
			}
		case 2:
			if f.blocks = r.Uint64(); f.blocks > MaxBlocks {
				r.Fail(ErrTooLong)
			}
		case 4:
			f.pointer = hex.EncodeToString(r.Bytes())
		}
	}
	if err := r.Finish(1, 2); err != nil {
		return f, fmt.Errorf("%w: %w", engine.ErrCorrupt, err)
	}
	return f, nil
}

// importFeed copies one feed.
func (c *Core) importFeed(ctx context.Context, db *leveldb.DB, key string, value []byte) (info Info, err error) {
	rec, err := parseLevelFeed(key, value)
	if err != nil {
		return Info{ID: rec.id}, err
	}
	f, err := c.open(rec.id, false, true)
	if err != nil {
		return Info{ID: rec.id}, err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if stored, e := c.Info(rec.id); e == nil {
			info = stored
		}
	}()
	info.ID, info.Blocks = rec.id, rec.blocks
	im := importer{ctx: ctx, db: db, levelFeed: rec, feed: f}
	if err := im.run(); err != nil {
		return info, f.fail(err)
	}
	return info, nil
}

// importer copies the blocks of one feed.
type importer struct {
	ctx context.Context
	db  *leveldb.DB
	levelFeed
	feed  *Feed
	batch []tree.Delivery
	bytes int
	bad   error // the first blocks that are damaged
	count int   // how many are
}

func (im *importer) run() error {
	bits, err := im.db.Get([]byte(levelBitfields+im.id.String()), nil)
	if err != nil {
		return fmt.Errorf("bitfield: %w", err)
	}
	for run := range presentBits(bits).Runs(0, im.blocks) {
		for n := run.Start; n < run.End; n++ {
			if im.feed.Has(n) {
				continue
			}
			if err := im.add(n); err != nil {
				return err
			}
		}
	}
	if err := im.flush(); err != nil {
		return err
	}
	if im.count > 0 {
		return fmt.Errorf("%d blocks were left out, the first of them: %w", im.count, im.bad)
	}
	return nil
}

// presentBits returns the blocks of a bitfield, most significant bit of a byte first.
func presentBits(b []byte) *bitmap.Set {
	set := bitmap.NewSet()
	for number := uint64(0); len(b) > 0; number++ {
		chunk := b[:min(len(b), bitmap.PageSize/8)]
		b = b[len(chunk):]
		page, err := bitmap.PageFromBits(append(make([]byte, 0, bitmap.PageSize/8), chunk...)[:bitmap.PageSize/8])
		if err == nil { // the length is right
			set.SetPage(number, page)
		}
	}
	return set
}

// leave notes a block that cannot be had.
func (im *importer) leave(n uint64, err error) {
	if im.count++; im.count == 1 {
		im.bad = blockError(n, err)
	}
}

// node reads the hash of a node, ok false when it is not there.
func (im *importer) node(i tree.Index) (n tree.Node, ok bool, err error) {
	v, err := im.db.Get([]byte(levelHashes+im.pointer+"!"+strconv.FormatUint(uint64(i), 10)), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return tree.Node{}, false, nil
	}
	if err == nil && len(v) != tree.HashSize {
		err = fmt.Errorf("node %d has %d bytes: %w", i, len(v), engine.ErrCorrupt)
	}
	if err != nil {
		return tree.Node{}, false, err
	}
	return tree.Node{Index: i, Hash: ID(v)}, true, nil
}

// add reads a block with its proof.
func (im *importer) add(n uint64) error {
	leaf, ok, err := im.node(tree.LeafIndex(n))
	if err != nil || !ok {
		im.leave(n, missing(err, "its hash is missing"))
		return nil
	}
	data, err := im.db.Get([]byte(levelBlocks+leaf.Hash.String()), nil)
	if err != nil {
		im.leave(n, fmt.Errorf("its data: %w", err))
		return nil
	}
	var space [2 * maxRoots]tree.Index
	var proof []tree.Node
	for _, i := range appendProofIndexes(space[:0], n, im.blocks) {
		node, ok, err := im.node(i)
		if err != nil || !ok {
			im.leave(n, missing(err, fmt.Sprintf("node %d of its proof is missing", i)))
			return nil
		}
		proof = append(proof, node)
	}
	im.batch = append(im.batch, tree.Delivery{Block: n, Data: data, HasData: true, Proof: tree.Proof{Nodes: proof}})
	if im.bytes += len(data); len(im.batch) >= importBlocks || im.bytes >= importBytes {
		return im.flush()
	}
	return nil
}

// missing returns err, or an error with the text when it is nil.
func missing(err error, text string) error {
	if err == nil {
		err = fmt.Errorf("%s: %w", text, engine.ErrCorrupt)
	}
	return err
}

// flush delivers what was read, without what does not verify.
func (im *importer) flush() error {
	for len(im.batch) > 0 {
		if im.ctx.Err() != nil {
			return context.Cause(im.ctx)
		}
		n, err := im.feed.Deliver(im.ctx, im.batch)
		if err != nil && !errors.Is(err, ErrProof) {
			return err
		}
		if err != nil {
			im.leave(im.batch[n].Block, err)
			n++
		}
		im.batch = im.batch[n:]
	}
	im.batch, im.bytes = nil, 0
	return nil
}
