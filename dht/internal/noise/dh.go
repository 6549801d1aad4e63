package noise

import (
	"crypto/ed25519"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"

	"filippo.io/edwards25519"
	"github.com/flynn/noise"
)

// ErrKey marks a public key that cannot take part in a handshake: not the
// canonical encoding of a curve point, of small order, or outside the
// prime-order subgroup.
var ErrKey = errors.New("noise: unusable public key")

// suite is what every handshake here runs on.
var suite = noise.NewCipherSuite(dhEd25519{}, noise.CipherChaChaPoly, noise.HashBLAKE2b)

// dhEd25519 is Diffie-Hellman on the points that Ed25519 public keys are.
type dhEd25519 struct{}

var _ noise.DHFunc = dhEd25519{}

func (dhEd25519) DHLen() int     { return ed25519.PublicKeySize }
func (dhEd25519) DHName() string { return "Ed25519" }

// GenerateKeypair makes a key pair of the next 32 bytes of random.
func (dhEd25519) GenerateKeypair(random io.Reader) (noise.DHKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return noise.DHKey{}, err
	}
	return dhKey(ed25519.NewKeyFromSeed(seed)), nil
}

// DH multiplies the point of publicKey by the scalar of privateKey, which is
// an ed25519.PrivateKey.
func (dhEd25519) DH(privateKey, publicKey []byte) ([]byte, error) {
	if len(privateKey) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("noise: private key of %d bytes", len(privateKey))
	}
	point, err := parsePoint(publicKey)
	if err != nil {
		return nil, err
	}
	expanded := sha512.Sum512(ed25519.PrivateKey(privateKey).Seed())
	scalar, err := edwards25519.NewScalar().SetBytesWithClamping(expanded[:32])
	if err != nil {
		return nil, err
	}
	// Clamping makes the scalar a multiple of eight below 2^255, which is then
	// reduced modulo the order of the subgroup. That the reduction changes
	// nothing rests on parsePoint letting only points of that subgroup through.
	shared := point.ScalarMult(scalar, point)
	if shared.Equal(identity) == 1 {
		return nil, ErrKey
	}
	return shared.Bytes(), nil
}

var (
	identity = edwards25519.NewIdentityPoint()
	zero     = edwards25519.NewScalar()
	// minusOne is the order of the prime-order subgroup less one.
	minusOne = edwards25519.NewScalar().Negate(scalarOne())
)

func scalarOne() *edwards25519.Scalar {
	one, err := edwards25519.NewScalar().SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
	if err != nil {
		panic(err) // one is canonical
	}
	return one
}

// parsePoint decodes a public key and refuses what libsodium refuses. It runs
// in variable time; public keys are not secret.
func parsePoint(publicKey []byte) (*edwards25519.Point, error) {
	p, err := new(edwards25519.Point).SetBytes(publicKey)
	if err != nil {
		return nil, ErrKey
	}
	// SetBytes takes every encoding of a point, Bytes gives the canonical one.
	if string(p.Bytes()) != string(publicKey) || p.Equal(identity) == 1 {
		return nil, ErrKey
	}
	// The subgroup has order L: L*p = (L-1)*p + p is the identity exactly for
	// its members. Other points of small order fail here too.
	q := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(minusOne, p, zero)
	if q.Add(q, p).Equal(identity) != 1 {
		return nil, ErrKey
	}
	return p, nil
}

// dhKey is k in the words of the noise library, which shares its memory.
func dhKey(k ed25519.PrivateKey) noise.DHKey {
	return noise.DHKey{Private: k, Public: k[ed25519.SeedSize:]}
}
