package bitmap

import "errors"

var (
	// ErrCorrupt marks bytes that cannot be what Page.AppendBinary or
	// Page.AppendBits wrote, and an index size that no bitfield file has.
	ErrCorrupt = errors.New("bitmap: corrupt")
	// ErrInvalidRLE marks bytes that are no run-length encoded bitfield.
	ErrInvalidRLE = errors.New("bitmap: invalid RLE bitfield")
	// ErrTooLarge marks a run-length encoded bitfield that decodes to more than
	// the caller allows.
	ErrTooLarge = errors.New("bitmap: RLE bitfield too large")
)
