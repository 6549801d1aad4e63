package sleep

import (
	"fmt"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/tree"
)

// readKeys reads both keys. An incomplete key, or one of zeros, was left by a
// crash while the feed was created and counts as none. The secret key is written
// first: alone, it gives the public key.
func (o *opening) readKeys() error {
	key := make([]byte, len(o.storedKey))
	if n, err := readUpTo(o.keyFile, key, 0); err != nil {
		return err
	} else if n == len(key) {
		o.storedKey = tree.PublicKey(key)
	}
	secret := make([]byte, len(o.storedSecret))
	n, err := readUpTo(o.secretFile, secret, 0)
	if err != nil {
		return err
	}
	if o.partialSecret = n; n == len(secret) {
		o.storedSecret, o.partialSecret = tree.SecretKey(secret), 0
	}
	if o.storedKey == (tree.PublicKey{}) && o.opts.Crypto == nil && o.storedSecret != (tree.SecretKey{}) && o.storedSecret.Check() == nil {
		o.storedKey, o.derivedKey = o.storedSecret.Public(), true
	}
	return nil
}

// chooseKeys settles which feed this is.
func (o *opening) chooseKeys() error {
	given := o.opts.Key
	if given == (tree.PublicKey{}) && o.opts.SecretKey != (tree.SecretKey{}) {
		given = o.opts.SecretKey.Public()
	}
	hasPages := o.starts[2].size > HeaderSize
	o.overwrite = o.opts.Overwrite
	switch {
	case o.overwrite:
	case o.storedKey != tree.PublicKey{}:
		if given != (tree.PublicKey{}) && given != o.storedKey {
			if !o.opts.Force {
				return &OtherFeedError{Stored: o.storedKey, Given: given}
			}
			o.overwrite = true
		}
	case hasPages && o.opts.Force:
		o.overwrite = true
	case hasPages && given == tree.PublicKey{}:
		return damaged(KeyFile, "is missing beside a bitfield of %d bytes", o.starts[2].size)
	case hasPages:
		o.adopted = true
	}
	if o.overwrite {
		if o.opts.ReadOnly {
			return ErrReadOnly
		}
		if given != o.storedKey {
			o.storedSecret = tree.SecretKey{}
		}
		o.storedKey, o.partialSecret = tree.PublicKey{}, 0
	}

	o.key, o.secret = o.storedKey, o.storedSecret
	if o.key == (tree.PublicKey{}) {
		o.key = given
	}
	if o.key == (tree.PublicKey{}) || o.opts.ReadOnly && o.storedKey == (tree.PublicKey{}) && !hasPages {
		if o.opts.NoCreate || o.opts.ReadOnly {
			return ErrNoFeed
		}
		pair, err := tree.GenerateKeyPair()
		if err != nil {
			return err
		}
		o.key, o.secret, o.generated = pair.Public, pair.Secret, true
		o.hasSecret = true
		return nil
	}
	if o.secret == (tree.SecretKey{}) {
		o.secret = o.opts.SecretKey
	}
	o.hasSecret = o.secret != tree.SecretKey{}
	if !o.hasSecret && o.partialSecret > 0 && !o.opts.ReadOnly {
		return damaged(SecretKeyFile, "has %d bytes, not %d", o.partialSecret, len(o.secret))
	}
	if o.hasSecret && o.opts.Crypto == nil {
		err := o.secret.Check()
		if err == nil && o.secret.Public() != o.key {
			err = fmt.Errorf("is that of the key %v, not of %v", o.secret.Public(), o.key)
		}
		switch {
		case err == nil:
		case o.storedSecret != tree.SecretKey{}:
			return &DamageError{File: SecretKeyFile, Err: err}
		default:
			return fmt.Errorf("sleep: secret key: %w", err)
		}
	}
	return nil
}

// keptSecret returns how much of the stored secret key is that of the feed.
func (o *opening) keptSecret() int64 {
	if o.hasSecret && o.secret == o.storedSecret {
		return int64(len(o.secret))
	}
	return 0
}

// writeKeys stores keys that are new, the secret one first. A new key pair is
// always synced: nobody may see a public key whose secret key can still be lost.
func (o *opening) writeKeys() error {
	write := func(s randomaccess.Storage, key []byte) error {
		if _, err := s.WriteAt(key, 0); err != nil {
			return err
		}
		if o.generated || o.opts.Sync {
			return s.Sync()
		}
		return nil
	}
	if o.hasSecret && !o.opts.DiscardSecretKey && o.secret != o.storedSecret {
		if err := write(o.secretFile, o.secret[:]); err != nil {
			return err
		}
	}
	if o.key != o.storedKey || o.derivedKey {
		return write(o.keyFile, o.key[:])
	}
	return nil
}
