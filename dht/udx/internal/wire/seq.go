package wire

// SeqDiff is how far a lies ahead of b. Sequence numbers wrap at 32 bits, so
// two of them may be compared only through their signed difference.
func SeqDiff(a, b uint32) int32 { return int32(a - b) }
