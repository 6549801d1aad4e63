package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// markerFile is present while a process holds the store for writing, and stays
	// after an unclean end. Its text names the holder and its sync policy.
	markerFile = "RUNNING"
	// asideDir is where parts of logs go that could not be replayed.
	asideDir = "set-aside"
)

// Recovery tells what Open found.
type Recovery struct {
	// Unclean is set when the last process that held the store did not close it.
	Unclean bool
	// SetAside lists copies of logs whose end could not be replayed, as paths. They
	// are evidence for a repair; the store does not need them.
	SetAside []string
	// LostBytes is how many bytes of those logs were not replayed.
	LostBytes int64
	// Guarded is how many feeds were guarded because the last sync policy did not
	// promise that they are up to date.
	Guarded int
}

// Recovery tells what Open found and did.
func (s *Store) Recovery() Recovery { return s.recovery }

// beforeReplay looks at the marker and, after an unclean end, keeps copies of logs
// that cannot be replayed to their end: the database drops their tail silently.
func (s *Store) beforeReplay() error {
	text := s.readMarker()
	s.recovery.Unclean = text != ""
	if s.opts.ReadOnly {
		return nil
	}
	if s.recovery.Unclean {
		if err := s.setLogsAside(); err != nil {
			return err
		}
		if s.mustGuard = !strings.Contains(text, "sync "+SyncAlways.String()); s.mustGuard {
			return nil // the marker keeps the weak policy until the feeds are guarded
		}
	}
	return s.writeMarker()
}

// afterReplay guards feeds when the last process could have lost changes.
func (s *Store) afterReplay() error {
	if s.recovery.Unclean {
		s.log.Warn("store was not closed in order", "store", s.dir, "logsSetAside", s.recovery.SetAside, "lostBytes", s.recovery.LostBytes)
	}
	if !s.mustGuard {
		return nil
	}
	n, err := s.guardAll()
	if err != nil {
		return fmt.Errorf("guard feeds after an unclean end: %w", err)
	}
	s.recovery.Guarded = n
	return s.writeMarker()
}

// readMarker returns the text of the marker, empty when there is none.
func (s *Store) readMarker() string {
	f, err := s.fs.Open(s.fs.PathJoin(s.dir, markerFile))
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil || len(b) == 0 {
		return "an unknown process"
	}
	return strings.TrimSpace(string(b))
}

func (s *Store) writeMarker() error {
	host, _ := os.Hostname()
	text := fmt.Sprintf("process %d on %s, sync %s\n", os.Getpid(), strconv.Quote(host), s.opts.Sync)
	path := s.fs.PathJoin(s.dir, markerFile)
	f, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("mark store as running: %w", err)
	}
	_, err = f.Write([]byte(text))
	return errors.Join(err, f.Sync(), f.Close(), s.syncDir(s.dir))
}

func (s *Store) removeMarker() error {
	err := s.fs.Remove(s.fs.PathJoin(s.dir, markerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mark store as closed: %w", err)
	}
	return s.syncDir(s.dir)
}

func (s *Store) syncDir(dir string) error {
	d, err := s.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// setLogsAside copies each log that ends in bytes that are not records.
func (s *Store) setLogsAside() error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		number, ok := strings.CutSuffix(name, ".log")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			continue
		}
		lost, err := s.unreplayable(name, n)
		if err != nil {
			return fmt.Errorf("look at log %s: %w", name, err)
		}
		if lost == 0 {
			continue
		}
		to, err := s.copyAside(name)
		if err != nil {
			return fmt.Errorf("set log %s aside: %w", name, err)
		}
		s.recovery.SetAside = append(s.recovery.SetAside, to)
		s.recovery.LostBytes += lost
	}
	return nil
}

// unreplayable returns how many bytes at the end of a log hold something that is
// not a record of this log. Zeros, and records of a log whose file was used
// before, are no loss.
func (s *Store) unreplayable(name string, number uint64) (int64, error) {
	f, err := s.fs.Open(s.fs.PathJoin(s.dir, name))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r := newRecordReader(record.NewReader, f, number)
	var good int64
	for {
		rec, err := r.Next()
		if err == nil {
			_, err = io.Copy(io.Discard, rec)
		}
		if err == nil {
			good = r.Offset()
			continue
		}
		if errors.Is(err, io.EOF) && !errors.Is(err, record.ErrUnexpectedEOF) {
			return 0, nil
		}
		return lastNonZero(f, good)
	}
}

// newRecordReader calls record.NewReader, whose second parameter has a type that
// cannot be named here.
func newRecordReader[N ~uint64](open func(io.Reader, N) *record.Reader, r io.Reader, number uint64) *record.Reader {
	return open(r, N(number))
}

// lastNonZero returns how many bytes behind from there are up to the last one that
// is not zero.
func lastNonZero(f vfs.File, from int64) (int64, error) {
	buf := make([]byte, 64<<10)
	var last int64
	for off := from; ; {
		n, err := f.ReadAt(buf, off)
		for i := n - 1; i >= 0; i-- {
			if buf[i] != 0 {
				last = off + int64(i) + 1 - from
				break
			}
		}
		off += int64(n)
		if errors.Is(err, io.EOF) || n == 0 {
			return last, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// copyAside copies a file of the store into asideDir under a name that is free.
func (s *Store) copyAside(name string) (string, error) {
	dir := s.fs.PathJoin(s.dir, asideDir)
	if err := s.fs.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	to := s.fs.PathJoin(dir, name)
	for i := 1; ; i++ {
		if _, err := s.fs.Stat(to); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return "", err
		}
		to = s.fs.PathJoin(dir, fmt.Sprintf("%s.%d", name, i))
	}
	if err := vfs.Copy(s.fs, s.fs.PathJoin(s.dir, name), to); err != nil {
		return "", err
	}
	return to, errors.Join(s.syncDir(dir), s.syncDir(s.dir))
}
