package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairn-feeds/cairn/tree"
)

func newStoreID() (id [16]byte) {
	rand.Read(id[:])
	return id
}

// CreateOptions say how a new feed is made. Nil and the zero value make a feed with
// a random key pair and no name.
type CreateOptions struct {
	FeedOptions
	// Seed, when not nil, determines the key pair.
	Seed *[32]byte
	// Name is a local name for the feed.
	Name string
}

// Create makes a feed that can be written and opens it. Its key pair is on stable
// storage when Create returns: a key that was shown to somebody is never lost with
// a crash. SecretKey of the options, or Seed, determine the key pair; the error
// matches ErrFeedExists when the store has that feed.
func (s *Store) Create(ctx context.Context, opts *CreateOptions) (*Feed, error) {
	var o CreateOptions
	if opts != nil {
		o = *opts
	}
	var pair tree.KeyPair
	var err error
	switch {
	case o.SecretKey != nil && o.Seed != nil:
		return nil, errors.New("engine: a seed and a secret key were given")
	case o.SecretKey != nil:
		if err := o.checkSecret(); err != nil {
			return nil, fmt.Errorf("create feed: %w", err)
		}
		pair = tree.KeyPair{Public: o.SecretKey.Public(), Secret: *o.SecretKey}
	case o.Seed != nil:
		pair = tree.KeyPairFromSeed(*o.Seed)
	default:
		if pair, err = tree.GenerateKeyPair(); err != nil {
			return nil, fmt.Errorf("make key pair: %w", err)
		}
	}
	if o.Name != "" {
		if err := checkName(o.Name); err != nil {
			return nil, err
		}
	}
	o.SecretKey = &pair.Secret
	return s.openFeed(ctx, pair.Public, o.FeedOptions, openMode{name: o.Name, create: true})
}

// Open opens the feed with a public key. Unless MustExist is set a feed that is
// not in the store is added to it, empty. opts may be nil.
//
// The handle must be closed. An open feed that nobody uses takes about a kilobyte
// of memory and no descriptor.
func (s *Store) Open(ctx context.Context, key tree.PublicKey, opts *FeedOptions) (*Feed, error) {
	var o FeedOptions
	if opts != nil {
		o = *opts
	}
	if o.SecretKey != nil {
		if o.SecretKey.Public() != key {
			return nil, fmt.Errorf("open feed: %w", tree.ErrKeyMismatch)
		}
		if err := o.checkSecret(); err != nil {
			return nil, fmt.Errorf("open feed: %w", err)
		}
	}
	return s.openFeed(ctx, key, o, openMode{})
}

// checkSecret refuses a secret key whose halves do not belong together. Only
// Ed25519 has such keys.
func (o *FeedOptions) checkSecret() error {
	if o.Crypto != nil && o.Crypto.Sign != nil {
		return nil
	}
	return o.SecretKey.Check()
}

// OpenDiscovery opens the feed of the store that has a discovery key. The error
// matches ErrNoFeed when there is none.
func (s *Store) OpenDiscovery(ctx context.Context, dk tree.DiscoveryKey, opts *FeedOptions) (*Feed, error) {
	info, err := s.Info(dk)
	if err != nil {
		return nil, err
	}
	return s.Open(ctx, info.Key, opts)
}

// openMode says what openFeed does with a feed that is new.
type openMode struct {
	name    string // local name
	create  bool   // refuse one that exists
	guarded bool   // start guarded
}

// openFeed opens a feed, and adds it if it may.
func (s *Store) openFeed(ctx context.Context, key tree.PublicKey, o FeedOptions, mode openMode) (*Feed, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	dk := key.DiscoveryKey()
	if o.Overwrite {
		if _, err := s.Destroy(ctx, dk); err != nil && !errors.Is(err, ErrNoFeed) {
			return nil, err
		}
	}
	unlock := s.lockFeed(dk)
	defer unlock()
	l, err := s.openLive(key, dk, &o, mode)
	if err != nil {
		return nil, &FeedError{Feed: dk, Err: err}
	}
	return newFeed(l, o), nil
}

// openLive returns the live object of a feed. The feed must be locked.
func (s *Store) openLive(key tree.PublicKey, dk tree.DiscoveryKey, o *FeedOptions, mode openMode) (*live, error) {
	if err := s.use(); err != nil {
		return nil, err
	}
	defer s.unuse()
	if l, err := s.pinLive(dk); err != nil {
		return nil, err
	} else if l != nil {
		if mode.create {
			err = ErrFeedExists
		} else if o.SecretKey != nil && !l.writable {
			err = errors.New("the feed is open without its secret key: close its handles first")
		}
		if err != nil {
			s.unpinLive(l)
			return nil, err
		}
		return l, nil
	}
	r, err := s.readRecord(dk)
	switch {
	case errors.Is(err, ErrNoFeed):
		if o.MustExist || s.opts.ReadOnly {
			return nil, ErrNoFeed
		}
		if r, err = s.addFeed(key, dk, o, mode); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case mode.create:
		return nil, ErrFeedExists
	case o.SecretKey != nil && !r.Writable && !o.DiscardSecret:
		if s.opts.ReadOnly {
			return nil, ErrReadOnly
		}
		if err := s.addSecret(dk, r, *o.SecretKey); err != nil {
			return nil, err
		}
	}
	be := &rows{s: s, number: r.Number, key: key}
	h, err := be.readHead()
	if err != nil {
		return nil, err
	}
	l := newLive(s, be, key, dk, h, r.Writable || o.SecretKey != nil)
	if o.SecretKey != nil {
		sk := *o.SecretKey
		l.mu.secret = &sk
	}
	l.stats.off.Store(o.NoStats)
	l.readOnly = s.opts.ReadOnly
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return nil, ErrClosed
	}
	l.refs = 1
	s.syncer.open(l)
	s.mu.live[dk] = l
	return l, nil
}

func newLive(s *Store, be backend, key tree.PublicKey, dk tree.DiscoveryKey, h *head, writable bool) *live {
	l := &live{store: s, be: be, key: key, dk: dk, writable: writable}
	if s != nil {
		l.gate = s.gate
	} else {
		l.gate = newGate()
	}
	l.head.Store(h)
	l.offered.Store(h.length) // what was read from disk may be shown
	return l
}

// addFeed writes the rows of a feed that is new.
func (s *Store) addFeed(key tree.PublicKey, dk tree.DiscoveryKey, o *FeedOptions, mode openMode) (*feedRecord, error) {
	r := &feedRecord{Key: key[:], Created: time.Now().UnixMilli(), Name: mode.name, Writable: o.SecretKey != nil && !o.DiscardSecret}
	if mode.name != "" {
		s.nameLock.Lock()
		defer s.nameLock.Unlock()
	}
	s.sealLock.RLock()
	defer s.sealLock.RUnlock()
	b := s.db.NewBatch()
	err := s.fillFeed(b, dk, r, o, mode)
	if err != nil {
		b.Close()
		return nil, err
	}
	// A key pair must outlive a crash whatever the policy.
	return r, s.commit.commit(b, r.Writable || s.opts.Sync == SyncAlways)
}

func (s *Store) fillFeed(b *pebble.Batch, dk tree.DiscoveryKey, r *feedRecord, o *FeedOptions, mode openMode) (err error) {
	if r.Number, err = s.takeNumber(b); err != nil {
		return err
	}
	if r.Writable {
		v, err := s.sealSecret(*o.SecretKey, s.seal)
		if err != nil {
			return err
		}
		if err := b.Set(numberKey(tableSecrets, r.Number), v, nil); err != nil {
			return err
		}
	}
	if r.Name != "" {
		if err := s.claimName(b, r.Name, dk); err != nil {
			return err
		}
	}
	var h head
	if mode.guarded {
		h.flags |= flagGuarded
	}
	return errors.Join(
		setRecord(b, dk, r),
		b.Set(numberKey(tableHeads, r.Number), appendHead(nil, &h), nil),
	)
}

// addSecret makes a feed writable. If it has blocks, or may have some elsewhere,
// another copy may be ahead: it starts guarded.
func (s *Store) addSecret(dk tree.DiscoveryKey, r *feedRecord, sk tree.SecretKey) error {
	be := &rows{s: s, number: r.Number, key: r.key()}
	h, err := be.readHead()
	if err != nil {
		return err
	}
	s.sealLock.RLock()
	defer s.sealLock.RUnlock()
	v, err := s.sealSecret(sk, s.seal)
	if err != nil {
		return err
	}
	next := *h
	next.flags |= flagGuarded
	r.Writable = true
	b := s.db.NewBatch()
	err = errors.Join(
		b.Set(numberKey(tableSecrets, r.Number), v, nil),
		setRecord(b, dk, r),
		b.Set(numberKey(tableHeads, r.Number), appendHead(nil, &next), nil),
	)
	if err != nil {
		b.Close()
		return err
	}
	return s.commit.commit(b, true)
}

// pinLive returns the live object of an open feed with one more reference, or nil.
// It waits for one that is just being closed.
func (s *Store) pinLive(dk tree.DiscoveryKey) (*live, error) {
	for {
		s.mu.Lock()
		if s.mu.closed {
			s.mu.Unlock()
			return nil, ErrClosed
		}
		l := s.mu.live[dk]
		if l == nil {
			s.mu.Unlock()
			return nil, nil
		}
		closing := l.closing
		if closing == nil {
			l.refs++
		}
		s.mu.Unlock()
		if closing == nil {
			return l, nil
		}
		<-closing
	}
}

// unpinLive gives back a reference. With the last one the feed is closed: what is
// being written is finished before it can be opened again.
func (s *Store) unpinLive(l *live) {
	s.mu.Lock()
	l.refs--
	last := l.refs == 0
	if last {
		l.closing = make(chan struct{})
	}
	s.mu.Unlock()
	if !last {
		return
	}
	l.end(ErrClosed)
	s.syncer.close(l)
	s.mu.Lock()
	delete(s.mu.live, l.dk)
	s.mu.Unlock()
	close(l.closing)
}

// shutFeed closes all handles of a feed. The feed must be locked.
func (s *Store) shutFeed(dk tree.DiscoveryKey) error {
	l, err := s.pinLive(dk)
	if l != nil {
		l.shut(ErrClosed)
		s.unpinLive(l)
	}
	return err
}

// releaseFeed gives back a handle.
func (s *Store) releaseFeed(f *Feed) {
	f.live.release(f)
	s.unpinLive(f.live)
}

// lockFeed serializes opening, adding and destroying one feed. Feeds share locks,
// so nobody holds two.
func (s *Store) lockFeed(dk tree.DiscoveryKey) (unlock func()) {
	m := &s.feedLocks[dk[0]%feedLockCount]
	m.Lock()
	return m.Unlock
}

const feedLockCount = 64
