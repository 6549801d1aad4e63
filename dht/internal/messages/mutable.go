package messages

import (
	"crypto/ed25519"

	"github.com/cairn-feeds/cairn/codec/compact"
	"github.com/cairn-feeds/cairn/dht/internal/hash"
)

// MutableValue is the record of a mutable value, as stored and as replied.
type MutableValue struct {
	Seq       uint64
	Value     []byte
	Signature [64]byte
}

// Append appends the record to b.
func (m *MutableValue) Append(b []byte) []byte {
	return append(appendSeqValue(b, m.Seq, m.Value), m.Signature[:]...)
}

func appendSeqValue(b []byte, seq uint64, value []byte) []byte {
	return compact.AppendBuffer(compact.AppendUint(b, seq), value)
}

func decodeMutable(d *compact.Decoder) MutableValue {
	return MutableValue{Seq: d.Uint(), Value: d.Buffer(), Signature: d.Fixed64()}
}

// ParseMutableValue decodes a MutableValue, whose Value aliases b.
func ParseMutableValue(b []byte) (MutableValue, error) {
	d := compact.NewDecoder(b)
	m := decodeMutable(&d)
	if err := d.Err(); err != nil {
		return MutableValue{}, malformed("mutable value", err)
	}
	return m, nil
}

// Sign sets the signature of Seq and Value.
func (m *MutableValue) Sign(key ed25519.PrivateKey) {
	m.Signature = sign(key, MutableSignable(m.Seq, m.Value))
}

// Verify says whether the signature is that of the key's owner.
func (m *MutableValue) Verify(publicKey *[32]byte) bool {
	return verify(publicKey, MutableSignable(m.Seq, m.Value), &m.Signature)
}

// MutableSignable returns what is signed of a mutable value.
func MutableSignable(seq uint64, value []byte) (signable [64]byte) {
	sum := hash.Sum(appendSeqValue(nil, seq, value))
	copy(signable[:32], NSMutable[:])
	copy(signable[32:], sum[:])
	return signable
}

// MutablePut asks a node to store a mutable value. It is the value of PutMutable.
type MutablePut struct {
	PublicKey [32]byte
	MutableValue
}

// Append appends the message to b.
func (m *MutablePut) Append(b []byte) []byte {
	return m.MutableValue.Append(append(b, m.PublicKey[:]...))
}

// ParseMutablePut decodes a MutablePut, whose Value aliases b.
func ParseMutablePut(b []byte) (MutablePut, error) {
	d := compact.NewDecoder(b)
	m := MutablePut{PublicKey: d.Fixed32(), MutableValue: decodeMutable(&d)}
	if err := d.Err(); err != nil {
		return MutablePut{}, malformed("mutable put", err)
	}
	return m, nil
}

// AppendSeq appends the value of GetMutable.
func AppendSeq(b []byte, seq uint64) []byte { return compact.AppendUint(b, seq) }

// ParseSeq decodes the value of GetMutable. It also reads the seq of an encoded
// MutableValue.
func ParseSeq(b []byte) (uint64, error) {
	d := compact.NewDecoder(b)
	seq := d.Uint()
	if err := d.Err(); err != nil {
		return 0, malformed("seq", err)
	}
	return seq, nil
}
