package engine

import (
	"context"
	"fmt"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

const (
	// maxFrameBody is the largest message a hypercore 9 peer takes
	// (simple-message-channels 1: 8 MiB).
	maxFrameBody = 8 << 20
	// maxProofNodes bounds the nodes that go with a block of a feed of maxLength
	// blocks: a sibling for each level, and a root for each binary digit.
	maxProofNodes = 2 * 52
	// nodeMessage bounds an encoded node: index and size of at most 2^53 as varints
	// of 8 bytes, hash, their three tags, a length, and tag and length around them.
	nodeMessage = (1 + 8) + (1 + 1 + tree.HashSize) + (1 + 8) + 2
	// dataMessage bounds what else is in a Data message: index, tag and length of
	// the value, signature.
	dataMessage = (1 + 8) + (1 + 4) + (1 + 1 + tree.SignatureSize)

	// MaxSendable is the largest block that Append takes by default, 5,700 bytes
	// below 8 MiB. A larger one might never reach any hypercore 9 peer: those take
	// messages of up to 8 MiB, and the block travels with its proof.
	MaxSendable = maxFrameBody - maxProofNodes*nodeMessage - dataMessage
	// maxUnsendable bounds blocks appended with AllowUnsendable.
	maxUnsendable = 1 << 30
)

// Append appends blocks to the feed as one batch with one signature and returns
// the number of the first. It returns when the batch is as durable as the store's
// sync policy promises. Nothing is stored when it fails. Appending no blocks does
// nothing and returns the length.
//
// Appends that arrive while another one is being written are written together, as
// one batch with one signature; each caller gets the number of its own first block.
// The blocks are not kept and may be reused after the return.
//
// The error matches ErrNotWritable, ErrGuarded, ErrBlockTooLarge, ErrNoSpace,
// ErrStoreFailed, ErrReadOnly or ErrClosed. ctx is looked at only before the batch
// is on its way.
func (f *Feed) Append(ctx context.Context, blocks ...[]byte) (seq uint64, err error) {
	if err := f.check(ctx); err != nil {
		return 0, err
	}
	l := f.live
	if !l.writable {
		return 0, f.fail(ErrNotWritable)
	}
	if l.readOnly {
		return 0, f.fail(ErrReadOnly)
	}
	if len(blocks) == 0 {
		return l.head.Load().length, nil
	}
	for i, b := range blocks {
		if err := f.checkSize(b); err != nil {
			return 0, f.fail(fmt.Errorf("block %d of the append: %w", i, err))
		}
	}
	o := &op{kind: opAppend, feed: f, blocks: blocks}
	if err := l.write(o); err != nil {
		return 0, f.fail(err)
	}
	return o.seq, nil
}

// checkSize refuses blocks that cannot be appended whatever the feed.
func (f *Feed) checkSize(b []byte) error {
	most := MaxSendable
	if f.opts.AllowUnsendable {
		most = maxUnsendable
	}
	if len(b) <= most {
		return nil
	}
	if most == MaxSendable && len(b) <= maxUnsendable {
		return fmt.Errorf("%w: %d bytes, the most that a hypercore 9 peer can receive is %d (see AllowUnsendable)", ErrBlockTooLarge, len(b), most)
	}
	return fmt.Errorf("%w: %d bytes, the most is %d", ErrBlockTooLarge, len(b), most)
}

// runAppend writes the appends as one batch.
func (l *live) runAppend(batch []*op) {
	h := l.head.Load()
	if h.guarded() {
		fail(batch, ErrGuarded)
		return
	}
	sk, err := l.secretKey()
	if err != nil {
		fail(batch, err)
		return
	}
	accepted, blocks := l.acceptBlocks(batch, h.length)
	if len(blocks) == 0 {
		return
	}
	c, err := l.appendChange(h, blocks, sk, accepted[0].feed.opts.Crypto)
	if err == nil {
		err = l.commit(h, c)
	}
	if err != nil {
		fail(accepted, err)
		return
	}
	l.broadcast(Events{Appended: true})
	l.settle()
}

// acceptBlocks numbers the blocks of the appends and asks the hooks about them. An
// append that is refused drops out and takes no number.
func (l *live) acceptBlocks(batch []*op, length uint64) (accepted []*op, blocks [][]byte) {
	for _, o := range batch {
		o.seq = length + uint64(len(blocks))
		for i, b := range o.blocks {
			index := o.seq + uint64(i)
			if o.err == nil && o.feed.opts.OnWrite != nil {
				if err := o.feed.opts.OnWrite(index, b, nil); err != nil {
					o.err = &BlockError{Block: index, Err: err}
				}
			}
		}
		if o.err == nil && o.seq+uint64(len(o.blocks)) > maxLength {
			o.err = fmt.Errorf("%w: a feed has at most %d blocks", ErrRange, uint64(maxLength))
		}
		if o.err == nil {
			accepted = append(accepted, o)
			blocks = append(blocks, o.blocks...)
		}
	}
	return accepted, blocks
}

// appendChange hashes and signs.
func (l *live) appendChange(h *head, blocks [][]byte, sk tree.SecretKey, crypto *tree.Crypto) (*change, error) {
	builder, err := tree.NewBuilder(h.length, h.roots)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	c := &change{appended: true}
	c.nodes = builder.Append(make([]tree.Node, 0, 2*len(blocks)+8), blocks)
	next := &head{
		length:     builder.Length(),
		byteLength: builder.ByteLength(),
		flags:      h.flags,
		roots:      builder.Roots(),
	}
	sig, err := crypto.SignRoots(next.roots, next.length, sk)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	c.signatures = []signedLength{{next.length, sig}}
	c.blocks = make([]placedBlock, len(blocks))
	offset := h.byteLength
	for i, b := range blocks {
		c.blocks[i] = placedBlock{index: h.length + uint64(i), offset: offset, data: b}
		offset += uint64(len(b))
	}
	return c, c.setPresent(l.be, h, next, []bitmap.Run{{Start: h.length, End: next.length}}, nil)
}

// setPresent completes a change with its head and the edits of the block map.
func (c *change) setPresent(pages pageReader, old, next *head, set, cleared []bitmap.Run) error {
	e := editMap(pages, old, next.length)
	for _, r := range set {
		if _, err := e.add(r.Start, r.End); err != nil {
			return err
		}
	}
	for _, r := range cleared {
		if _, err := e.remove(r.Start, r.End); err != nil {
			return err
		}
	}
	next.prefix, next.present = e.prefix, e.present
	c.head, c.set, c.cleared, c.pages = next, set, cleared, e.changed
	return nil
}
