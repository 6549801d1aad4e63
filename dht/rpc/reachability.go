package rpc

import (
	"net/netip"
	"slices"
	"sync"
)

// probeNodes is how many nodes are asked whether they reach the server socket.
const probeNodes = 5

// updateNetworkState finds out whether others reach the server socket, and if so
// makes the node send from it and take the id of its public address. Unless only the
// firewall is of interest, the node becomes persistent. It reports whether all that
// was done.
func (n *Node) updateNetworkState(onlyFirewall bool) bool {
	n.mu.Lock()
	c := n.core
	if !c.ephemeral || onlyFirewall && !c.firewalled {
		n.mu.Unlock()
		return false
	}
	host, port, firewalled := c.nat.host, c.nat.port, c.firewalled
	if !onlyFirewall {
		c.stableTicks, c.checkedHost = moreStableTicks, host
	}
	n.mu.Unlock()
	if !host.IsValid() || port == 0 {
		return false // we are not seen, or NAT shows every node another port
	}

	var seen *natSampler // how the server socket is seen
	if firewalled {
		if seen = n.probeFirewall(host); seen == nil {
			return false
		}
	}

	n.mu.Lock()
	ok := c.becomeReachable(host, port, seen, onlyFirewall)
	id, persistent, bootstrapped := c.table.id, !c.ephemeral, c.bootstrapped
	n.unlock()
	if ok && persistent {
		n.opts.Logger.Info("node is persistent", "addr", netip.AddrPortFrom(host, port), "id", id.String())
	}
	if ok && bootstrapped {
		n.explore(id) // until then nobody knows the id
	}
	return ok
}

// becomeReachable follows a probe that began when others saw us as host and port,
// and found, unless seen is nil, how they see the server socket. It reports whether
// that still holds.
func (c *core) becomeReachable(host netip.Addr, port uint16, seen *natSampler, onlyFirewall bool) bool {
	if c.closed || c.suspended {
		return false
	}
	c.firewalled = false
	if !c.ephemeral || c.nat.host != host || c.nat.port != port {
		return false
	}
	if seen != nil {
		c.sampledOnly = nil
		c.nat = seen
		if seen.host != host || seen.port != port {
			c.event(EventNATUpdate, netip.AddrPortFrom(seen.host, seen.port))
		}
	}
	if !onlyFirewall {
		c.ephemeral = false
		c.event(EventPersistent, netip.AddrPort{})
	}
	c.moveTo(IDOf(netip.AddrPortFrom(c.nat.host, c.nat.port)))
	return true
}

// moveTo makes id the node's own and arranges its table around that.
func (c *core) moveTo(id ID) {
	if c.table.id == id {
		return
	}
	var dropped []*tableNode
	c.table, dropped = c.table.rebuild(id)
	for _, n := range dropped {
		c.event(EventRemoveNode, n.addr)
	}
}

// probeFirewall asks other nodes to answer to the server socket, and returns how
// they see it, or nil if there is a firewall or NAT before it. Three of five must
// reach it, or one if there are fewer to ask; they must see the address that they
// see of the client socket, and the port that the socket has here.
func (n *Node) probeFirewall(host netip.Addr) *natSampler {
	nodes := n.Nodes(probeNodes)
	if len(nodes) < probeNodes {
		for _, addr := range n.bootstrapNodes(n.ctx) {
			if !slices.Contains(nodes, addr) {
				nodes = append(nodes, addr)
			}
		}
	}
	needed := 1
	if len(nodes) >= probeNodes {
		needed = 3
	}

	n.mu.Lock()
	server := n.core.server
	n.core.serverHosts = make(map[netip.Addr]bool)
	for _, addr := range nodes {
		n.core.serverHosts[addr.Addr()] = false
	}
	n.mu.Unlock()
	if server == nil {
		return nil
	}

	var pongs []*Reply // appended to with the node locked
	var missing sync.WaitGroup
	for _, addr := range nodes {
		missing.Add(1)
		n.pingNAT(addr, func(r *Reply, err error) {
			if err == nil {
				pongs = append(pongs, r)
			}
			missing.Done()
		})
	}
	missing.Wait()

	n.mu.Lock()
	arrived := n.core.serverHosts
	n.core.serverHosts = nil
	n.mu.Unlock()

	seen, count := &natSampler{}, 0
	for _, r := range pongs {
		if arrived[r.From.Addr()] {
			count++
			seen.add(r.To)
		}
	}
	if count < needed || seen.host != host || seen.port == 0 || seen.port != server.AddrPort().Port() {
		return nil
	}
	return seen
}

// pingNAT asks a node to answer to the server socket. done is called once, possibly
// with the node locked.
func (n *Node) pingNAT(to netip.AddrPort, done background) {
	server := n.ServerSocket()
	if server == nil {
		done(nil, ErrSuspended)
		return
	}
	n.tell(to, requestPacket{
		internal: true, command: commandPingNAT, value: appendPort(nil, server.AddrPort().Port()),
	}, done)
}
