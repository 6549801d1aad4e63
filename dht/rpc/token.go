package rpc

import (
	"crypto/rand"
	"crypto/subtle"
	"hash"
	"net/netip"
	"time"

	"golang.org/x/crypto/blake2b"
)

// tokenRotation is how long a secret issues tokens; ten periods of 750 ms.
const tokenRotation = 7500 * time.Millisecond

// tokens issues and checks the proofs that a requester receives at its address. A
// token is BLAKE2b-256 of the address in ASCII, without port, keyed with a secret.
// New tokens come from the newer of two secrets and are accepted with either, so
// that a token lives for one to two rotations.
//
// Secrets rotate when they are looked at, by the time that went by; a node at rest
// needs no timer for them.
type tokens struct {
	secrets [2][32]byte // older, newer
	keyed   [2]hash.Hash
	rotated time.Time // zero before the first use
	scratch []byte    // of sum and valid; hashes behind an interface would move it to the heap
}

func (t *tokens) rotate(now time.Time) {
	switch periods := now.Sub(t.rotated) / tokenRotation; {
	case t.rotated.IsZero() || periods >= 2:
		// Both secrets are out of date.
		rand.Read(t.secrets[0][:])
		rand.Read(t.secrets[1][:])
		t.rotated = now
	case periods == 1:
		t.secrets[0], t.secrets[1] = t.secrets[1], blake2b.Sum256(t.secrets[0][:])
		t.rotated = t.rotated.Add(tokenRotation)
	default:
		return
	}
	for i := range t.secrets {
		t.keyed[i], _ = blake2b.New256(t.secrets[i][:]) // fails for longer keys only
	}
}

// append appends the token of host to b.
func (t *tokens) append(b []byte, now time.Time, host netip.Addr) []byte {
	t.rotate(now)
	return t.sum(b, 1, host)
}

// valid reports whether token was issued to host and is still good.
func (t *tokens) valid(now time.Time, host netip.Addr, token []byte) bool {
	t.rotate(now)
	for i := range t.secrets {
		issued := t.sum(t.scratch[:0], i, host)
		t.scratch = issued
		if subtle.ConstantTimeCompare(issued, token) == 1 {
			return true
		}
	}
	return false
}

func (t *tokens) sum(b []byte, i int, host netip.Addr) []byte {
	t.scratch = host.AppendTo(t.scratch[:0])
	t.keyed[i].Reset()
	t.keyed[i].Write(t.scratch)
	return t.keyed[i].Sum(b)
}
