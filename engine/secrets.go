package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/vmihailenco/msgpack/v5"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/cairn-feeds/cairn/tree"
)

// Parameters of Argon2id: the second recommended option of RFC 9106, section 4
// (64 MiB of memory, 3 passes), with 4 lanes.
const (
	sealTime    = 3
	sealMemory  = 64 << 10 // KiB
	sealThreads = 4
	sealSaltLen = 16
	// A seal row may ask for no more than this, so that a damaged one does not
	// take the machine's memory.
	sealMaxMemory = 1 << 20 // KiB
	sealMaxTime   = 64
)

// First byte of a row of tableSecrets.
const (
	secretPlain  = 0 // 64 bytes: the secret key
	secretSealed = 1 // nonce 24 | XChaCha20-Poly1305 of the secret key
)

// sealRow is the row that says how a passphrase becomes the key of the seal.
type sealRow struct {
	Salt    []byte `msgpack:"s"`
	Time    uint32 `msgpack:"t"`
	Memory  uint32 `msgpack:"m"` // KiB
	Threads uint8  `msgpack:"p"`
	// Check is a sealed empty message that tells a wrong passphrase.
	Check []byte `msgpack:"c"`
}

// seal seals secret keys. A nil aead means that no passphrase was given: sealed
// keys cannot be read.
type seal struct {
	key  *[chacha20poly1305.KeySize]byte
	open bool
}

func deriveSeal(passphrase []byte, r *sealRow) *seal {
	k := argon2.IDKey(passphrase, r.Salt, r.Time, r.Memory, r.Threads, chacha20poly1305.KeySize)
	return &seal{key: (*[chacha20poly1305.KeySize]byte)(k), open: true}
}

// encrypt returns nonce | ciphertext. context binds the message to its row.
func (k *seal) encrypt(message, context []byte) ([]byte, error) {
	if !k.open {
		return nil, fmt.Errorf("%w: a passphrase is needed to add secret keys to this store", ErrSealed)
	}
	aead, err := chacha20poly1305.NewX(k.key[:])
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(message)+aead.Overhead())
	rand.Read(nonce)
	return aead.Seal(nonce, nonce, message, context), nil
}

// decrypt is the inverse of encrypt.
func (k *seal) decrypt(b, context []byte) ([]byte, error) {
	if !k.open {
		return nil, fmt.Errorf("%w: a passphrase is needed", ErrSealed)
	}
	aead, err := chacha20poly1305.NewX(k.key[:])
	if err != nil {
		return nil, err
	}
	if len(b) < aead.NonceSize() {
		return nil, fmt.Errorf("sealed key: %w", ErrCorrupt)
	}
	m, err := aead.Open(nil, b[:aead.NonceSize()], b[aead.NonceSize():], context)
	if err != nil {
		return nil, fmt.Errorf("sealed key does not open: %w", ErrCorrupt)
	}
	return m, nil
}

// newSeal makes the seal of a new store.
func newSeal(passphrase []byte) (*seal, *sealRow, error) {
	r := &sealRow{Salt: make([]byte, sealSaltLen), Time: sealTime, Memory: sealMemory, Threads: sealThreads}
	rand.Read(r.Salt)
	k := deriveSeal(passphrase, r)
	check, err := k.encrypt(nil, []byte(rowSeal))
	if err != nil {
		return nil, nil, err
	}
	r.Check = check
	return k, r, nil
}

// loadSeal reads how secret keys are sealed and checks the passphrase.
func (s *Store) loadSeal() error {
	v, err := s.get(storeKey(rowSeal))
	if errors.Is(err, pebble.ErrNotFound) {
		if s.opts.Passphrase != nil {
			return fmt.Errorf("a passphrase was given, but the secret keys of %s are not sealed: use SealSecrets to seal them", s.dir)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("seal of the secret keys: %w", err)
	}
	var r sealRow
	if err := msgpack.Unmarshal(v, &r); err != nil {
		return fmt.Errorf("seal of the secret keys: %w: %w", ErrCorrupt, err)
	}
	if r.Time == 0 || r.Time > sealMaxTime || r.Memory > sealMaxMemory || r.Threads == 0 {
		return fmt.Errorf("seal of the secret keys asks for time %d, memory %d KiB: %w", r.Time, r.Memory, ErrCorrupt)
	}
	if s.opts.Passphrase == nil {
		s.seal = &seal{}
		return nil
	}
	k := deriveSeal(s.opts.Passphrase, &r)
	if _, err := k.decrypt(r.Check, []byte(rowSeal)); err != nil {
		return fmt.Errorf("%w: wrong passphrase for %s", ErrSealed, s.dir)
	}
	s.seal = k
	return nil
}

// secretContext binds a sealed secret key to its feed.
func secretContext(key tree.PublicKey) []byte { return append([]byte("cairn secret key "), key[:]...) }

// sealSecret returns the value of the row for a secret key. s.sealLock must be
// held until the row is committed.
func (s *Store) sealSecret(sk tree.SecretKey, k *seal) ([]byte, error) {
	if k == nil {
		return append([]byte{secretPlain}, sk[:]...), nil
	}
	b, err := k.encrypt(sk[:], secretContext(sk.Public()))
	if err != nil {
		return nil, err
	}
	return append([]byte{secretSealed}, b...), nil
}

// openSecret is the inverse of sealSecret. It checks that the key pair fits.
// s.sealLock must be held.
func (s *Store) openSecret(v []byte, key tree.PublicKey) (sk tree.SecretKey, err error) {
	if len(v) == 0 {
		return sk, fmt.Errorf("secret key row: %w", ErrCorrupt)
	}
	m := v[1:]
	switch v[0] {
	case secretPlain:
	case secretSealed:
		if s.seal == nil {
			return sk, fmt.Errorf("secret key is sealed but the store has no seal: %w", ErrCorrupt)
		}
		if m, err = s.seal.decrypt(m, secretContext(key)); err != nil {
			return sk, err
		}
	default:
		return sk, fmt.Errorf("secret key row of kind %d: %w", v[0], ErrCorrupt)
	}
	if copy(sk[:], m) != len(sk) || len(m) != len(sk) || sk.Public() != key {
		return tree.SecretKey{}, fmt.Errorf("secret key does not belong to the feed: %w", ErrCorrupt)
	}
	return sk, nil
}

// secret reads the secret key of a feed. ok is false when it is not here.
func (s *Store) secret(n feedNumber, key tree.PublicKey) (sk tree.SecretKey, ok bool, err error) {
	s.sealLock.RLock()
	defer s.sealLock.RUnlock()
	return s.secretLocked(n, key)
}

// secretLocked is secret for those who hold s.sealLock.
func (s *Store) secretLocked(n feedNumber, key tree.PublicKey) (sk tree.SecretKey, ok bool, err error) {
	v, closer, err := s.db.Get(numberKey(tableSecrets, n))
	if errors.Is(err, pebble.ErrNotFound) {
		return sk, false, nil
	}
	if err != nil {
		return sk, false, rowError(numberKey(tableSecrets, n), err)
	}
	defer closer.Close()
	sk, err = s.openSecret(v, key)
	return sk, err == nil, err
}

// Sealed reports whether the secret keys of the store are sealed with a
// passphrase.
func (s *Store) Sealed() bool {
	s.sealLock.RLock()
	defer s.sealLock.RUnlock()
	return s.seal != nil
}

// SealSecrets seals the secret keys of the store with a passphrase, or with a new
// one when they are sealed already and were opened with the old one. The change is
// synced whatever the policy. When it returns, no file of the store holds a key in
// the clear or under an older passphrase; copies made before do.
func (s *Store) SealSecrets(passphrase []byte) error {
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	if len(passphrase) == 0 {
		return errors.New("engine: a passphrase must not be empty")
	}
	if err := s.use(); err != nil {
		return err
	}
	defer s.unuse()
	k, row, err := newSeal(passphrase)
	if err != nil {
		return err
	}
	return s.reseal(k, row)
}

// reseal rewrites all secret keys under a new seal, as one change.
func (s *Store) reseal(k *seal, row *sealRow) error {
	value, err := msgpack.Marshal(row)
	if err != nil {
		return err
	}
	s.sealLock.Lock()
	defer s.sealLock.Unlock()
	keys, err := s.secretKeys()
	if err != nil {
		return err
	}
	b := s.db.NewBatch()
	for _, e := range keys {
		v, err := s.sealSecret(e.secret, k)
		if err == nil {
			err = b.Set(numberKey(tableSecrets, e.number), v, nil)
		}
		if err != nil {
			b.Close()
			return err
		}
	}
	if err := b.Set(storeKey(rowSeal), value, nil); err != nil {
		b.Close()
		return err
	}
	if err := s.commit.commit(b, true); err != nil {
		return err
	}
	s.seal = k
	start, end := tableSpan(tableSecrets)
	if err := s.scrubLogs(); err != nil {
		return err
	}
	return s.db.Compact(context.Background(), start, end, false)
}

// numberedSecret is a secret key with its feed.
type numberedSecret struct {
	number feedNumber
	secret tree.SecretKey
}

// secretKeys reads all secret keys. s.sealLock must be held.
func (s *Store) secretKeys() ([]numberedSecret, error) {
	var out []numberedSecret
	for info, err := range s.Feeds() {
		if err != nil {
			return nil, err
		}
		if !info.Writable {
			continue
		}
		r, err := s.readRecord(info.DiscoveryKey)
		if err != nil {
			return nil, &FeedError{Feed: info.DiscoveryKey, Err: err}
		}
		sk, ok, err := s.secretLocked(r.Number, r.key())
		if err != nil {
			return nil, &FeedError{Feed: info.DiscoveryKey, Err: err}
		}
		if ok {
			out = append(out, numberedSecret{r.Number, sk})
		}
	}
	return out, nil
}

// ExportSecret returns the secret key of a feed. The error matches ErrNotWritable
// when it is not here, and ErrSealed when it cannot be unsealed.
func (s *Store) ExportSecret(dk tree.DiscoveryKey) (tree.SecretKey, error) {
	if err := s.use(); err != nil {
		return tree.SecretKey{}, err
	}
	defer s.unuse()
	r, err := s.readRecord(dk)
	if err != nil {
		return tree.SecretKey{}, &FeedError{Feed: dk, Err: err}
	}
	sk, ok, err := s.secret(r.Number, r.key())
	if err == nil && !ok {
		err = ErrNotWritable
	}
	if err != nil {
		return tree.SecretKey{}, &FeedError{Feed: dk, Err: err}
	}
	return sk, nil
}

// ImportSecret makes a feed of the store writable, and adds the feed when it is not
// there. Since another copy with that key may be ahead, appending is refused until
// the guard falls (see Feed.Guarded).
func (s *Store) ImportSecret(ctx context.Context, sk tree.SecretKey) error {
	if err := sk.Check(); err != nil {
		return err
	}
	key := sk.Public()
	dk := key.DiscoveryKey()
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	defer s.lockFeed(dk)()
	if err := s.use(); err != nil {
		return err
	}
	defer s.unuse()
	if l, err := s.pinLive(dk); err != nil {
		return err
	} else if l != nil {
		s.unpinLive(l)
		if l.writable {
			return nil
		}
		return &FeedError{Feed: dk, Err: errors.New("the feed is open without its secret key: close its handles first")}
	}
	r, err := s.readRecord(dk)
	if errors.Is(err, ErrNoFeed) {
		r, err = s.addFeed(key, dk, &FeedOptions{}, openMode{})
	}
	if err == nil && !r.Writable {
		err = s.addSecret(dk, r, sk)
	}
	if err != nil {
		return &FeedError{Feed: dk, Err: err}
	}
	return nil
}
