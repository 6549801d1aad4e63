package rpc

import (
	"net/netip"
	"slices"
	"sync"
)

// ID returns the node's id, which it has while it is persistent.
func (n *Node) ID() (id ID, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.core.ephemeral {
		return ID{}, false
	}
	return n.core.table.id, true
}

// TableID returns the place that the routing table is built around: the node's id,
// or a random one before it has one.
func (n *Node) TableID() ID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.table.id
}

// Ephemeral reports whether the node keeps out of other nodes' tables.
func (n *Node) Ephemeral() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.ephemeral
}

// Firewalled reports whether others do not reach the server socket, as far as is
// known.
func (n *Node) Firewalled() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.firewalled
}

// Bootstrapped reports whether Ready would return at once.
func (n *Node) Bootstrapped() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.bootstrapped
}

// Suspended reports whether the node is suspended.
func (n *Node) Suspended() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.suspended
}

// Health returns what the node makes of the answers it gets.
func (n *Node) Health() Health {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.health.state
}

// NAT returns what other nodes see as our address. The host is invalid if they do
// not agree or there were none; the port is zero if they see different ones.
func (n *Node) NAT() (host netip.Addr, port uint16) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.nat.host, n.core.nat.port
}

// RemoteAddr returns the address by which others reach the server socket, if that
// is known and they do.
func (n *Node) RemoteAddr() (addr netip.AddrPort, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.core
	if !c.nat.host.IsValid() || c.nat.port == 0 || c.firewalled || c.server == nil ||
		c.server.AddrPort().Port() != c.nat.port {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(c.nat.host, c.nat.port), true
}

// LocalAddr returns the address by which others on the same network reach the server
// socket, as far as Options.Interfaces tells, or its zero value if there is no socket.
func (n *Node) LocalAddr() netip.AddrPort {
	server := n.ServerSocket()
	if server == nil {
		return netip.AddrPort{}
	}
	host := server.AddrPort().Addr()
	if n.opts.Interfaces != nil {
		if all, err := n.opts.Interfaces(); err == nil {
			host = localIP(all)
		}
	} else if host.IsUnspecified() {
		host = localIP(nil)
	}
	return netip.AddrPortFrom(host, server.AddrPort().Port())
}

// ServerSocket returns the socket that others may reach, or nil while there is none.
func (n *Node) ServerSocket() Socket {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.server
}

// ClientSocket returns the socket that requests leave from while the node is
// firewalled, or nil while there is none.
func (n *Node) ClientSocket() Socket {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.client
}

// Socket returns the one of both that requests leave from, or nil while there is
// none.
func (n *Node) Socket() Socket {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.socket()
}

// AddNode puts a persistent node into the routing table, if there is room.
func (n *Node) AddNode(addr netip.AddrPort) error {
	if err := checkAddr(addr); err != nil {
		return err
	}
	n.mu.Lock()
	n.core.addNode(plain(addr))
	n.unlock()
	return nil
}

// Nodes returns the nodes of the routing table, that heard from last first. A
// negative limit means all.
func (n *Node) Nodes(limit int) []netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	if limit < 0 || limit > n.core.table.size {
		limit = n.core.table.size
	}
	nodes := make([]netip.AddrPort, 0, limit)
	for node := range n.core.table.newest() {
		if len(nodes) == limit {
			break
		}
		nodes = append(nodes, node.addr)
	}
	return nodes
}

// Closest returns the up to limit nodes of the routing table closest to target.
func (n *Node) Closest(target ID, limit int) []netip.AddrPort {
	if limit <= 0 {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	closest := n.core.table.closest(n.core.nodes, target, limit)
	n.core.nodes = closest
	nodes := make([]netip.AddrPort, len(closest))
	for i, node := range closest {
		nodes[i] = node.addr
	}
	return nodes
}

// Stats returns the node's counters.
func (n *Node) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.stats
}

// addresses remembers the addresses of the machine.
type addresses struct {
	mu   sync.Mutex
	last []Interface
}

// checkAddresses looks whether the addresses of the machine changed.
func (n *Node) checkAddresses() {
	if n.opts.Interfaces == nil {
		return
	}
	now, err := n.opts.Interfaces()
	if err != nil {
		n.opts.Logger.Debug("reading interfaces failed", "error", err)
		return
	}
	n.addresses.mu.Lock()
	changed := n.addresses.last != nil && !slices.Equal(n.addresses.last, now)
	n.addresses.last = now
	n.addresses.mu.Unlock()
	if changed {
		n.opts.Logger.Info("network interfaces changed")
		n.emit(EventNetworkChange)
		n.emit(EventNetworkUpdate)
	}
}
