package static

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/cairn-feeds/cairn/engine"
)

// Info describes a stored feed.
type Info struct {
	ID ID
	// Blocks is the length of the feed, Downloaded how many of its blocks are here, and
	// Bytes how many bytes those have.
	Blocks, Downloaded, Bytes uint64
	// Created is when the feed came into the store.
	Created time.Time
}

// Complete reports whether every block is here.
func (i Info) Complete() bool { return i.Downloaded == i.Blocks }

func newInfo(id ID, h *head) Info {
	return Info{ID: id, Blocks: h.blocks, Downloaded: h.present, Bytes: h.bytes, Created: h.created}
}

// List yields the feeds of which something is stored, by id. A non-nil error is the last
// pair. Feeds that come or go meanwhile may be among them or not.
func (c *Core) List() iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		const most = 1024 // rows read at a time: nothing is held while somebody looks at them
		for start := []byte{kindRecord}; start != nil; {
			infos, next, err := c.page(start, most)
			for _, i := range infos {
				if !yield(i, nil) {
					return
				}
			}
			if err != nil {
				yield(Info{}, err)
				return
			}
			start = next
		}
	}
}

// page reads records from a key on, and returns the key to go on with, nil at the end.
func (c *Core) page(start []byte, most int) (infos []Info, next []byte, err error) {
	var bad error
	err = c.table.Scan(start, recordEnd(), func(key, value []byte) bool {
		if len(infos) == most {
			next = bytes.Clone(key)
			return false
		}
		var id ID
		h, err := parseRecord(value)
		if copy(id[:], key[1:]) != len(id) || len(key) != 1+len(id) {
			err = fmt.Errorf("row key %x: %w", key, engine.ErrCorrupt)
		}
		if err != nil {
			bad = &FeedError{ID: id, Err: err}
			return false
		}
		infos = append(infos, newInfo(id, h))
		return true
	})
	if err == nil {
		err = bad
	}
	return infos, next, err
}

// Info describes a stored feed. The error matches engine.ErrNoFeed when nothing of it is
// here.
func (c *Core) Info(id ID) (Info, error) {
	h, err := c.readHead(id)
	if err != nil {
		return Info{}, &FeedError{ID: id, Err: err}
	}
	return newInfo(id, h), nil
}

// DiskUsage estimates the bytes on disk of a stored feed.
func (c *Core) DiskUsage(id ID) (uint64, error) {
	h, err := c.readHead(id)
	if err != nil {
		return 0, &FeedError{ID: id, Err: err}
	}
	return c.table.DiskUsage(feedSpan(h.number))
}

// Remove removes a stored feed that nobody has open; otherwise the error matches ErrInUse.
// The space comes back when the store is compacted.
func (c *Core) Remove(id ID) error {
	defer c.lock(id).Unlock()
	c.mu.Lock()
	_, open := c.mu.live[id]
	c.mu.Unlock()
	if open {
		return &FeedError{ID: id, Err: ErrInUse}
	}
	h, err := c.readHead(id)
	if err == nil {
		err = c.table.Write(func(b *engine.TableBatch) error {
			b.Delete(recordKey(id))
			start, end := feedSpan(h.number)
			b.DeleteRange(start, end)
			return nil
		})
	}
	if err != nil {
		return &FeedError{ID: id, Err: err}
	}
	return nil
}

// Find returns the stored feed whose id in hex begins with text. Errors match
// engine.ErrNoFeed and engine.ErrAmbiguous.
func (c *Core) Find(text string) (Info, error) {
	if id, err := ParseID(text); err == nil {
		return c.Info(id)
	}
	var found []Info
	for i, err := range c.List() {
		if err != nil {
			return Info{}, err
		}
		if text != "" && len(text) < len(i.ID.String()) && i.ID.String()[:len(text)] == text {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 0:
		return Info{}, fmt.Errorf("%w: %q", engine.ErrNoFeed, text)
	case 1:
		return found[0], nil
	}
	return Info{}, fmt.Errorf("%w: %q", engine.ErrAmbiguous, text)
}

// Read yields the blocks of a feed, as [Feed.Read] does.
func (c *Core) Read(ctx context.Context, id ID, opts *ReadOptions) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		f, err := c.Get(id)
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close()
		f.Read(ctx, opts)(yield)
	}
}
