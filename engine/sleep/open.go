package sleep

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/tree"
)

// Options say how to open a feed. The zero value opens the feed that is stored or
// creates one with a new key pair.
type Options struct {
	// Key is the public key of the feed. If another feed is stored, Open fails
	// with an [*OtherFeedError]. The zero key means the stored one, or that of
	// SecretKey.
	Key tree.PublicKey

	// SecretKey makes the feed writable. It is not used if one is stored.
	SecretKey tree.SecretKey

	// DiscardSecretKey keeps the secret key in memory and does not store it.
	DiscardSecretKey bool

	// NoCreate fails with ErrNoFeed where a new key pair would have to be made.
	NoCreate bool

	// Overwrite forgets the feed that is stored, if any.
	Overwrite bool

	// Force is Overwrite if the stored key is not Key, or is missing.
	Force bool

	// MustWrite fails with ErrNotWritable if no secret key is known.
	MustWrite bool

	// ReadOnly changes nothing: no file is created, repaired or written to, and
	// changes fail with ErrReadOnly. If nothing is stored Open fails with
	// ErrNoFeed. The opener should be read-only too, or it may create files.
	ReadOnly bool

	// Inspect is ReadOnly and opens damaged feeds too, as far as possible. The
	// length is what the bitfield says, and nothing is recovered. It is for
	// [Files.Verify].
	Inspect bool

	// Sync makes changes durable before they return. Without it a change
	// survives the process but maybe not a loss of power.
	Sync bool

	// Crypto replaces Ed25519. If it is set, secret keys are not compared with
	// public ones.
	Crypto *tree.Crypto

	// MaxBitfield bounds the bytes of the bitfield, which is read when the feed
	// is opened. Zero means 1 GiB, enough for 2.4 billion blocks.
	MaxBitfield int64
}

// Open opens a feed, in the steps that doc.go describes. Errors match ErrNoFeed,
// ErrOtherFeed, ErrNotWritable, ErrLocked, ErrUnsupportedVersion, ErrDamaged or
// those of the storages; with an error everything is closed again. The caller
// closes the Files.
//
// The context ends a recovery that has much to read, as after the bitfield was
// lost.
func Open(ctx context.Context, open randomaccess.Opener, opts Options) (*Files, error) {
	if opts.Inspect {
		opts.ReadOnly = true
	}
	if opts.MaxBitfield == 0 {
		opts.MaxBitfield = 1 << 30
	}
	f := &Files{opts: opts}
	if err := f.open(ctx, open); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *Files) open(ctx context.Context, open randomaccess.Opener) error {
	o := opening{Files: f, ctx: ctx}
	if err := o.openStorages(open); err != nil {
		return err
	}
	if err := o.readKeys(); err != nil {
		return err
	}
	if err := o.readHeaders(); err != nil {
		return err
	}
	if err := o.chooseKeys(); err != nil {
		return err
	}
	if err := o.readBits(); err != nil {
		return err
	}
	if err := f.settle(&o); err != nil {
		return err
	}
	if f.opts.MustWrite && !f.Writable() {
		return ErrNotWritable
	}
	if f.opts.ReadOnly {
		return nil
	}
	return o.write()
}

// opening is the state of Open.
type opening struct {
	*Files
	ctx context.Context

	// What is stored.
	storedKey     tree.PublicKey // zero if there is none
	derivedKey    bool           // storedKey comes from storedSecret
	storedSecret  tree.SecretKey // zero if there is none
	partialSecret int            // bytes of an incomplete secret key
	starts        [3]start       // of tree, signatures and bitfield

	// What to do.
	overwrite   bool
	generated   bool    // the key pair is new
	adopted     bool    // the key was given for a feed without one
	writeHeader [3]bool // for tree, signatures and bitfield

	ahead   bool         // the bitfield knows nodes past the end of the tree
	mended  []uint64     // pages that mend changed
	orphans []bitmap.Run // blocks that are present without a leaf
	shorten bool         // some of what the bits say has to be forgotten
}

// headerFile is a file with a header and the header that it has to have.
type headerFile struct {
	name    string
	storage randomaccess.Storage
	header  []byte
}

// headerFiles are in the order of the arrays of opening.
func (o *opening) headerFiles() [3]headerFile {
	return [3]headerFile{
		{TreeFile, o.tree, AppendTreeHeader(nil)},
		{SignaturesFile, o.signatures, AppendSignaturesHeader(nil)},
		{BitfieldFile, o.bitfield, AppendBitfieldHeader(nil, o.indexSize)},
	}
}

// openStorages opens the six storages. The bitfield comes after the keys, so that
// a lookup that must not create anything does not, and before the rest, since it
// takes the lock.
func (o *opening) openStorages(open randomaccess.Opener) error {
	for _, s := range []struct {
		to   *randomaccess.Storage
		name string
	}{
		{&o.keyFile, KeyFile},
		{&o.secretFile, SecretKeyFile},
		{&o.bitfield, BitfieldFile},
		{&o.data, DataFile},
		{&o.tree, TreeFile},
		{&o.signatures, SignaturesFile},
	} {
		if s.name == BitfieldFile && o.opts.NoCreate && o.opts.Key == (tree.PublicKey{}) && o.opts.SecretKey == (tree.SecretKey{}) {
			if err := o.readKeys(); err != nil {
				return err
			}
			if o.storedKey == (tree.PublicKey{}) {
				return ErrNoFeed
			}
		}
		st, err := open(s.name)
		if err != nil {
			return fmt.Errorf("sleep: open %s: %w", s.name, err)
		}
		*s.to = st
	}
	return nil
}

// readHeaders checks the headers and takes the page size from that of the
// bitfield.
func (o *opening) readHeaders() error {
	var err error
	if o.starts[2], err = readStart(o.bitfield); err != nil {
		return err
	}
	o.indexSize = o.starts[2].indexSize()
	for i, file := range o.headerFiles() {
		if o.starts[i], err = readStart(file.storage); err != nil {
			return err
		}
		o.writeHeader[i], err = o.starts[i].check(file.name, file.header)
		if err != nil && o.opts.Overwrite {
			o.writeHeader[i], err = true, nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readBits reads the pages of the bitfield.
func (o *opening) readBits() error {
	o.bits = bitmap.NewFile(o.indexSize)
	if o.overwrite {
		return nil
	}
	size := max(0, o.starts[2].size-HeaderSize)
	if size > o.opts.MaxBitfield {
		return fmt.Errorf("sleep: bitfield of %d bytes is larger than %d", size, o.opts.MaxBitfield)
	}
	// A node that is known is in the tree. Memory is spent only on pages that
	// this can be true of.
	pageLen := int64(o.bits.PageLen())
	count := (size + pageLen - 1) / pageLen
	nodes := max(0, o.starts[0].size-HeaderSize) / NodeSize
	used := min(count, (nodes+bitmap.FilePageNodes-1)/bitmap.FilePageNodes)
	pages := make([]byte, used*pageLen)
	if _, err := readUpTo(o.bitfield, pages, HeaderSize); err != nil {
		return err
	}
	if !o.opts.Inspect {
		o.mended, o.orphans = mend(pages, o.indexSize)
	}
	var err error
	if o.bits, err = bitmap.ParseFile(pages, o.indexSize); err != nil {
		return err
	}
	page := make([]byte, pageLen)
	for p := used; p < count && !o.ahead; p++ {
		n, err := readUpTo(o.bitfield, page, HeaderSize+p*pageLen)
		if err != nil {
			return err
		}
		clear(page[n:])
		o.ahead = !isBlank(page[dataBits:pageBits])
	}
	return nil
}

// write puts on disk what Open decided.
func (o *opening) write() error {
	if o.overwrite {
		if err := o.forget(); err != nil {
			return err
		}
	}
	for i, file := range o.headerFiles() {
		if !o.writeHeader[i] {
			continue
		}
		if _, err := file.storage.WriteAt(file.header, 0); err != nil {
			return err
		}
		if o.opts.Sync {
			if err := file.storage.Sync(); err != nil {
				return err
			}
		}
	}
	if err := o.writeKeys(); err != nil {
		return err
	}
	// What has to be forgotten stays on disk until the next change.
	if o.shorten {
		return nil
	}
	return o.writePages(o.mended)
}

// forget empties the files, bits and signatures first: without these the rest
// means nothing.
func (o *opening) forget() error {
	for _, cut := range []struct {
		storage randomaccess.Storage
		keep    int64
	}{
		{o.bitfield, HeaderSize},
		{o.signatures, HeaderSize},
		{o.tree, HeaderSize},
		{o.data, 0},
		{o.secretFile, o.keptSecret()},
		{o.keyFile, 0},
	} {
		err := cut.storage.Delete(cut.keep, math.MaxInt64)
		if err == nil && o.opts.Sync {
			err = cut.storage.Sync()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
