package sleep

import (
	"fmt"
	"iter"
	"slices"

	"github.com/cairn-feeds/cairn/tree"
)

// ReadSignature returns the signature in a slot: that of the length slot+1. If
// the slot is blank the error matches ErrNoSignature.
func (f *Files) ReadSignature(slot uint64) (tree.Signature, error) {
	if slot < f.Length() {
		sig, ok, err := f.storedSignature(slot)
		if err != nil || ok {
			return sig, err
		}
	}
	return tree.Signature{}, fmt.Errorf("sleep: slot %d: %w", slot, ErrNoSignature)
}

// storedSignature reads a slot, below the length or not; ok is false if it is
// blank.
func (f *Files) storedSignature(slot uint64) (sig tree.Signature, ok bool, err error) {
	if slot >= tree.MaxLength {
		return sig, false, nil
	}
	b := make([]byte, SignatureSize)
	n, err := readUpTo(f.signatures, b, SignatureOffset(slot))
	if err != nil || n < SignatureSize {
		return sig, false, err
	}
	return tree.Signature(b), !isBlank(b), nil
}

// isBlank reports whether b has nothing but zeros.
func isBlank(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// slotsRead is how many slots are read at a time while looking for those that
// are not blank: 64 KiB.
const slotsRead = 1024

// Signatures yields the signatures below the length from a slot on, in order. A
// non-nil error is the last pair.
func (f *Files) Signatures(slot uint64) iter.Seq2[SlotSignature, error] {
	return func(yield func(SlotSignature, error) bool) {
		var buf []byte
		// Most often the first slot has one.
		for count := uint64(1); ; count = min(16*count, slotsRead) {
			length := f.Length()
			if slot >= length {
				return
			}
			count = min(count, length-slot)
			buf = slices.Grow(buf[:0], int(count)*SignatureSize)[:count*SignatureSize]
			n, err := readUpTo(f.signatures, buf, SignatureOffset(slot))
			if err != nil {
				yield(SlotSignature{}, err)
				return
			}
			for at := 0; at+SignatureSize <= n; at += SignatureSize {
				b := buf[at : at+SignatureSize]
				if !isBlank(b) && !yield(SlotSignature{slot + uint64(at/SignatureSize), tree.Signature(b)}, nil) {
					return
				}
			}
			if n < len(buf) {
				return
			}
			slot += count
		}
	}
}

// NextSignature returns the first signature at or after a slot, and its slot: it
// covers the block of that number. If there is none below the length the error
// matches ErrNoSignature.
func (f *Files) NextSignature(slot uint64) (uint64, tree.Signature, error) {
	for s, err := range f.Signatures(slot) {
		return s.Slot, s.Signature, err
	}
	return 0, tree.Signature{}, fmt.Errorf("sleep: slot %d and after: %w", slot, ErrNoSignature)
}
