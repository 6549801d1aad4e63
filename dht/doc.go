// Package dht is the DHT of hyperdht 6: nodes that find peers by topics, keep signed
// records for each other, and open encrypted connections between peers that may both
// be behind NATs. It speaks the same bytes as hyperdht 6.34.
//
//	n, err := dht.New(nil)                       // a node of the public network
//	s := n.CreateServer(nil)
//	err = s.Listen(ctx, &key)                    // peers now find key.Public
//	c, err := s.Accept()                         // s is a net.Listener
//
//	c, err := other.Connect(ctx, key.Public, nil) // a net.Conn
//
// # Layers
//
//	dht            servers, connections, records          this package
//	secretstream   encryption of a connection             dht/secretstream
//	udx            reliable streams over UDP              dht/udx
//	rpc            requests, routing table, queries       dht/rpc
//
// One UDP socket carries all of them: UDX packets begin with ff 01, messages of the
// RPC with 03 or 13 and have two bytes or more, and the single byte 00 is a probe that
// opens a NAT. The layouts of values and payloads, and what is signed of them, are in
// dht/internal/messages (read its package comment for the bytes), those of messages
// in dht/rpc.
//
// # Targets and commands
//
// A target is a point among the ids of nodes. The 20 nodes closest to it are asked, and
// store.
//
//	what                            target              commands
//	server that listens             hash(public key)    find peer 2, announce 4, unannounce 5
//	peers of a topic                the topic           lookup 3, announce 4, unannounce 5
//	mutable value                   hash(public key)    put 6, get 7
//	immutable value                 hash(value)         put 8, get 9
//	handshake, holepunch            hash(public key)    0, 1
//
// hash is BLAKE2b-256. Whatever stores something needs a token, which the node gave
// to the sender's address not long before; a node that cannot check a request does not
// answer it.
//
// # Storage
//
// Only nodes with an id store. Each kind of record is kept in two generations, so that
// entries live between 2/3 and 4/3 of their age: peers of topics, and ways to servers,
// 20 minutes and up to 65536; mutable and immutable values 48 hours and up to 32768,
// or 32 MiB, in each generation. Of an announcement the first 3 relays are kept, a
// lookup gets 20 records at random. A mutable value gives way to one with a higher seq
// only (errors 16, seq reused, and 17, seq too low).
//
// # Connecting
//
// A server announces itself to the 3 nodes closest to its target, its relays, and
// keeps the way from them open. The client sends a Noise handshake (IK, prologue
// ns(0)) through them; see router for the messages. The payloads name a UDX stream of
// each side. Then, as soon as each is possible:
//
//  1. The client asked the server itself, or one of both is known not to be behind a
//     firewall: the other one sends to it.
//
//  2. Both have the same public host: the client pings the server's local address that
//     fits its own best, and sends there if there is an answer.
//
//  3. Otherwise both open a new socket, find out about the NAT in front of it by pings
//     to 4 nodes, and tell each other through the relays (probe round). When they know
//     enough they agree to punch (punch round), and send probes:
//
//     client \ server   open   consistent                random
//     open              1      1                         1
//     consistent        1      10 probes each, 1/s       client guesses ports
//     random            1      server guesses ports      not possible
//
//     Who guesses sends a probe every 20 ms to a random port of the other's host, 1750
//     times; the other keeps 256 sockets open meanwhile. The server answers probes with
//     probes; the client connects to where the first one comes from, and the server to
//     where the stream's first packet comes from.
//
//  4. If one of them names a blind relay, both connect to that as well, and their
//     streams go through it until there is another way.
//
// Guessed ports are tried by one connection of a node at a time, and 20 seconds apart.
// Each side gets a token with the other's messages and returns it, which proves that
// it receives at that host; nobody guesses ports of a host that has not.
//
// # Where this differs
//
//   - A node that passes rubbish on as a server's answer does not end the handshake.
//   - A mutable put that nodes refuse is an error, see SeqError; announcements that
//     they refuse do not count as stored.
//   - What a side sends probes to is bounded: 8 addresses.
//   - A lookup never takes more records from a node than fit a datagram.
//
// # Inside
//
// Requests are answered on the goroutine that reads the socket, except for handshakes
// and holepunch messages, each of which has one of its own; their number is bounded.
// A link makes sure that of all the ways that are tried one is taken. Nothing is sent
// or called while a lock is held, but for taking a way.
package dht
