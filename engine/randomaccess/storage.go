package randomaccess

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
)

var (
	// ErrLocked is returned when a storage is held by somebody else, in this
	// process or another. Its text is the one that Node programs look for.
	ErrLocked = errors.New("ELOCKED: File is locked")

	// ErrReadOnly is returned by whatever would change a read-only storage.
	ErrReadOnly = errors.New("randomaccess: storage is read-only")

	// ErrNoSpace is returned by a write that would take a Memory past its
	// bound. Nothing of it was written.
	ErrNoSpace = errors.New("randomaccess: memory limit reached")
)

// Storage is a growable sequence of bytes with access at any offset.
//
// Offsets and lengths are in bytes; a negative one, or a range that ends past
// the largest int64, fails with an error matching [fs.ErrInvalid]. After Close
// every method but Close fails with an error matching [fs.ErrClosed].
//
// All methods may be called concurrently. What a read returns that overlaps a
// concurrent write, and the outcome of overlapping concurrent writes, is
// unspecified. No method keeps the slice that it was given.
type Storage interface {
	// ReadAt is io.ReaderAt with one promise more: the error is nil whenever
	// len(p) bytes were read, also when they are the last ones. When the storage
	// ends before, the bytes up to there are read and the error is io.EOF.
	io.ReaderAt

	// WriteAt is io.WriterAt. The storage grows as needed; bytes between its
	// old end and the offset read as zeros. An empty write changes nothing.
	io.WriterAt

	// Delete frees length bytes from offset. A range that reaches the end, or
	// passes it, cuts the storage off at offset. A range in the middle, or one
	// that starts at or past the end, changes nothing. A length of
	// math.MaxInt64 means everything from offset on.
	Delete(offset, length int64) error

	// Truncate sets the size. Bytes that are added read as zeros.
	Truncate(size int64) error

	// Stat tells the size.
	Stat() (Info, error)

	// Sync returns when everything written before is durable.
	Sync() error

	// Close releases the storage and its lock. It does not sync. Closing twice
	// is fine.
	Close() error
}

// Info is what Stat tells of a storage.
type Info struct {
	// Size is the offset after the last byte; holes count.
	Size int64
}

// Opener opens the storage with a name. Names are slash-separated paths such as
// "data" or "0/data". Opening never fails because nothing is stored yet, and
// what was written under a name is there when the name is opened again.
type Opener func(name string) (Storage, error)

// Destroyer is implemented by storages that can be deleted.
type Destroyer interface {
	// Destroy closes the storage and deletes what it holds. Deleting what never
	// existed is not an error.
	Destroy() error
}

// Destroy closes s and deletes what it holds: through its [Destroyer] where it
// is one, else by truncating it to nothing.
func Destroy(s Storage) error {
	if d, ok := s.(Destroyer); ok {
		return d.Destroy()
	}
	return errors.Join(s.Truncate(0), s.Close())
}

// Prefix returns an opener that puts prefix and a slash before every name, so
// that several feeds share one opener.
func Prefix(open Opener, prefix string) Opener {
	return func(name string) (Storage, error) { return open(prefix + "/" + name) }
}

// ReadOnly returns an opener of the same storages that refuses every change
// with [ErrReadOnly]. The underlying opener may still lock and create files;
// [DirectoryOptions] has a ReadOnly that does not.
func ReadOnly(open Opener) Opener {
	return func(name string) (Storage, error) {
		s, err := open(name)
		if err != nil {
			return nil, err
		}
		return readOnly{s}, nil
	}
}

type readOnly struct{ Storage }

func (readOnly) WriteAt([]byte, int64) (int, error) { return 0, ErrReadOnly }
func (readOnly) Delete(int64, int64) error          { return ErrReadOnly }
func (readOnly) Truncate(int64) error               { return ErrReadOnly }
func (readOnly) Sync() error                        { return nil }
func (s readOnly) Destroy() error                   { return errors.Join(ErrReadOnly, s.Close()) }

// Locks reports whether a storage of this name is the one that can be open only
// once: bitfield, under any prefix.
func Locks(name string) bool {
	return name == "bitfield" || strings.HasSuffix(name, "/bitfield")
}

// checkName refuses names that could leave the place they belong to.
func checkName(name string) error {
	if name == "." || !filepath.IsLocal(filepath.FromSlash(name)) {
		return &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return nil
}

// checkRange validates an offset and a length of op.
func checkRange(op, name string, offset, length int64) error {
	if offset < 0 || length < 0 || offset > math.MaxInt64-length {
		return &fs.PathError{Op: op, Path: name, Err: fmt.Errorf("%w: %d bytes at offset %d", fs.ErrInvalid, length, offset)}
	}
	return nil
}

// cut decides what a Delete of [offset, offset+length) means for a storage of
// the given size: whether to truncate it to offset. An end past the largest
// int64 is everything.
func cut(offset, length, size int64) bool {
	return offset < size && length >= size-offset
}
