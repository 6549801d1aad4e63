package replicate

import "math/rand/v2"

// random returns a number below n.
func (h *Host) random(n uint64) uint64 { return rand.Uint64N(n) }
