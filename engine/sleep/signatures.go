package sleep

import (
	"fmt"

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

// slotsRead is how many slots are read at a time while looking for one that is
// not blank: 64 KiB.
const slotsRead = 1024

// NextSignature returns the first signature at or after a slot, and its slot: it
// covers the block of that number. If there is none below the length the error
// matches ErrNoSignature.
func (f *Files) NextSignature(slot uint64) (uint64, tree.Signature, error) {
	length := f.Length()
	buf := make([]byte, SignatureSize)
	for at := slot; at < length; {
		count := min(uint64(len(buf)/SignatureSize), length-at)
		n, err := readUpTo(f.signatures, buf[:count*SignatureSize], SignatureOffset(at))
		if err != nil {
			return 0, tree.Signature{}, err
		}
		for i := 0; i+SignatureSize <= n; i += SignatureSize {
			if sig := tree.Signature(buf[i : i+SignatureSize]); sig != (tree.Signature{}) {
				return at + uint64(i/SignatureSize), sig, nil
			}
		}
		if uint64(n) < count*SignatureSize {
			break
		}
		at += count
		// Most often the first slot has it.
		if len(buf) == SignatureSize {
			buf = make([]byte, slotsRead*SignatureSize)
		}
	}
	return 0, tree.Signature{}, fmt.Errorf("sleep: slot %d and after: %w", slot, ErrNoSignature)
}
