package sleep

import (
	"errors"
	"fmt"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/tree"
)

var (
	// ErrNoFeed means that no feed is stored and none may be created.
	ErrNoFeed = errors.New("sleep: no hypercore is stored here")

	// ErrOtherFeed is matched by [*OtherFeedError].
	ErrOtherFeed = errors.New("sleep: another hypercore is stored here")

	// ErrNotWritable means that a feed has no secret key and was to be writable.
	ErrNotWritable = errors.New("sleep: feed is not writable")

	// ErrUnsupportedVersion is matched by [*HeaderError].
	ErrUnsupportedVersion = errors.New("sleep: unsupported file format")

	// ErrDamaged is matched by [*DamageError]: what is stored cannot be what a
	// feed left behind, crashes included.
	ErrDamaged = errors.New("sleep: damaged")

	// ErrNoBlock means that a block is not stored.
	ErrNoBlock = errors.New("sleep: block not stored")

	// ErrNoSignature means that a signature slot is blank.
	ErrNoSignature = tree.ErrNoSignature

	// ErrLocked means that the feed is open already, here or in another process.
	ErrLocked = randomaccess.ErrLocked

	// ErrReadOnly is returned by changes of a feed that was opened read-only.
	ErrReadOnly = randomaccess.ErrReadOnly

	// ErrInvalidChange means that a Change contradicts itself or the feed.
	// Nothing of it was written.
	ErrInvalidChange = errors.New("sleep: invalid change")

	// ErrFailed is matched by the error of every change after one that failed
	// when its commit record was being written, or whose sync failed. Reads go
	// on; opening the files again tells how much of the change arrived.
	ErrFailed = errors.New("sleep: an earlier change failed")

	// ErrClosed is returned after Close.
	ErrClosed = errors.New("sleep: closed")
)

// OtherFeedError is returned when the key that is stored is not the one asked
// for. It matches ErrOtherFeed.
type OtherFeedError struct{ Stored, Given tree.PublicKey }

// Error implements error.
func (e *OtherFeedError) Error() string {
	return fmt.Sprintf("%v: %v, not %v", ErrOtherFeed, e.Stored, e.Given)
}

// Unwrap returns ErrOtherFeed.
func (e *OtherFeedError) Unwrap() error { return ErrOtherFeed }

// HeaderError is returned for a file that does not start with a header of this
// format. It matches ErrUnsupportedVersion.
type HeaderError struct {
	// File is the name of the storage.
	File string
	// Header is what it starts with.
	Header [HeaderSize]byte
	// Reason says what is wrong with it.
	Reason string
}

// Error implements error.
func (e *HeaderError) Error() string {
	return fmt.Sprintf("%v: %s: %s: header %x", ErrUnsupportedVersion, e.File, e.Reason, e.Header[:8])
}

// Unwrap returns ErrUnsupportedVersion.
func (e *HeaderError) Unwrap() error { return ErrUnsupportedVersion }

// DamageError says what is damaged. It matches ErrDamaged and what Err matches.
type DamageError struct {
	// File is the name of the storage.
	File string
	// Err says what is wrong with it.
	Err error
}

// Error implements error.
func (e *DamageError) Error() string { return fmt.Sprintf("%v: %s: %v", ErrDamaged, e.File, e.Err) }

// Unwrap returns ErrDamaged and Err.
func (e *DamageError) Unwrap() []error { return []error{ErrDamaged, e.Err} }

// damaged returns a DamageError with a formatted reason.
func damaged(file, format string, args ...any) error {
	return &DamageError{File: file, Err: fmt.Errorf(format, args...)}
}
