package engine

import (
	"context"
	"errors"
	"io/fs"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// databaseFS is the file system of a database. The database writes new logs over old
// ones, whose bytes can be read behind its own for a long time; while scrub is set,
// old logs are deleted instead.
type databaseFS struct {
	vfs.FS
	scrub atomic.Bool
}

// ReuseForWrite implements vfs.FS.
func (s *databaseFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if !s.scrub.Load() {
		return s.FS.ReuseForWrite(oldname, newname, c)
	}
	if err := s.Remove(oldname); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return s.Create(newname, c)
}

// Unwrap implements vfs.FS.
func (s *databaseFS) Unwrap() vfs.FS { return s.FS }

// scrubLogs returns when no log holds anything that was written before.
func (s *Store) scrubLogs() error {
	s.dbFS.scrub.Store(true)
	defer s.dbFS.scrub.Store(false)
	// Each flush begins a new log in the place of an old one. The database keeps
	// one more old log than it has memtables, beside those in use.
	for range 2*memTables + 1 {
		if err := s.flush(context.Background()); err != nil {
			return err
		}
	}
	return nil
}
