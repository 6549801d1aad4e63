package engine

import (
	"iter"

	"github.com/cairn-feeds/cairn/bitmap"
)

// pageReader gives access to the pages of a block map. Pages are shared and must
// not be modified.
type pageReader interface {
	page(number uint64) (*bitmap.Page, error)
	nextPage(number uint64) (uint64, bool, error)
}

// blockMap says which blocks are present: those below prefix, and above it those
// in the pages. It is a view of one head.
type blockMap struct {
	pages  pageReader
	prefix uint64
	length uint64
}

func pageOf(index uint64) (number uint64, offset uint32) {
	return index / bitmap.PageSize, uint32(index % bitmap.PageSize)
}

// has reports whether a block is present.
func (m blockMap) has(index uint64) (bool, error) {
	if index < m.prefix {
		return true, nil
	}
	if index >= m.length {
		return false, nil
	}
	number, offset := pageOf(index)
	p, err := m.pages.page(number)
	if err != nil || p == nil {
		return false, err
	}
	return p.Has(offset), nil
}

// nextMissing returns the first block at or behind index that is not present.
func (m blockMap) nextMissing(index uint64) (uint64, error) {
	index = max(index, m.prefix)
	for index < m.length {
		number, offset := pageOf(index)
		p, err := m.pages.page(number)
		if err != nil {
			return 0, err
		}
		if p == nil {
			return index, nil
		}
		if next := p.NextMissing(offset); next < bitmap.PageSize {
			return number*bitmap.PageSize + uint64(next), nil
		}
		index = (number + 1) * bitmap.PageSize
	}
	return index, nil
}

// nextPresent returns the first block at or behind index that is present.
func (m blockMap) nextPresent(index uint64) (uint64, bool, error) {
	if index < m.prefix {
		return index, true, nil
	}
	for index < m.length {
		number, offset := pageOf(index)
		next, ok, err := m.pages.nextPage(number)
		if err != nil || !ok {
			return 0, false, err
		}
		if next > number {
			number, offset = next, 0
		}
		p, err := m.pages.page(number)
		if err != nil {
			return 0, false, err
		}
		if p != nil {
			if at, ok := p.NextPresent(offset); ok {
				return number*bitmap.PageSize + uint64(at), true, nil
			}
		}
		index = (number + 1) * bitmap.PageSize
	}
	return 0, false, nil
}

// runs yields the runs of present blocks in [start, end), in ascending order and
// not touching each other. A non-nil error is the last pair.
func (m blockMap) runs(start, end uint64) iter.Seq2[bitmap.Run, error] {
	return func(yield func(bitmap.Run, error) bool) {
		end = min(end, m.length)
		for start < end {
			first, ok, err := m.nextPresent(start)
			if err != nil {
				yield(bitmap.Run{}, err)
				return
			}
			if !ok || first >= end {
				return
			}
			last, err := m.nextMissing(first)
			if err != nil {
				yield(bitmap.Run{}, err)
				return
			}
			if !yield(bitmap.Run{Start: first, End: min(last, end)}, nil) {
				return
			}
			start = last
		}
	}
}

// count returns how many blocks of [start, end) are present.
func (m blockMap) count(start, end uint64) (uint64, error) {
	end = min(end, m.length)
	var n uint64
	if start < m.prefix {
		n = min(end, m.prefix) - min(start, end)
		start = m.prefix
	}
	for start < end {
		number, offset := pageOf(start)
		next, ok, err := m.pages.nextPage(number)
		if err != nil || !ok {
			return n, err
		}
		if next > number {
			number, offset = next, 0
			if number*bitmap.PageSize >= end {
				return n, nil
			}
		}
		p, err := m.pages.page(number)
		if err != nil {
			return 0, err
		}
		if p != nil {
			n += uint64(p.CountRange(offset, uint32(min(end-number*bitmap.PageSize, bitmap.PageSize))))
		}
		start = (number + 1) * bitmap.PageSize
	}
	return n, nil
}

// pageMemo remembers the page that was asked for last, also when it is empty.
type pageMemo struct {
	pageReader
	number uint64
	last   *bitmap.Page
	valid  bool
}

func (m *pageMemo) page(number uint64) (*bitmap.Page, error) {
	if m.valid && m.number == number {
		return m.last, nil
	}
	p, err := m.pageReader.page(number)
	if err != nil {
		return nil, err
	}
	m.number, m.last, m.valid = number, p, true
	return p, nil
}

// mapEdit alters a block map. Pages it changes are copies.
type mapEdit struct {
	blockMap
	present uint64
	changed map[uint64]*bitmap.Page
	full    bool // every block up to the old length is present: there are no pages
}

// edit starts an edit of the map of h. length is the length after the change.
func editMap(pages pageReader, h *head, length uint64) *mapEdit {
	e := &mapEdit{present: h.present, changed: make(map[uint64]*bitmap.Page), full: h.complete()}
	e.blockMap = blockMap{pages: editedPages{pages, e.changed}, prefix: h.prefix, length: length}
	return e
}

// editedPages shows changed pages over those of the backend.
type editedPages struct {
	base    pageReader
	changed map[uint64]*bitmap.Page
}

func (p editedPages) page(number uint64) (*bitmap.Page, error) {
	if c, ok := p.changed[number]; ok {
		return c, nil
	}
	return p.base.page(number)
}

func (p editedPages) nextPage(number uint64) (uint64, bool, error) {
	next, ok, err := p.base.nextPage(number)
	if err != nil {
		return 0, false, err
	}
	for c, page := range p.changed {
		if page != nil && c >= number && (!ok || c < next) {
			next, ok = c, true
		}
	}
	return next, ok, nil
}

// writable returns the page as a copy that may be changed.
func (e *mapEdit) writable(number uint64) (*bitmap.Page, error) {
	if p := e.changed[number]; p != nil {
		return p, nil
	}
	p, err := e.pages.page(number)
	if err != nil {
		return nil, err
	}
	if p == nil {
		p = bitmap.NewPage()
	} else {
		p = p.Clone()
	}
	e.changed[number] = p
	return p, nil
}

// add makes [start, end) present and returns how many blocks were not before.
func (e *mapEdit) add(start, end uint64) (uint64, error) {
	start = max(start, e.prefix)
	if start >= end {
		return 0, nil
	}
	if e.full && start == e.prefix {
		e.prefix = end
		e.present += end - start
		return end - start, nil
	}
	e.full = false
	have, err := e.count(start, end)
	if err != nil {
		return 0, err
	}
	added := end - start - have
	e.present += added
	if start > e.prefix {
		return added, e.fill(start, end)
	}
	return added, e.advance(end)
}

// advance moves the prefix to at least end, and on over what is present behind
// it. Pages that fall below the prefix are dropped.
func (e *mapEdit) advance(end uint64) error {
	first := e.prefix / bitmap.PageSize
	e.prefix = end
	next, err := e.nextMissing(end)
	if err != nil {
		return err
	}
	e.prefix = next
	for number := first; ; number++ {
		var ok bool
		if number, ok, err = e.pages.nextPage(number); err != nil {
			return err
		}
		if !ok || number >= e.prefix/bitmap.PageSize {
			return nil
		}
		e.changed[number] = nil
	}
}

// fill sets [start, end) in the pages.
func (e *mapEdit) fill(start, end uint64) error {
	for start < end {
		number, offset := pageOf(start)
		p, err := e.writable(number)
		if err != nil {
			return err
		}
		stop := min(end-number*bitmap.PageSize, bitmap.PageSize)
		p.Add(offset, uint32(stop))
		start = number*bitmap.PageSize + stop
	}
	return nil
}

// remove makes [start, end) absent and returns how many blocks were present.
func (e *mapEdit) remove(start, end uint64) (uint64, error) {
	end = min(end, e.length)
	have, err := e.count(start, end)
	if err != nil || have == 0 {
		return 0, err
	}
	e.full = false
	e.present -= have
	if start < e.prefix {
		old := e.prefix
		e.prefix = start
		if err := e.fill(min(end, old), old); err != nil {
			return 0, err
		}
	}
	for start < end {
		number, offset := pageOf(start)
		next, ok, err := e.pages.nextPage(number)
		if err != nil {
			return 0, err
		}
		if !ok || next*bitmap.PageSize >= end {
			break
		}
		if next > number {
			number, offset = next, 0
		}
		p, err := e.writable(number)
		if err != nil {
			return 0, err
		}
		stop := min(end-number*bitmap.PageSize, bitmap.PageSize)
		p.Remove(offset, uint32(stop))
		if p.Empty() {
			e.changed[number] = nil
		}
		start = number*bitmap.PageSize + stop
	}
	return have, nil
}
