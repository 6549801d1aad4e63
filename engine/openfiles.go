package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// FilesOptions configure a feed on files of its own.
type FilesOptions struct {
	FeedOptions
	// Key is the public key. Zero means the one that is stored, that of SecretKey,
	// or a new key pair.
	Key tree.PublicKey
	// Force is Overwrite when another feed is stored there.
	Force bool
	// MustWrite refuses with ErrNotWritable a feed whose secret key is not there.
	MustWrite bool
	// ReadOnly changes nothing.
	ReadOnly bool
	// NoSync answers changes before they are on stable storage, as hypercore 9
	// does.
	NoSync bool
}

// OpenFiles opens a feed that is kept in the six files of hypercore 9, and makes
// it when there is none. open gives access to the files: a directory, memory, or
// anything else. The handle offers what one of a store offers; DestroyStorage
// deletes the files.
//
// The error matches ErrNoFeed, ErrNotWritable, ErrReadOnly, ErrCorrupt,
// sleep.ErrOtherFeed, sleep.ErrUnsupportedVersion or randomaccess.ErrLocked.
func OpenFiles(ctx context.Context, open randomaccess.Opener, opts *FilesOptions) (*Feed, error) {
	var o FilesOptions
	if opts != nil {
		o = *opts
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	so := sleep.Options{
		Key: o.Key, DiscardSecretKey: o.DiscardSecret, NoCreate: o.MustExist, Overwrite: o.Overwrite, Force: o.Force,
		MustWrite: o.MustWrite, ReadOnly: o.ReadOnly, Sync: !o.NoSync, Crypto: o.Crypto,
	}
	if o.SecretKey != nil {
		so.SecretKey = *o.SecretKey
	}
	files, err := sleep.Open(ctx, open, so)
	switch {
	case errors.Is(err, sleep.ErrNoFeed):
		return nil, fmt.Errorf("%w: %w", ErrNoFeed, err)
	case errors.Is(err, sleep.ErrNotWritable):
		return nil, fmt.Errorf("%w: %w", ErrNotWritable, err)
	case err != nil:
		return nil, fmt.Errorf("open feed files: %w", fileError(err))
	}
	be := &fileBackend{files: files}
	h, err := be.readHead()
	if err != nil {
		return nil, errors.Join(err, files.Close())
	}
	_, writable := files.SecretKey()
	if writable && mayBeBehind(files.Recovery(), o.NoSync) {
		h.flags |= flagGuarded
	}
	if writable && !o.ReadOnly {
		if err := signAgain(files, h, o.Crypto); err != nil {
			return nil, errors.Join(err, files.Close())
		}
	}
	l := newLive(nil, be, files.Key(), files.Key().DiscoveryKey(), h, writable)
	l.stats.off.Store(o.NoStats)
	l.readOnly = o.ReadOnly
	return newFeed(l, o.FeedOptions), nil
}

// mayBeBehind reports whether peers may have seen more of a feed than its files
// hold. A signature behind the end is what one crash leaves; only without syncs can
// it have been answered before.
func mayBeBehind(r sleep.Recovery, noSync bool) bool {
	return r.Length < r.Stored || r.Behind && noSync
}

// signAgain signs the length of a feed whose signature was lost. Without it appends
// would go on, but no peer could verify them.
func signAgain(files *sleep.Files, h *head, crypto *tree.Crypto) error {
	if h.length == 0 || files.Live() || h.guarded() {
		return nil
	}
	sk, _ := files.SecretKey()
	sig, err := crypto.SignRoots(h.roots, h.length, sk)
	if err == nil {
		err = files.Commit(sleep.Change{Signatures: []sleep.SlotSignature{{Slot: h.length - 1, Signature: sig}}})
	}
	if err != nil {
		return fmt.Errorf("sign the length of %d blocks again: %w", h.length, fileError(err))
	}
	return nil
}

// DestroyStorage closes the feed, all handles of it, and deletes everything that
// is stored of it. A secret key that is not exported before is gone.
func (f *Feed) DestroyStorage(ctx context.Context) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	l := f.live
	if l.readOnly {
		return f.fail(ErrReadOnly)
	}
	if l.store != nil {
		_, err := l.store.Destroy(ctx, l.dk)
		return err
	}
	be := l.be.(*fileBackend)
	be.destroy.Store(true)
	return f.Close()
}
