// Package messages has what hyperdht 6 puts in the values of dht-rpc messages,
// in its Noise handshakes and in its records: layouts, and the hashes and
// signatures that go with them.
//
// # Notation
//
// Everything is compact-encoding (see codec/compact): uint, buffer (uint length,
// bytes), addr (4 bytes of an IPv4 address, u16le port), addrs (uint count, addr
// ...). hash is BLAKE2b-256, hash(k; x) keyed, | concatenates. Fields in brackets
// are there only if their flag is set. A public key is an Ed25519 key, a target
// the 32 bytes that a request is about.
//
// Numbers are at most 2^53-1, as uint has it: Append panics on larger ones.
//
// Bytes after the last field are ignored, as are unknown flags: other versions
// may use them. A message that ends early, or says of an array that it is longer
// than the message, is refused with an error that is ErrMalformed.
//
// # Commands
//
//	 0  peer handshake    value: Handshake
//	 1  peer holepunch    value: Holepunch
//	 2  find peer         reply: Peer, or none
//	 3  lookup            reply: LookupReply, or none
//	 4  announce          value: Announce
//	 5  unannounce        value: Announce
//	 6  mutable put       value: MutablePut
//	 7  mutable get       value: uint seq, the lowest of interest; reply: MutableValue, or none
//	 8  immutable put     value: the bytes
//	 9  immutable get     reply: the bytes, or none
//	10  plugin            value: PluginRequest
//
// Targets: hash(public key) of a server or a mutable record, hash(value) of an
// immutable one, any topic for lookup and announce.
//
// # Layouts
//
//	Handshake         uint flags | uint mode | buffer noise | [addr peer] | [addr relay]
//	                  flags: 1 peer, 2 relay
//	Holepunch         uint flags | uint mode | uint id | buffer payload | [addr peer]
//	                  flags: 1 peer
//
// Modes: 0 from the client, 1 from the server, 2 from a relay, 3 from a second
// relay, 4 reply.
//
//	NoisePayload      uint version = 1 | uint flags | uint error | uint firewall
//	                  | [uint id | uint count | (addr relay | addr peer) ...]
//	                  | [addrs] | [uint count, (16 bytes of an IPv6 address, u16le port) ...]
//	                  | [uint version = 1 | uint features | uint id | uint seq]
//	                  | [uint version = 1]
//	                  | [uint version = 1 | uint flags = 0 | public key | token 32]
//	                  | [addrs]
//	                  flags: 1 holepunch, 2 IPv4 addresses, 4 IPv6 addresses, 8 UDX,
//	                  16 secret stream, 32 relay through, 64 relay addresses
//	                  UDX features: 1 reusable socket
//
// Of another version nothing but the version is looked at.
//
//	HolepunchPayload  uint flags | uint error | uint firewall | uint round | [addrs]
//	                  | [addr remote] | [token 32] | [remote token 32]
//	                  flags: 1 connected, 2 punching (these two have no field),
//	                  4 addresses, 8 remote, 16 token, 32 remote token
//
// A holepunch payload travels sealed, see SealHolepunch.
//
//	Peer              public key | addrs of relays
//	LookupReply       uint count, Peer ... | uint bump
//	Announce          uint flags | [Peer] | [refresh 32] | [signature 64] | [uint bump]
//	                  flags: 1 peer, 2 refresh, 4 signature, 8 bump
//	MutablePut        public key | uint seq | buffer value | signature 64
//	MutableValue      uint seq | buffer value | signature 64
//	PluginRequest     buffer name | uint version | uint command | uint flags | [buffer value]
//	                  flags: 1 value
//	Pair              bitfield of 7 (0 is initiator) | token 32 | uint id | uint seq
//	Unpair            bitfield of 7 | token 32
//	Address           public key | uint flags | [addrs of nodes]
//	                  flags: 1 nodes
//
// Firewalls: 0 unknown, 1 open, 2 consistent, 3 random. Errors: 0 none, 1 aborted,
// 2 version mismatch, 3 try later.
//
// # Signatures
//
// Ed25519, always of 64 bytes. ns(i) is hash(hash("hyperswarm/dht") | byte i):
//
//	mutable     ns(6) | hash(uint seq | buffer value)
//	announce    ns(4) | hash(target | node id | token | Peer | refresh or nothing)
//	unannounce  ns(5) | the same
//
// Node id and token are those of the node that stores the announcement, so that
// nobody else can use it. The bump is not signed. The Peer is signed as sent: a
// verifier that cuts the list of relays does so afterwards.
package messages
