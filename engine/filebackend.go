package engine

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// fileBackend is the backend of a feed in six files, as hypercore 9 keeps it.
type fileBackend struct {
	files   *sleep.Files
	destroy atomic.Bool // close deletes the files
}

func (b *fileBackend) readHead() (*head, error) {
	length, byteLength, roots := b.files.Head()
	h := &head{length: length, byteLength: byteLength, roots: roots}
	h.prefix = min(b.files.NextMissing(0), length)
	h.present = b.files.CountBlocks(0, length)
	return h, nil
}

// Has implements tree.Reader.
func (b *fileBackend) Has(i tree.Index) (bool, error) { return b.files.HasNode(i), nil }

func (b *fileBackend) known(i tree.Index) (bool, error) { return b.Has(i) }

// Node implements tree.Reader.
func (b *fileBackend) Node(i tree.Index) (tree.Node, error) {
	n, err := b.files.ReadNode(i)
	return n, fileError(err)
}

func (b *fileBackend) appendBlock(dst []byte, _ *head, index uint64) ([]byte, error) {
	p, err := b.files.ReadBlock(dst, index)
	return p, fileError(err)
}

func (b *fileBackend) signature(slot uint64) (uint64, tree.Signature, error) {
	at, sig, err := b.files.NextSignature(slot)
	return at, sig, fileError(err)
}

func (b *fileBackend) page(number uint64) (*bitmap.Page, error) {
	start := number * bitmap.PageSize
	p := bitmap.NewPage()
	for r := range b.files.Blocks(start, start+bitmap.PageSize) {
		p.Add(uint32(r.Start-start), uint32(r.End-start))
	}
	if p.Empty() {
		return nil, nil
	}
	return p, nil
}

func (b *fileBackend) nextPage(number uint64) (uint64, bool, error) {
	at, ok := b.files.NextBlock(number * bitmap.PageSize)
	return at / bitmap.PageSize, ok, nil
}

func (b *fileBackend) commit(_ *head, c *change) error {
	if len(c.cleared) > 0 {
		_, err := b.files.Clear(c.span.Start, c.span.End)
		return fileError(err)
	}
	out := sleep.Change{Nodes: c.nodes, Length: c.head.length}
	if len(c.corrected) > 0 {
		out.Nodes = append(append([]tree.Node(nil), c.nodes...), c.corrected...)
	}
	for _, p := range c.blocks {
		out.Blocks = append(out.Blocks, sleep.Block{Index: p.index, Offset: p.offset, Data: p.data})
	}
	for _, s := range c.signatures {
		out.Signatures = append(out.Signatures, sleep.SlotSignature{Slot: s.length - 1, Signature: s.signature})
	}
	return fileError(b.files.Commit(out))
}

func (b *fileBackend) secret() (tree.SecretKey, bool, error) {
	sk, ok := b.files.SecretKey()
	return sk, ok, nil
}

func (b *fileBackend) synced() bool { return true }

func (b *fileBackend) close() error {
	if b.destroy.Load() {
		return b.files.Destroy()
	}
	return b.files.Close()
}

// fileError gives errors of the files the meaning that callers know.
func fileError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sleep.ErrNoSignature) && !errors.Is(err, tree.ErrNoSignature):
		return fmt.Errorf("%w: %w", tree.ErrNoSignature, err)
	case errors.Is(err, sleep.ErrDamaged):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case errors.Is(err, sleep.ErrFailed):
		return fmt.Errorf("%w: %w", ErrStoreFailed, err)
	case errors.Is(err, sleep.ErrReadOnly):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return err
}
