// Package replicate exchanges feeds with peers that speak the wire protocol of
// hypercore 9, over any byte stream.
//
// A [Host] has sessions, one per connection ([Host.Serve]); a [Session] has feeds,
// each on a channel of its own; a [Peer] is the remote as far as one feed is
// concerned. Feeds are whatever satisfies [Feed]: this package knows nothing of how
// they are stored. Package noise secures the stream, package wire has its frames and
// messages.
//
// # A session
//
//	handshake, then frames in both directions
//	feed by feed, in any order and at any time:
//	  Open  -->  <-- Open         the capability in it proves that the sender knows
//	                              the feed's key; a wrong one ends the session
//	  Options, Status, Wants      once both sides have opened the feed
//	  ... see below
//	  Close --> <-- Close
//	the last Close of a session that is not live ends the stream
//
// The remote may open a feed that is not on the session: it is looked up in the
// host's store and opened, or refused with a Close that names it. A feed whose key
// the remote does not prove to know is refused in the same words as one that is not
// there.
//
// # A feed
//
//	reader                                   writer
//	  Want{start, length}            -->            which blocks of a range are there?
//	                                 <--  Have{start, length, bitfield}
//	                                 <--  Have{start, length}      and later: these, too
//	  Request{index, nodes}          -->            block index, with what is lacking
//	                                 <--  Data{index, value, nodes, signature}
//	                                 <--  Unhave{start, length}    not any more
//
// Ranges are [k*2^20, (k+1)*2^20): the first one is asked about at once, others when
// something in them is wanted and the remote is known to be that long, at most 16 at
// a time.
//
// What is requested is what the feed's demand says (package demand): gets, updates
// and seeks first, then ranges, of several peers first what only one has. The number
// of requests under way is twice what the remote answers in a round trip. Requests
// that go on where the last one ended take its answer for granted, so that each proof
// has one node on average; see Peer.digest. Answers are held until those they count
// on have come, verified and stored together with all others that arrived meanwhile,
// and only then acknowledged and announced to others.
//
// # Bounds
//
// A session has one goroutine that reads and one that writes. Reading stops while
// too much waits for the disk (Limits.Buffered) or to be sent (Limits.Output).
// Requests of the remote wait, a few bytes each, until the writer has room for the
// block; feeds take turns. A remote that is silent, does not read, or does not answer
// is dropped after Options.Timeout, one that breaks a rule or exceeds a limit at
// once, with an error that names it. A block that does not verify ends the session
// it came on; it is requested of others.
package replicate
