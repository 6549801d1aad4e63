package engine

import (
	"errors"
	"fmt"
	"sync"
	"weak"

	"github.com/cockroachdb/pebble/v2"
)

// ErrTableInUse is returned by [Store.StaticTable] while somebody else has it.
var ErrTableInUse = errors.New("engine: the static feeds of this store are open already")

// staticOwners are the stores whose static table is taken. A weak pointer does not
// keep a store alive whose owner forgot to close the table.
var staticOwners sync.Map // weak.Pointer[Store] -> struct{}

// Table is the part of the key space that belongs to static feeds. Package static
// below this one says what is in it; here it is keys and values. All methods may be
// called from any goroutine. They fail with ErrClosed once the store is closed.
type Table struct {
	s    *Store
	once sync.Once
}

// StaticTable takes the table of static feeds, which has one owner at a time, so that
// nobody changes rows that another one has in memory. While it is taken the error is
// [ErrTableInUse].
func (s *Store) StaticTable() (*Table, error) {
	if _, taken := staticOwners.LoadOrStore(weak.Make(s), struct{}{}); taken {
		return nil, ErrTableInUse
	}
	return &Table{s: s}, nil
}

// Close gives the table back. It may be called more than once.
func (t *Table) Close() {
	t.once.Do(func() { staticOwners.Delete(weak.Make(t.s)) })
}

// ReadOnly reports whether the store was opened read-only.
func (t *Table) ReadOnly() bool { return t.s.opts.ReadOnly }

// appendStaticKey appends the key in the store of a row of the table.
func appendStaticKey(dst, key []byte) []byte { return append(append(dst, tableStatic), key...) }

// Append appends the value of a row to dst, ok false when there is none.
func (t *Table) Append(dst, key []byte) (value []byte, ok bool, err error) {
	if err := t.s.use(); err != nil {
		return dst, false, err
	}
	defer t.s.unuse()
	var space [32]byte
	full := appendStaticKey(space[:0], key)
	v, closer, err := t.s.db.Get(full)
	if errors.Is(err, pebble.ErrNotFound) {
		return dst, false, nil
	}
	if err != nil {
		return dst, false, rowError(full, err)
	}
	dst = append(dst, v...)
	return dst, true, closer.Close()
}

// Scan calls yield with the rows whose keys are in [start, end), in ascending order,
// until it returns false. A nil end means the end of the table. Key and value are valid
// during the call, which must be short: it holds up the freeing of space.
func (t *Table) Scan(start, end []byte, yield func(key, value []byte) bool) error {
	if err := t.s.use(); err != nil {
		return err
	}
	defer t.s.unuse()
	lower, upper := appendStaticKey(nil, start), []byte{tableStatic + 1}
	if end != nil {
		upper = appendStaticKey(nil, end)
	}
	it, err := t.s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return rowError(it.Key(), err)
		}
		if !yield(it.Key()[1:], v) {
			return nil
		}
	}
	return rowError(lower, it.Error())
}

// DiskUsage estimates the bytes on disk of the rows whose keys are in [start, end).
func (t *Table) DiskUsage(start, end []byte) (uint64, error) {
	if err := t.s.use(); err != nil {
		return 0, err
	}
	defer t.s.unuse()
	return t.s.db.EstimateDiskUsage(appendStaticKey(nil, start), appendStaticKey(nil, end))
}

// Write commits what fill puts into the batch, all of it or nothing, and returns when
// that is as durable as the sync policy of the store promises. Changes that others
// commit meanwhile share the sync.
func (t *Table) Write(fill func(*TableBatch) error) error {
	return t.write(t.s.opts.Sync == SyncAlways, fill)
}

// WriteLater is Write for rows that nobody relies on yet: they become durable with the
// next Write, never without the rows that were written before them.
func (t *Table) WriteLater(fill func(*TableBatch) error) error { return t.write(false, fill) }

func (t *Table) write(sync bool, fill func(*TableBatch) error) error {
	if err := t.s.use(); err != nil {
		return err
	}
	defer t.s.unuse()
	if t.s.opts.ReadOnly {
		return ErrReadOnly
	}
	b := TableBatch{b: t.s.db.NewBatch()}
	if err := fill(&b); err != nil {
		b.b.Close()
		return err
	}
	if b.err != nil {
		b.b.Close()
		return fmt.Errorf("static table: %w", b.err)
	}
	return t.s.commit.commit(b.b, sync)
}

// TableBatch collects the changes of one Write. Errors are kept and come out of Write.
type TableBatch struct {
	b   *pebble.Batch
	err error
}

// Set writes a row. Key and value are copied.
func (b *TableBatch) Set(key, value []byte) {
	op := b.b.SetDeferred(1+len(key), len(value))
	op.Key[0] = tableStatic
	copy(op.Key[1:], key)
	copy(op.Value, value)
	b.keep(op.Finish())
}

// Delete removes a row, whether it is there or not.
func (b *TableBatch) Delete(key []byte) {
	op := b.b.DeleteDeferred(1 + len(key))
	op.Key[0] = tableStatic
	copy(op.Key[1:], key)
	b.keep(op.Finish())
}

// DeleteRange removes the rows whose keys are in [start, end).
func (b *TableBatch) DeleteRange(start, end []byte) {
	b.keep(b.b.DeleteRange(appendStaticKey(nil, start), appendStaticKey(nil, end), nil))
}

func (b *TableBatch) keep(err error) {
	if b.err == nil {
		b.err = err
	}
}
