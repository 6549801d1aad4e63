package randomaccesstest

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
)

// Kind is what an operation does.
type Kind int

// The kinds of operations. Those from Write on change something; see
// [Kind.Mutates].
const (
	Open Kind = iota
	Read
	Stat
	Close
	Write
	Delete
	Truncate
	Sync
)

// Mutates reports whether operations of this kind change what is stored or what
// would survive a loss of power.
func (k Kind) Mutates() bool { return k >= Write }

func (k Kind) String() string {
	return [...]string{"open", "read", "stat", "close", "write", "delete", "truncate", "sync"}[k]
}

// Op is one operation on a storage.
type Op struct {
	// N counts the operations of one opener from 0.
	N      int
	Kind   Kind
	Name   string
	Offset int64
	Length int64
}

func (o Op) String() string {
	return fmt.Sprintf("operation %d: %s %s [%d:+%d]", o.N, o.Kind, o.Name, o.Offset, o.Length)
}

// ErrInjected is the error of injected faults.
var ErrInjected = errors.New("injected fault")

// Fault is how an operation fails.
type Fault struct {
	// Err is returned; nil stands for ErrInjected.
	Err error
	// Part is how many bytes of a write reach the storage before it fails.
	Part int64
}

// Inject returns an opener over open that asks decide before every operation.
// If it returns a fault the operation fails with it. Calls of decide may be
// concurrent if those of the storages are.
func Inject(open randomaccess.Opener, decide func(Op) *Fault) randomaccess.Opener {
	in := &injector{decide: decide}
	return func(name string) (randomaccess.Storage, error) {
		if err := in.check(Op{Kind: Open, Name: name}); err != nil {
			return nil, err.err()
		}
		s, err := open(name)
		if err != nil {
			return nil, err
		}
		return &faulty{Storage: s, name: name, injector: in}, nil
	}
}

// FailNth returns a decision for [Inject] that lets the n-th mutating operation
// (counted from 0) fail and, when sticky, all later ones too.
func FailNth(n int64, sticky bool, fault Fault) func(Op) *Fault {
	var count atomic.Int64
	return func(op Op) *Fault {
		if !op.Kind.Mutates() {
			return nil
		}
		if i := count.Add(1) - 1; i == n || (sticky && i > n) {
			return &fault
		}
		return nil
	}
}

type injector struct {
	decide func(Op) *Fault
	count  atomic.Int64
}

func (in *injector) check(op Op) *Fault {
	op.N = int(in.count.Add(1) - 1)
	return in.decide(op)
}

func (f *Fault) err() error {
	if f.Err == nil {
		return ErrInjected
	}
	return f.Err
}

type faulty struct {
	randomaccess.Storage
	name string
	*injector
}

func (f *faulty) ReadAt(p []byte, off int64) (int, error) {
	if fault := f.check(Op{Kind: Read, Name: f.name, Offset: off, Length: int64(len(p))}); fault != nil {
		return 0, fault.err()
	}
	return f.Storage.ReadAt(p, off)
}

func (f *faulty) WriteAt(p []byte, off int64) (int, error) {
	if fault := f.check(Op{Kind: Write, Name: f.name, Offset: off, Length: int64(len(p))}); fault != nil {
		n, err := f.Storage.WriteAt(p[:min(fault.Part, int64(len(p)))], off)
		return n, errors.Join(fault.err(), err)
	}
	return f.Storage.WriteAt(p, off)
}

func (f *faulty) Delete(offset, length int64) error {
	if fault := f.check(Op{Kind: Delete, Name: f.name, Offset: offset, Length: length}); fault != nil {
		return fault.err()
	}
	return f.Storage.Delete(offset, length)
}

func (f *faulty) Truncate(size int64) error {
	if fault := f.check(Op{Kind: Truncate, Name: f.name, Offset: size}); fault != nil {
		return fault.err()
	}
	return f.Storage.Truncate(size)
}

func (f *faulty) Stat() (randomaccess.Info, error) {
	if fault := f.check(Op{Kind: Stat, Name: f.name}); fault != nil {
		return randomaccess.Info{}, fault.err()
	}
	return f.Storage.Stat()
}

func (f *faulty) Sync() error {
	if fault := f.check(Op{Kind: Sync, Name: f.name}); fault != nil {
		return fault.err()
	}
	return f.Storage.Sync()
}

// Close reports a fault but closes all the same, so that a failing test does
// not hold locks.
func (f *faulty) Close() error {
	err := f.Storage.Close()
	if fault := f.check(Op{Kind: Close, Name: f.name}); fault != nil {
		err = errors.Join(fault.err(), err)
	}
	return err
}

// Destroy implements randomaccess.Destroyer.
func (f *faulty) Destroy() error { return randomaccess.Destroy(f.Storage) }
