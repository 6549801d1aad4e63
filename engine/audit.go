package engine

import (
	"context"
	"errors"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// AuditOptions say what an audit does. Nil and the zero value only report.
type AuditOptions struct {
	// Clear frees the blocks that do not match their hashes, as hypercore 9 does.
	Clear bool
	// Progress, when not nil, is called now and then with the blocks looked at so
	// far, and with how many there are.
	Progress func(done, total uint64)
}

// Audit is the report of an audit.
type Audit struct {
	// Valid and Invalid count the blocks that match their hashes and those that do
	// not, or cannot be read.
	Valid, Invalid uint64
	// Damaged are the invalid blocks.
	Damaged []bitmap.Run
}

// auditStep is how many blocks pass between two calls of Progress.
const auditStep = 1024

// Audit compares every block that is present with its hash in the tree.
func (f *Feed) Audit(ctx context.Context, opts *AuditOptions) (Audit, error) {
	if err := f.check(ctx); err != nil {
		return Audit{}, err
	}
	var o AuditOptions
	if opts != nil {
		o = *opts
	}
	l := f.live
	h := l.head.Load()
	var a Audit
	damaged := runMerger{yield: func(r bitmap.Run) bool { a.Damaged = append(a.Damaged, r); return true }}
	var buf []byte
	for r, err := range l.blockMap(h).runs(0, h.length) {
		if err != nil {
			return Audit{}, f.fail(err)
		}
		for i := r.Start; i < r.End; i++ {
			if (a.Valid+a.Invalid)%auditStep == 0 {
				if err := f.check(ctx); err != nil {
					return Audit{}, err
				}
				if o.Progress != nil {
					o.Progress(a.Valid+a.Invalid, h.present)
				}
			}
			var state blockState
			if state, buf, err = f.auditBlock(buf, i); err != nil {
				return Audit{}, f.blockError(i, err)
			}
			switch state {
			case blockAbsent:
			case blockValid:
				a.Valid++
			case blockDamaged:
				a.Invalid++
				damaged.add(i, i+1)
			}
		}
	}
	damaged.flush()
	if o.Progress != nil {
		o.Progress(a.Valid+a.Invalid, h.present)
	}
	if o.Clear {
		for _, r := range a.Damaged {
			if _, err := f.Clear(ctx, r.Start, r.End); err != nil {
				return a, err
			}
		}
	}
	return a, nil
}

type blockState int

const (
	blockAbsent blockState = iota // cleared since the audit began
	blockValid
	blockDamaged
)

// auditBlock compares one block with its leaf. What cannot be read is damaged; an
// error means that the audit cannot go on.
func (f *Feed) auditBlock(buf []byte, index uint64) (blockState, []byte, error) {
	b, err := f.readPresent(buf[:0], index)
	switch {
	case errors.Is(err, ErrNotPresent):
		return blockAbsent, buf, nil
	case errors.Is(err, ErrClosed):
		return blockAbsent, buf, err
	case err != nil:
		return blockDamaged, buf, nil
	}
	l := f.live
	if err := l.use(); err != nil {
		return blockAbsent, b, err
	}
	defer l.unuse()
	leaf, err := l.be.Node(tree.LeafIndex(index))
	if err != nil || leaf != tree.Leaf(index, b) {
		return blockDamaged, b, nil
	}
	return blockValid, b, nil
}
