package randomaccesstest

import (
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
)

// sector is the most that a disk writes in one piece: of a longer write that
// was not synced, each sector may have been written or not.
const sector = 512

// Disk is an opener in memory that remembers which writes were synced. It is
// for tests of small feeds: holes take memory, and so does every write until it
// is synced.
type Disk struct {
	hooked sync.Mutex // held while the hook runs

	mu     sync.Mutex // guards the rest
	files  map[string]*diskFile
	locked map[string]bool
	count  int
	hook   func(Op)
}

// NewDisk returns an empty disk.
func NewDisk() *Disk {
	return &Disk{files: map[string]*diskFile{}, locked: map[string]bool{}}
}

// OnOp sets a function to be called after each mutating operation, one call at a
// time. It may call Crash, but must not use the storages of this disk.
func (d *Disk) OnOp(f func(Op)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = f
}

// Loss says what a crash takes away.
type Loss int

const (
	// LoseNothing is a crash of the process: whatever was written is there.
	LoseNothing Loss = iota
	// TearLast is a crash of the process in the middle of the last write, of
	// which only a part is there.
	TearLast
	// LoseUnsynced is a loss of power after which nothing is there that was not
	// synced.
	LoseUnsynced
	// LoseSome is a loss of power after which an arbitrary choice of the
	// sectors and truncations that were not synced is there.
	LoseSome
)

func (l Loss) String() string {
	return [...]string{"nothing", "the end of the last write", "everything unsynced", "some of the unsynced"}[l]
}

// Losses lists all kinds of loss.
func Losses() []Loss { return []Loss{LoseNothing, TearLast, LoseUnsynced, LoseSome} }

// Crash returns another disk, the way this one may be found after a crash now.
// What is there counts as synced, and nothing is locked. The same state and rng
// give the same disk.
func (d *Disk) Crash(loss Loss, rng *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := NewDisk()
	keep := []float64{0.1, 0.5, 0.9}[rng.IntN(3)]
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		f := d.files[name]
		data := append([]byte(nil), f.synced...)
		for _, c := range f.pending {
			switch {
			case loss == LoseUnsynced:
			case loss == TearLast && c.n == d.count-1 && c.data != nil:
				data = change{at: c.at, data: c.data[:rng.IntN(len(c.data))]}.apply(data)
			case loss == LoseSome && c.data != nil:
				for len(c.data) > 0 {
					n := min(len(c.data), sector-c.at%sector)
					if rng.Float64() < keep {
						data = change{at: c.at, data: c.data[:n]}.apply(data)
					}
					c.at, c.data = c.at+n, c.data[n:]
				}
			case loss == LoseSome && rng.Float64() >= keep:
			default:
				data = c.apply(data)
			}
		}
		found.files[name] = &diskFile{current: data, synced: append([]byte(nil), data...)}
	}
	return found
}

// Content returns a copy of what is stored under a name.
func (d *Disk) Content(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[name]; f != nil {
		return append([]byte(nil), f.current...)
	}
	return nil
}

// Open is a randomaccess.Opener.
func (d *Disk) Open(name string) (randomaccess.Storage, error) {
	if name == "." || !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if randomaccess.Locks(name) {
		if d.locked[name] {
			return nil, &fs.PathError{Op: "lock", Path: name, Err: randomaccess.ErrLocked}
		}
		d.locked[name] = true
	}
	if d.files[name] == nil {
		d.files[name] = new(diskFile)
	}
	return &diskHandle{disk: d, name: name, file: d.files[name]}, nil
}

// diskFile is guarded by the disk's mutex.
type diskFile struct {
	current []byte // what reads see
	synced  []byte // what is durable
	pending []change
}

// change is a write of data at an offset or, without data, a truncation to it.
type change struct {
	n    int // number of the operation
	at   int
	data []byte
}

func (c change) apply(to []byte) []byte {
	size := c.at + len(c.data)
	if c.data == nil && size < len(to) {
		return to[:size:size]
	}
	if size > len(to) {
		to = append(to, make([]byte, size-len(to))...)
	}
	copy(to[c.at:], c.data)
	return to
}

type diskHandle struct {
	disk   *Disk
	name   string
	file   *diskFile
	closed bool // guarded by the disk's mutex
}

// do runs f under the mutex unless the handle is closed, and then reports op to
// the hook if it changes anything.
func (h *diskHandle) do(op Op, f func() error) error {
	if op.Offset < 0 || op.Length < 0 || (op.Kind != Delete && op.Offset > math.MaxInt64-op.Length) {
		return &fs.PathError{Op: op.Kind.String(), Path: h.name, Err: fs.ErrInvalid}
	}
	h.disk.mu.Lock()
	if h.closed {
		h.disk.mu.Unlock()
		return &fs.PathError{Op: op.Kind.String(), Path: h.name, Err: fs.ErrClosed}
	}
	err := f()
	var hook func(Op)
	if op.Kind.Mutates() {
		op.N, op.Name, hook = h.disk.count, h.name, h.disk.hook
		h.disk.count++
	}
	h.disk.mu.Unlock()
	if hook != nil {
		h.disk.hooked.Lock()
		defer h.disk.hooked.Unlock()
		hook(op)
	}
	return err
}

// change applies c and keeps it until the next sync. The mutex must be held.
func (h *diskHandle) change(at int64, data []byte) {
	c := change{n: h.disk.count, at: int(at), data: data}
	h.file.current = c.apply(h.file.current)
	h.file.pending = append(h.file.pending, c)
}

func (h *diskHandle) ReadAt(p []byte, off int64) (n int, err error) {
	err = h.do(Op{Kind: Read, Offset: off, Length: int64(len(p))}, func() error {
		n = copy(p, h.file.current[min(off, int64(len(h.file.current))):])
		if n < len(p) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

func (h *diskHandle) WriteAt(p []byte, off int64) (int, error) {
	err := h.do(Op{Kind: Write, Offset: off, Length: int64(len(p))}, func() error {
		if len(p) > 0 {
			h.change(off, append([]byte(nil), p...))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (h *diskHandle) Delete(offset, length int64) error {
	return h.do(Op{Kind: Delete, Offset: offset, Length: length}, func() error {
		if size := int64(len(h.file.current)); offset < size && length >= size-offset {
			h.change(offset, nil)
		}
		return nil
	})
}

func (h *diskHandle) Truncate(size int64) error {
	return h.do(Op{Kind: Truncate, Offset: size}, func() error {
		h.change(size, nil)
		return nil
	})
}

func (h *diskHandle) Stat() (info randomaccess.Info, err error) {
	err = h.do(Op{Kind: Stat}, func() error {
		info.Size = int64(len(h.file.current))
		return nil
	})
	return info, err
}

func (h *diskHandle) Sync() error {
	return h.do(Op{Kind: Sync}, func() error {
		h.file.synced = append(h.file.synced[:0:0], h.file.current...)
		h.file.pending = nil
		return nil
	})
}

func (h *diskHandle) Close() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if !h.closed {
		h.closed = true
		if randomaccess.Locks(h.name) {
			delete(h.disk.locked, h.name)
		}
	}
	return nil
}
