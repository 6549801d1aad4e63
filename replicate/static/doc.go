// Package static speaks the wire protocol of hypercore 1: static feeds, which are named by
// a hash of their content, over any byte stream. It knows nothing of stores: what it serves
// and fills are the [Core] and [Feed] interfaces, which package engine/static satisfies.
//
//	host := static.NewHost(core, nil)
//	defer host.Close()
//	conn, err := net.Dial("tcp", address)
//	err = host.Serve(ctx, conn) // until either side ends it
//
// There is no encryption and no authentication; blocks are safe because their hashes lead to
// the id, control messages and extensions are not. Both sides do the same: nobody is the
// initiator.
//
// # Frames
//
//	+---------------+-----------------------------+
//	| varint length | payload                     |
//	| 1 to 8        | length, at most 5,242,880   |
//	+---------------+-----------------------------+
//
// A frame without payload means nothing; this package sends one where the stream would be
// silent for long, so that a dead connection is noticed. The payload of the first frame is
// the Handshake; all others begin with a byte that says what the rest is. Types 8 to 63 and
// from 128 on are ignored.
//
//	type         fields (protobuf; all of the first two columns are required)
//	    Handshake  1 string protocol   2 uint64 version   3 bytes id   4 repeated string extensions
//	 0  Join       1 uint64 channel    2 bytes id (32)
//	 1  Leave      1 uint64 channel
//	 2  Have       1 uint64 channel    2 repeated uint64 blocks    3 bytes bitfield
//	 3  Pause      1 uint64 channel
//	 4  Unpause    1 uint64 channel
//	 5  Request    1 uint64 channel    2 uint64 block
//	 6  Response   1 uint64 channel    2 uint64 block    3 bytes data    4 repeated Node proof
//	    Node       1 uint64 index      2 bytes hash (32)
//	 7  Cancel     1 uint64 channel    2 uint64 block
//	64+ the extension with this number in the list of the sender's Handshake; not protobuf
//
// The protocol is "hypercore" ("hyperdrive" is understood), version and Handshake extensions
// may be absent. A bitfield has the most significant bit of a byte first, and is not
// compressed. For instance, "I have both blocks of the feed that I joined first":
//
//	06 02 08 00 1a 01 c0
//	|  |  |     |     blocks 0 and 1
//	|  |  |     bitfield
//	|  |  channel 0
//	|  Have
//	6 bytes follow
//
// # Channels
//
// A channel is a feed on a connection. Each side numbers those that it joins from 0, always
// with the lowest free number, and the numbers in its messages are its own. Whoever gets a
// Join for an id that it has not joined on this connection joins it, too, even if it never
// heard of it. A Leave is not answered: both forget the channel, and it may be joined again.
//
// Both directions begin paused. Who has a feed open sends its Have with the bitfield of what
// is here (one zero byte for nothing) and Unpause, and only then may be asked for blocks. A
// later Have adds blocks, or replaces everything if it has a bitfield; each block that is
// stored is told to everybody, also to who sent it.
//
// A Response carries the block and its whole proof, see package engine/static. A Request for
// a block that is not here is answered when it comes; one behind the end with Leave.
//
// # Who asks whom for what
//
// Blocks that somebody waits for come first, in the order in which they are waited for; then
// everything else of the feeds that are of interest, but not while another feed waits for
// blocks that could be had. A block is asked of one peer at a time, and of another one when
// the connection ends. Other than the original, which scatters its requests at random, a
// connection starts at a random block and goes on from there, which spreads the blocks over
// the peers as well and reads and writes them in order.
//
// # Hostile peers
//
// A block that does not verify, a message that breaks the protocol, or one that exceeds a
// limit of [Options] ends the connection with an error that names the rule. What is kept per
// connection is bounded by the limits: the channels, what the peer says it has, the requests
// that wait for their answer, one frame, and one batch of blocks. The original has no timeouts;
// here a connection ends when the handshake does not come, when a frame stops in the middle,
// when requests are not answered and when the peer does not read. Silence in itself is
// allowed: a peer that has everything has nothing to say.
//
// Each connection has a goroutine that reads, verifies and stores, and one that writes. Both
// work on the state of the [Host] under its lock, which is never held while a feed is read or
// written, or while something waits.
package static
