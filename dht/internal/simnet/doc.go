// Package simnet is a packet network in one process, for tests that run under
// testing/synctest: hosts, links with delay, loss, reordering, duplication,
// bandwidth and queues that overflow, partitions, and gateways between networks,
// which is where simulated NATs go.
//
//	n := simnet.New(1)
//	n.SetLink(simnet.Link{Delay: 20 * time.Millisecond, Loss: 0.05})
//	a, _ := n.Listen(netip.MustParseAddrPort("10.0.0.1:1000")) // a net.PacketConn
//	b, _ := n.Listen(netip.MustParseAddrPort("10.0.0.2:1000"))
//
// # What happens to a packet
//
// A packet from one address to another goes through the link between the two.
// There, in this order:
//
//	partition    dropped when either side is cut off from the other
//	time to live less the hops of the link; dropped when nothing is left
//	MTU          dropped when it is larger
//	loss         dropped with a probability
//	queue        waits for those before it, at the bandwidth of the link; dropped
//	             when more than the queue holds are waiting
//	delay        plus jitter; a reordered packet is held for longer
//	duplicate    arrives once more with a probability
//
// Then it is delivered to the host that listens at its destination. When nobody
// does and the network has a gateway, the gateway gets it; otherwise it is gone.
// A host that does not read loses packets when its receive buffer is full.
//
// # Gateways
//
// A Network is one address space. A NAT is a gateway that joins two of them: it
// takes what leaves the inner one with SetGateway, translates the source, and
// puts it into the outer one with Send; it attaches its public address there with
// Handle, and sends what comes back into the inner one. Networks nest, so two
// NATs in a row are two such steps.
//
// # Chance
//
// Every pair of addresses has a random generator of its own, made from the seed
// of the network and the two addresses, so that what happens on one link does not
// depend on how goroutines interleave on another.
package simnet
