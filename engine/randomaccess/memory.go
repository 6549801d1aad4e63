package randomaccess

import (
	"io"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"
)

// memoryPage is the unit in which a Memory allocates. A feed of one block has
// six small files, so it is not large.
const memoryPage = 4096

// MemoryOptions configure a Memory.
type MemoryOptions struct {
	// MaxBytes bounds the memory that all storages of one Memory take together,
	// counted in whole pages of 4 KiB; holes are free. Zero means 1 GiB,
	// negative means no bound.
	MaxBytes int64
}

// Memory is a set of named storages that live as long as the Memory does. It is
// safe for concurrent use.
type Memory struct {
	max  int64
	used atomic.Int64 // bytes of all pages

	mu     sync.Mutex
	files  map[string]*memoryFile
	locked map[string]bool // names for which Locks holds and that are open
}

// NewMemory returns an empty Memory.
func NewMemory(opts MemoryOptions) *Memory {
	m := &Memory{max: opts.MaxBytes, files: map[string]*memoryFile{}, locked: map[string]bool{}}
	switch {
	case m.max == 0:
		m.max = 1 << 30
	case m.max < 0:
		m.max = math.MaxInt64
	}
	return m
}

// Used returns the bytes that all storages take in memory.
func (m *Memory) Used() int64 { return m.used.Load() }

// Open is an [Opener].
func (m *Memory) Open(name string) (Storage, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if Locks(name) {
		if m.locked[name] {
			return nil, &fs.PathError{Op: "lock", Path: name, Err: ErrLocked}
		}
		m.locked[name] = true
	}
	f := m.files[name]
	if f == nil {
		f = &memoryFile{memory: m, pages: map[int64]*[memoryPage]byte{}}
		m.files[name] = f
	}
	return &memoryHandle{file: f, name: name}, nil
}

// reserve accounts for n more pages, or refuses.
func (m *Memory) reserve(n int64) error {
	if m.used.Add(n*memoryPage) > m.max {
		m.used.Add(-n * memoryPage)
		return ErrNoSpace
	}
	return nil
}

// memoryFile is the content behind a name.
type memoryFile struct {
	memory *Memory

	mu    sync.RWMutex
	size  int64
	pages map[int64]*[memoryPage]byte // by offset / memoryPage; absent is zeros
}

// memoryHandle is one opening of a memoryFile.
type memoryHandle struct {
	file   *memoryFile
	name   string
	closed atomic.Bool
}

// check validates a call and its range.
func (h *memoryHandle) check(op string, offset, length int64) error {
	if h.closed.Load() {
		return &fs.PathError{Op: op, Path: h.name, Err: fs.ErrClosed}
	}
	return checkRange(op, h.name, offset, length)
}

func (h *memoryHandle) ReadAt(p []byte, off int64) (int, error) {
	if err := h.check("read", off, int64(len(p))); err != nil {
		return 0, err
	}
	f := h.file
	f.mu.RLock()
	defer f.mu.RUnlock()
	n := int(max(0, min(int64(len(p)), f.size-off)))
	for done := 0; done < n; {
		page, in := (off+int64(done))/memoryPage, int((off+int64(done))%memoryPage)
		part := p[done:min(n, done+memoryPage-in)]
		if data := f.pages[page]; data != nil {
			copy(part, data[in:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memoryHandle) WriteAt(p []byte, off int64) (int, error) {
	if err := h.check("write", off, int64(len(p))); err != nil || len(p) == 0 {
		return 0, err
	}
	f := h.file
	f.mu.Lock()
	defer f.mu.Unlock()
	first, last := off/memoryPage, (off+int64(len(p))-1)/memoryPage
	fresh := int64(0)
	for page := first; page <= last; page++ {
		if f.pages[page] == nil {
			fresh++
		}
	}
	if err := f.memory.reserve(fresh); err != nil {
		return 0, &fs.PathError{Op: "write", Path: h.name, Err: err}
	}
	f.size = max(f.size, off+int64(len(p)))
	for n := 0; n < len(p); {
		page, in := (off+int64(n))/memoryPage, (off+int64(n))%memoryPage
		data := f.pages[page]
		if data == nil {
			data = new([memoryPage]byte)
			f.pages[page] = data
		}
		n += copy(data[in:], p[n:])
	}
	return len(p), nil
}

func (h *memoryHandle) Delete(offset, length int64) error {
	if err := h.check("delete", offset, min(length, math.MaxInt64-max(offset, 0))); err != nil {
		return err
	}
	h.file.mu.Lock()
	defer h.file.mu.Unlock()
	if cut(offset, length, h.file.size) {
		h.file.truncate(offset)
	}
	return nil
}

func (h *memoryHandle) Truncate(size int64) error {
	if err := h.check("truncate", size, 0); err != nil {
		return err
	}
	h.file.mu.Lock()
	defer h.file.mu.Unlock()
	h.file.truncate(size)
	return nil
}

// truncate sets the size and frees what is past it. f.mu must be held.
func (f *memoryFile) truncate(size int64) {
	if size < f.size {
		keep := (size + memoryPage - 1) / memoryPage
		before := len(f.pages)
		for page := range f.pages {
			if page >= keep {
				delete(f.pages, page)
			}
		}
		f.memory.used.Add(int64(len(f.pages)-before) * memoryPage)
		// What is left of the last page has to read as zeros if the storage
		// grows again.
		if data := f.pages[size/memoryPage]; data != nil {
			clear(data[size%memoryPage:])
		}
	}
	f.size = size
}

func (h *memoryHandle) Stat() (Info, error) {
	if err := h.check("stat", 0, 0); err != nil {
		return Info{}, err
	}
	h.file.mu.RLock()
	defer h.file.mu.RUnlock()
	return Info{Size: h.file.size}, nil
}

func (h *memoryHandle) Sync() error { return h.check("sync", 0, 0) }

func (h *memoryHandle) Close() error {
	if h.closed.Swap(true) || !Locks(h.name) {
		return nil
	}
	m := h.file.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.locked, h.name)
	return nil
}

// Destroy implements [Destroyer].
func (h *memoryHandle) Destroy() error {
	h.file.mu.Lock()
	h.file.truncate(0)
	h.file.mu.Unlock()
	return h.Close()
}
