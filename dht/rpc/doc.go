// Package rpc is the network of dht-rpc 6: nodes that find each other by Kademlia,
// ask each other things, and pass requests on. It is what hyperdht 6 is built on, and
// what applications may build other things on with commands of their own. It speaks
// the same bytes as dht-rpc 6.27.
//
// # Ids
//
// Nodes, and what is looked for, are points in a space of 32 bytes whose distance is
// the XOR of two of them. The id of a node is
//
//	BLAKE2b-256( 4 bytes of its public IPv4 address | port, 2 bytes little-endian )
//
// and a claim to an id is believed only in a datagram from that very address. Nodes
// behind a NAT or firewall do not know an address at which all others reach them, so
// they claim none: they are ephemeral, and nobody puts them in a table. They ask and
// answer all the same.
//
// # Messages
//
// A message is a datagram on IPv4, in compact-encoding. Integers are little-endian,
// uint is the encoding of that name, an address is four bytes and a port in two.
//
//	request   +------+-------+-----+----+------+-------+---------+--------+-------+
//	          | 0x03 | flags | tid | to | [id] | token | command | target | value |
//	          | 1    | 1     | 2   | 6  | 32   | 32    | uint    | 32     | buffer|
//	          +------+-------+-----+----+------+-------+---------+--------+-------+
//	flags      1 id   2 token   4 command is one of the node's own   8 target   16 value
//
//	reply     +------+-------+-----+----+------+-------+--------------+-------+-------+
//	          | 0x13 | flags | tid | to | [id] | token | closer nodes | error | value |
//	          | 1    | 1     | 2   | 6  | 32   | 32    | array of     | uint  | buffer|
//	          |      |       |     |    |      |       | addresses    |       |       |
//	          +------+-------+-----+----+------+-------+--------------+-------+-------+
//	flags      1 id   2 token   4 closer nodes   8 error   16 value
//
// All fields from id on are there only if their flag is set, but for the command. The
// first byte is the type in its upper half and the version, 3, in its lower one. tid
// numbers the requests of a node and comes back in the reply. to is whom the message
// is sent to, as the sender sees it: that is how nodes learn their public address. The
// id is there if the node is persistent and sends from its server socket. Closer nodes,
// at most 20, are those of the responder's table that are closest to the target; error
// is not sent if it is 0. A value that is there and empty is not the same as none.
//
// Bytes after the last field and other flags are ignored; a message that ends early is
// dropped, as is one over 2048 bytes, without an answer.
//
// A node's own commands:
//
//	0 ping           a value is padding
//	1 ping-nat       value: port in 2 bytes; the reply goes to this port instead
//	2 find-node      target; the reply has closer nodes
//	3 down-hint      value: address in 6 bytes of a node that seems to be down
//	4 delayed-ping   value: milliseconds in 4 bytes; the reply comes after them
//
// Their replies have no token. A command that is unknown is answered with error 1, one
// with a wrong token with error 2 and a good token, whatever else is in it; both have
// closer nodes if there was a target.
//
// # Tokens
//
// A token proves that its sender receives what is sent to its address. It is
// BLAKE2b-256 of the address in ASCII, without the port, keyed with the newer of two
// secrets, and accepted if it comes from either. Every 7.5 seconds the older secret is
// replaced by its hash and becomes the newer one. Whoever stores something for others
// should ask for a token, since a request without one may come from anywhere.
//
// # Requests
//
// A request without answer is sent again after a second, three times (five in a
// query), then it has failed. An [AdaptiveTimeout] follows round-trip times instead.
// At most 80 requests may be unanswered in a slot of 750 ms, and 160 in all of the last
// four; others wait in line. Replies are not limited.
//
// # Routing table
//
// There is a row for each number of leading bits that an id may share with the node's
// own, with up to 20 nodes. A node that answered with its id comes in; if its row is
// full, only in place of one that does not answer. A node that does not answer leaves.
// Time is counted in ticks of 5 seconds: every 8 ticks the nodes longest unheard of
// are pinged; after 60 ticks without a query, or 64 with fewer than 20 nodes, the node
// walks to the id of a random node of its table.
//
// # Queries
//
// A [Query] walks towards a target: it asks nodes close to it, ten at a time, and then
// closer nodes that these name, until the 20 closest have answered. A node that misses
// its first timeout no longer holds up the others. With a [Commit] something is then
// done with each of the 20, which is how things are stored. Nodes that did not answer
// are reported to those that named them, with down-hints.
//
// # Becoming persistent
//
// A node has two sockets. As long as it may be behind a firewall, it sends from the
// client socket, so that nothing opens a way to the server socket. What others see as
// its address it learns from their replies: a NAT shows them one port or, if it is
// unfriendly, many. After 20 minutes, and when a first ping-nat succeeds while the node
// starts, it asks up to five nodes for a ping-nat to the server socket. If three get
// through (one, if there are fewer to ask), all see the same host and the port that the
// socket has, then it is not firewalled. From then on it sends from the server socket,
// and its id is that of its address; after the 20 minutes it is persistent and says so.
//
// The first node of a network has nobody to learn its address from: see
// [NewBootstrapper].
//
// # Where this differs
//
// What can be seen on the wire is what dht-rpc does. Where one more proof can be had
// for the price of a ping, or a better answer for nothing, this package is stricter:
//
//   - A reply counts only if it comes from the node that was asked, unless
//     RequestOptions.AnySource is set. dht-rpc matches the tid alone, and leaves the
//     rest to those above; a forger needs few tries for 16 bits.
//   - A node that sends requests with its id is pinged before it comes into the table,
//     and only replies are samples of our address: the source of a request may be
//     forged.
//   - Walks ask the closest known node first instead of the one last heard of. They pass
//     over what is named by nodes that have named several silent ones, ask at most 512,
//     and do not follow a node elsewhere to our own loopback addresses.
//   - A commit whose token grew too old during a long walk is repeated with a new one.
//   - Closer nodes are the closest of the table. dht-rpc takes rows that are farther
//     away first.
//   - Requests that wait in line go on as soon as replies make room, not only at the
//     next slot.
//
// # Inside
//
// A node's state is in core, which has no sockets, clock, goroutines or locks: it is
// told what arrived and what time it is, and leaves behind what to send. Node guards
// it with a mutex, and sends and calls only when that is unlocked. Each query is a
// walk, which knows nothing of the network either and belongs to the goroutine that
// iterates over [Query.Replies]. Goroutines: one that waits for what is due next, one
// per socket, and one for each walk or firewall probe in the background; Close waits
// for all.
package rpc
