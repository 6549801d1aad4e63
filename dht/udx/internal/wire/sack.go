package wire

import "encoding/binary"

// MaxSackBlocks is how many blocks an acknowledgement of ours carries at most:
// what fits the smallest MTU over IPv6. The reference sends 50 and takes any
// number.
const MaxSackBlocks = 140

// SackBlock is a run of received packets, [Start, End).
type SackBlock struct{ Start, End uint32 }

// AppendSackBlock appends one block to b.
func AppendSackBlock(b []byte, s SackBlock) []byte {
	b = binary.LittleEndian.AppendUint32(b, s.Start)
	return binary.LittleEndian.AppendUint32(b, s.End)
}

// SackBlocks is the number of blocks in p, 0 without the SACK flag.
func (p *Packet) SackBlocks() int { return len(p.Blocks) / sackBlockSize }

// SackBlock returns block i as it was sent, which may be nonsense.
func (p *Packet) SackBlock(i int) SackBlock {
	b := p.Blocks[i*sackBlockSize:]
	return SackBlock{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])}
}
