package messages

import "github.com/cairn-feeds/cairn/codec/compact"

// Pair asks a blind relay to join the sender's stream with that of whoever sends
// the same token, and is the relay's answer when it has.
type Pair struct {
	// Initiator says which of the two sides this is.
	Initiator bool
	Token     [32]byte
	// ID and Seq are those of a UDX stream: the sender's end.
	ID, Seq uint32
}

// Append appends the message to b.
func (m *Pair) Append(b []byte) []byte {
	b = compact.AppendBitfield7(b, byte(flag(1, m.Initiator)))
	b = append(b, m.Token[:]...)
	b = compact.AppendUint(b, uint64(m.ID))
	return compact.AppendUint(b, uint64(m.Seq))
}

// ParsePair decodes a Pair.
func ParsePair(b []byte) (Pair, error) {
	d := compact.NewDecoder(b)
	m := Pair{Initiator: d.Bitfield7()&1 != 0, Token: d.Fixed32()}
	var err error
	if m.ID, m.Seq, err = decodeStream(&d); err != nil {
		return Pair{}, malformed("pair", err)
	}
	return m, nil
}

// Unpair takes a Pair back.
type Unpair struct{ Token [32]byte }

// Append appends the message to b.
func (m *Unpair) Append(b []byte) []byte {
	return append(compact.AppendBitfield7(b, 0), m.Token[:]...)
}

// ParseUnpair decodes an Unpair.
func ParseUnpair(b []byte) (Unpair, error) {
	d := compact.NewDecoder(b)
	d.Bitfield7()
	m := Unpair{Token: d.Fixed32()}
	if err := d.Err(); err != nil {
		return Unpair{}, malformed("unpair", err)
	}
	return m, nil
}
