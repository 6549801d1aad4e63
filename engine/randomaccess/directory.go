package randomaccess

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
)

// DirectoryOptions configure a Directory.
type DirectoryOptions struct {
	// ReadOnly opens existing files only for reading and creates nothing.
	// Changes fail with [ErrReadOnly]. The lock is taken all the same.
	ReadOnly bool

	// NoLock leaves the bitfield unlocked, for file systems that cannot lock.
	NoLock bool
}

// Directory keeps each storage in a plain file. Directories are made with mode
// 0700 and files with 0600, at the first write; the bitfield is made when it is
// opened, to be locked.
type Directory struct {
	path string
	opts DirectoryOptions
}

// NewDirectory returns the storages in the directory path, which need not exist
// yet.
func NewDirectory(path string, opts DirectoryOptions) *Directory {
	return &Directory{path: path, opts: opts}
}

// Open is an [Opener]. For the bitfield it fails with [ErrLocked] when it is
// open already.
func (d *Directory) Open(name string) (Storage, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	f := &file{path: filepath.Join(d.path, filepath.FromSlash(name)), readOnly: d.opts.ReadOnly}
	if !Locks(name) || d.opts.NoLock {
		return f, nil
	}
	f.locks = true
	h, err := f.acquire(!f.readOnly)
	if err != nil {
		return nil, err
	}
	if h != nil {
		f.mu.RUnlock()
	}
	return f, nil
}

// file is a storage in a file. The file is opened when it is first needed and
// created by the first write.
type file struct {
	path     string
	readOnly bool
	locks    bool

	// mu is held for reading by reads and writes while they use handle, and for
	// writing by whatever opens, closes or truncates it.
	mu       sync.RWMutex
	handle   *os.File // nil until the file was found or made
	unsynced []string // directories with entries made for this file
	closed   bool
}

// acquire returns the open file with f.mu held for reading. Without create it
// returns nil, and f.mu unlocked, if there is no file.
func (f *file) acquire(create bool) (*os.File, error) {
	for {
		f.mu.RLock()
		if f.handle != nil && !f.closed {
			return f.handle, nil
		}
		f.mu.RUnlock()
		if ok, err := f.open(create); err != nil || !ok {
			return nil, err
		}
	}
}

// open opens the file unless it is open, and reports whether there is one.
func (f *file) open(create bool) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false, &fs.PathError{Op: "open", Path: f.path, Err: fs.ErrClosed}
	}
	if f.handle != nil {
		return true, nil
	}
	// A named pipe or a device in the place of a file would block or worse.
	if st, err := os.Stat(f.path); err == nil && !st.Mode().IsRegular() {
		return false, &fs.PathError{Op: "open", Path: f.path, Err: errors.New("not a regular file")}
	}
	flag := os.O_RDWR
	if f.readOnly {
		flag = os.O_RDONLY
	}
	h, err := os.OpenFile(f.path, flag, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if !create {
			return false, nil
		}
		h, err = f.create()
	}
	if err != nil {
		return false, err
	}
	if f.locks {
		if err := lock(h); err != nil {
			h.Close()
			return false, &fs.PathError{Op: "lock", Path: f.path, Err: err}
		}
	}
	f.handle = h
	return true, nil
}

// create makes the file and the directories above it, and notes the directories
// that have new entries.
func (f *file) create() (*os.File, error) {
	dir := filepath.Dir(f.path)
	dirs := []string{dir}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || filepath.Dir(d) == d {
			break
		}
		dirs = append(dirs, filepath.Dir(d))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	h, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		f.unsynced = dirs
	}
	return h, err
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := checkRange("read", f.path, off, int64(len(p))); err != nil {
		return 0, err
	}
	h, err := f.acquire(false)
	if err != nil {
		return 0, err
	}
	if h == nil {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	defer f.mu.RUnlock()
	return h.ReadAt(p, off)
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := f.checkWrite("write", off, int64(len(p))); err != nil {
		return 0, err
	}
	h, err := f.acquire(len(p) > 0)
	if err != nil || h == nil {
		return 0, err
	}
	defer f.mu.RUnlock()
	return h.WriteAt(p, off)
}

func (f *file) checkWrite(op string, offset, length int64) error {
	if f.readOnly {
		return &fs.PathError{Op: op, Path: f.path, Err: ErrReadOnly}
	}
	return checkRange(op, f.path, offset, length)
}

func (f *file) Delete(offset, length int64) error {
	if err := f.checkWrite("delete", offset, min(length, math.MaxInt64-max(offset, 0))); err != nil {
		return err
	}
	return f.truncate(func(size int64) (int64, bool) { return offset, cut(offset, length, size) })
}

func (f *file) Truncate(size int64) error {
	if err := f.checkWrite("truncate", size, 0); err != nil {
		return err
	}
	if size > 0 {
		h, err := f.acquire(true)
		if err != nil {
			return err
		}
		defer f.mu.RUnlock()
		return h.Truncate(size)
	}
	return f.truncate(func(int64) (int64, bool) { return 0, true })
}

// truncate sets the size to what decide makes of the present one, while nobody
// else changes the file. A file that does not exist stays so.
func (f *file) truncate(decide func(size int64) (int64, bool)) error {
	if ok, err := f.open(false); err != nil || !ok {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "truncate", Path: f.path, Err: fs.ErrClosed}
	}
	st, err := f.handle.Stat()
	if err != nil {
		return err
	}
	size, ok := decide(st.Size())
	if !ok {
		return nil
	}
	return f.handle.Truncate(size)
}

func (f *file) Stat() (Info, error) {
	h, err := f.acquire(false)
	if err != nil || h == nil {
		return Info{}, err
	}
	defer f.mu.RUnlock()
	st, err := h.Stat()
	if err != nil {
		return Info{}, err
	}
	return Info{Size: st.Size()}, nil
}

// Sync makes the bytes durable and, after the file was created, its name.
func (f *file) Sync() error {
	h, err := f.acquire(false)
	if err != nil || h == nil || f.readOnly {
		if h != nil {
			f.mu.RUnlock()
		}
		return err
	}
	err = syncData(h)
	dirs := f.unsynced
	f.mu.RUnlock()
	if err != nil || dirs == nil {
		return err
	}
	for _, dir := range dirs {
		if err := syncDirectory(dir); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unsynced = nil
	return nil
}

func (f *file) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	if f.handle == nil {
		return nil
	}
	return f.handle.Close()
}

// Destroy implements [Destroyer]. The directory stays.
func (f *file) Destroy() error {
	if f.readOnly {
		return errors.Join(&fs.PathError{Op: "remove", Path: f.path, Err: ErrReadOnly}, f.Close())
	}
	err := f.Close()
	if rerr := os.Remove(f.path); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}
