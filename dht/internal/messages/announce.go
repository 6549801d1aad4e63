package messages

import (
	"crypto/ed25519"
	"net/netip"

	"github.com/cairn-feeds/cairn/codec/compact"
	"github.com/cairn-feeds/cairn/dht/internal/hash"
)

// Peer is the record of a peer: who it is, and which nodes pass messages on to it.
type Peer struct {
	PublicKey      [32]byte
	RelayAddresses []netip.AddrPort
}

// minPeerSize is the length of a Peer without relays.
const minPeerSize = 32 + 1

// Append appends the record to b.
func (p *Peer) Append(b []byte) []byte {
	return compact.AppendIPv4AddressArray(append(b, p.PublicKey[:]...), p.RelayAddresses)
}

func decodePeer(d *compact.Decoder) Peer {
	return Peer{PublicKey: d.Fixed32(), RelayAddresses: d.IPv4AddressArray()}
}

// ParsePeer decodes a Peer.
func ParsePeer(b []byte) (Peer, error) {
	d := compact.NewDecoder(b)
	p := decodePeer(&d)
	if err := d.Err(); err != nil {
		return Peer{}, malformed("peer", err)
	}
	return p, nil
}

// LookupReply is who announced a topic.
type LookupReply struct {
	Peers []Peer
	// Bump is the latest time, in milliseconds since 1970, at which somebody
	// announced that there is news. Zero means never.
	Bump uint64
}

// AppendLookupReply appends the LookupReply of records that are encoded already.
func AppendLookupReply(b []byte, peers [][]byte, bump uint64) []byte {
	b = compact.AppendUint(b, uint64(len(peers)))
	for _, p := range peers {
		b = append(b, p...)
	}
	return compact.AppendUint(b, bump)
}

// ParseLookupReply decodes a LookupReply. The bump may be missing at the end.
func ParseLookupReply(b []byte) (LookupReply, error) {
	d := compact.NewDecoder(b)
	var r LookupReply
	if n := d.ArrayLen(minPeerSize); n > 0 {
		r.Peers = make([]Peer, n)
	}
	for i := range r.Peers {
		r.Peers[i] = decodePeer(&d)
	}
	if d.Len() > 0 {
		r.Bump = d.Uint()
	}
	if err := d.Err(); err != nil {
		return LookupReply{}, malformed("lookup reply", err)
	}
	return r, nil
}

// Announce adds a peer to a topic, or takes it away. It is the value of
// AnnouncePeer and UnannouncePeer.
type Announce struct {
	// Peer is the record. Without one, Refresh renews an earlier record.
	Peer *Peer
	// Refresh is a block of a RefreshChain.
	Refresh   *[32]byte
	Signature *[64]byte
	// Bump is the time at which there was news, see LookupReply. Zero means none.
	Bump uint64
}

const (
	announcePeer = 1 << iota
	announceRefresh
	announceSignature
	announceBump
)

// Append appends the message to b.
func (a *Announce) Append(b []byte) []byte {
	b = compact.AppendUint(b, flag(announcePeer, a.Peer != nil)|
		flag(announceRefresh, a.Refresh != nil)|
		flag(announceSignature, a.Signature != nil)|
		flag(announceBump, a.Bump != 0))
	if a.Peer != nil {
		b = a.Peer.Append(b)
	}
	if a.Refresh != nil {
		b = append(b, a.Refresh[:]...)
	}
	if a.Signature != nil {
		b = append(b, a.Signature[:]...)
	}
	if a.Bump != 0 {
		b = compact.AppendUint(b, a.Bump)
	}
	return b
}

// ParseAnnounce decodes an Announce.
func ParseAnnounce(b []byte) (Announce, error) {
	d := compact.NewDecoder(b)
	var a Announce
	flags := d.Uint()
	if flags&announcePeer != 0 {
		p := decodePeer(&d)
		a.Peer = &p
	}
	if flags&announceRefresh != 0 {
		a.Refresh = fixed32(&d)
	}
	if flags&announceSignature != 0 {
		s := d.Fixed64()
		a.Signature = &s
	}
	if flags&announceBump != 0 {
		a.Bump = d.Uint()
	}
	if err := d.Err(); err != nil {
		return Announce{}, malformed("announce", err)
	}
	return a, nil
}

// Signable returns what is signed of an announcement with a peer. ns is NSAnnounce
// or NSUnannounce; nodeID and token are of the node that is to store it, the token
// being the one that it issued to the signer.
func (a *Announce) Signable(ns, target, nodeID [32]byte, token []byte) (signable [64]byte) {
	var refresh []byte
	if a.Refresh != nil {
		refresh = a.Refresh[:]
	}
	sum := hash.Sum(target[:], nodeID[:], token, a.Peer.Append(nil), refresh)
	copy(signable[:32], ns[:])
	copy(signable[32:], sum[:])
	return signable
}

// Sign sets the signature of an announcement with a peer, as Signable has it.
func (a *Announce) Sign(key ed25519.PrivateKey, ns, target, nodeID [32]byte, token []byte) {
	s := sign(key, a.Signable(ns, target, nodeID, token))
	a.Signature = &s
}

// Verify says whether the announcement has a peer and that peer's signature, as
// Signable has it.
func (a *Announce) Verify(ns, target, nodeID [32]byte, token []byte) bool {
	return a.Peer != nil && a.Signature != nil &&
		verify(&a.Peer.PublicKey, a.Signable(ns, target, nodeID, token), a.Signature)
}

func sign(key ed25519.PrivateKey, signable [64]byte) [64]byte {
	return [64]byte(ed25519.Sign(key, signable[:]))
}

func verify(publicKey *[32]byte, signable [64]byte, signature *[64]byte) bool {
	return ed25519.Verify(publicKey[:], signable[:], signature[:])
}

// RefreshChain returns n blocks that renew an announcement without a signature.
// Each block but the last is the hash of its successor, the last that of seed: an
// announcement with block 0 is renewed by one with block 1 and nothing else, then
// with block 2. Only who has made the chain knows the next block.
func RefreshChain(seed [32]byte, n int) [][32]byte {
	blocks := make([][32]byte, n)
	for next, i := seed, n-1; i >= 0; i-- {
		next = hash.Sum(next[:])
		blocks[i] = next
	}
	return blocks
}
