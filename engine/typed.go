package engine

import (
	"context"
	"fmt"
	"iter"

	"github.com/cairn-feeds/cairn/codec"
)

// Typed is a view of a feed whose blocks are values of type T. Any number of views
// with different encodings can look at one handle; that is also how a single read
// uses another encoding than the rest.
type Typed[T any] struct {
	// Feed is the handle underneath.
	Feed *Feed
	enc  codec.Encoding[T]
}

// As returns a view of the feed through an encoding.
func As[T any](f *Feed, enc codec.Encoding[T]) Typed[T] { return Typed[T]{f, enc} }

// Append encodes the values and appends them as one batch (see [Feed.Append]).
func (t Typed[T]) Append(ctx context.Context, values ...T) (seq uint64, err error) {
	blocks := make([][]byte, len(values))
	for i, v := range values {
		if blocks[i], err = t.enc.Append(nil, v); err != nil {
			return 0, t.Feed.fail(fmt.Errorf("encode value %d of the append: %w", i, err))
		}
	}
	return t.Feed.Append(ctx, blocks...)
}

// Get returns a value (see [Feed.Get]).
func (t Typed[T]) Get(ctx context.Context, index uint64, opts *GetOptions) (T, error) {
	b, err := t.Feed.Get(ctx, index, opts)
	if err != nil {
		var zero T
		return zero, err
	}
	return t.decode(index, b)
}

// GetBatch returns the values of [start, end) (see [Feed.GetBatch]).
func (t Typed[T]) GetBatch(ctx context.Context, start, end uint64, opts *GetOptions) ([]T, error) {
	blocks, err := t.Feed.GetBatch(ctx, start, end, opts)
	if err != nil {
		return nil, err
	}
	values := make([]T, len(blocks))
	for i, b := range blocks {
		if values[i], err = t.decode(start+uint64(i), b); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// Head returns the last value (see [Feed.Head]).
func (t Typed[T]) Head(ctx context.Context, opts *GetOptions) (T, error) {
	b, err := t.Feed.Head(ctx, opts)
	if err != nil {
		var zero T
		return zero, err
	}
	return t.decode(t.Feed.Length()-1, b)
}

// Values yields values in ascending order (see [Feed.Blocks]). A non-nil error is
// the last pair.
func (t Typed[T]) Values(ctx context.Context, opts *StreamOptions) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for b, err := range t.Feed.Blocks(ctx, opts) {
			var v T
			if err == nil {
				v, err = t.decode(b.Index, b.Data)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

func (t Typed[T]) decode(index uint64, b []byte) (T, error) {
	v, err := t.enc.Decode(b)
	if err != nil {
		var zero T
		return zero, t.Feed.blockError(index, fmt.Errorf("decode: %w", err))
	}
	return v, nil
}
