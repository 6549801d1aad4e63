// Package hash has the hashes of hyperdht 6 and secret streams: BLAKE2b with
// 32 bytes of output, plain and keyed, and the namespaces made of it.
//
// A namespace separates the uses of one key. It is named by a string and
// numbered by a byte:
//
//	namespace(name, i) = hash(hash(name) | byte(i))
package hash

import (
	"hash"

	"golang.org/x/crypto/blake2b"
)

// Size is the length of a hash in bytes.
const Size = blake2b.Size256

// Sum hashes the concatenation of parts.
func Sum(parts ...[]byte) [Size]byte {
	if len(parts) == 1 {
		return blake2b.Sum256(parts[0])
	}
	h, err := blake2b.New256(nil)
	if err != nil {
		panic(err) // only a long key fails
	}
	return sum(h, parts)
}

// Keyed hashes the concatenation of parts under a key of 1 to 64 bytes; a longer
// one panics.
func Keyed(key []byte, parts ...[]byte) [Size]byte {
	h, err := blake2b.New256(key)
	if err != nil {
		panic(err)
	}
	return sum(h, parts)
}

func sum(h hash.Hash, parts [][]byte) (out [Size]byte) {
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(out[:0])
	return out
}

// Namespace is number i of the namespaces called name.
func Namespace(name string, i byte) [Size]byte {
	base := blake2b.Sum256([]byte(name))
	return blake2b.Sum256(append(base[:], i))
}
