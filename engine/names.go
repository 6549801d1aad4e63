package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairn-feeds/cairn/codec/zbase32"
	"github.com/cairn-feeds/cairn/tree"
)

// maxNameLength bounds local names, in bytes.
const maxNameLength = 255

// checkName refuses names that could not be typed, or that look like a key.
func checkName(name string) error {
	switch {
	case name == "" || len(name) > maxNameLength:
		return fmt.Errorf("%w: a name has 1 to %d bytes", ErrBadName, maxNameLength)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: %q is not UTF-8", ErrBadName, name)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' }):
		return fmt.Errorf("%w: %q has characters that cannot be seen", ErrBadName, name)
	case strings.HasPrefix(name, "-") || strings.TrimSpace(name) != name:
		return fmt.Errorf("%w: %q begins with a dash, or begins or ends with a space", ErrBadName, name)
	}
	if _, err := parseKeyText(name); err == nil {
		return fmt.Errorf("%w: %q is a key", ErrBadName, name)
	}
	return nil
}

// claimName writes the row of a name for a feed, unless another one has it.
func (s *Store) claimName(b *pebble.Batch, name string, dk tree.DiscoveryKey) error {
	v, err := s.get(nameKey(name))
	if err == nil && string(v) != string(dk[:]) {
		return fmt.Errorf("%w: %q", ErrNameTaken, name)
	}
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return err
	}
	return b.Set(nameKey(name), dk[:], nil)
}

// SetName gives a feed a local name, which replaces the one it had; an empty name
// takes it away. The error matches ErrNameTaken, ErrBadName or ErrNoFeed.
func (s *Store) SetName(ctx context.Context, dk tree.DiscoveryKey, name string) error {
	if name != "" {
		if err := checkName(name); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	defer s.lockFeed(dk)()
	s.nameLock.Lock()
	defer s.nameLock.Unlock()
	if err := s.use(); err != nil {
		return err
	}
	defer s.unuse()
	r, err := s.readRecord(dk)
	if err != nil {
		return &FeedError{Feed: dk, Err: err}
	}
	if r.Name == name {
		return nil
	}
	return s.write(func(b *pebble.Batch) error {
		if r.Name != "" {
			if err := b.Delete(nameKey(r.Name), nil); err != nil {
				return err
			}
		}
		r.Name = name
		if name != "" {
			if err := s.claimName(b, name, dk); err != nil {
				return err
			}
		}
		return setRecord(b, dk, r)
	})
}

// parseKeyText parses a complete key in hex or z-base32.
func parseKeyText(text string) (tree.PublicKey, error) {
	var key tree.PublicKey
	if b, err := hex.DecodeString(text); err == nil && len(b) == len(key) {
		return tree.PublicKey(b), nil
	}
	b, err := zbase32.Decode(text)
	if err != nil {
		return key, err
	}
	if len(b) != len(key) {
		return key, fmt.Errorf("a key has %d bytes, not %d", len(key), len(b))
	}
	return tree.PublicKey(b), nil
}

// Find returns the feed that a person means: by its name, its key in hex or in
// z-base32, or the beginning of one that fits no other feed of the store. The error
// matches ErrNoFeed or ErrAmbiguous.
func (s *Store) Find(text string) (Info, error) {
	if err := s.use(); err != nil {
		return Info{}, err
	}
	defer s.unuse()
	if v, err := s.get(nameKey(text)); err == nil && len(v) == len(tree.DiscoveryKey{}) {
		return s.Info(tree.DiscoveryKey(v))
	}
	if key, err := parseKeyText(text); err == nil {
		return s.Info(key.DiscoveryKey())
	}
	var found []Info
	if text != "" {
		for info, err := range s.Feeds() {
			if err != nil {
				return Info{}, err
			}
			if strings.HasPrefix(info.Key.String(), strings.ToLower(text)) || strings.HasPrefix(zbase32.Encode(info.Key[:]), strings.ToLower(text)) {
				found = append(found, info)
			}
		}
	}
	switch len(found) {
	case 0:
		return Info{}, fmt.Errorf("%w: nothing in the store is called %q or has a key that begins like this", ErrNoFeed, text)
	case 1:
		return found[0], nil
	}
	return Info{}, fmt.Errorf("%w: %d keys begin with %q", ErrAmbiguous, len(found), text)
}
