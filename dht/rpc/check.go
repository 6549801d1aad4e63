package rpc

import (
	"errors"
	"net/netip"
	"time"
)

// Limits of pings that the node sends of itself.
const (
	maxSwaps  = 3
	maxChecks = 10 // for down hints
	maxVets   = 32
)

// ping sends a ping on behalf of the node itself.
func (c *core) ping(now time.Time, addr netip.AddrPort, done background) bool {
	_, err := c.start(now, &callSpec{
		to: addr, packet: requestPacket{internal: true, command: commandPing}, retries: defaultRetries,
	}, done)
	return err == nil
}

// check pings a known node, which leaves the table unless it answers with its id.
func (c *core) check(now time.Time, n *tableNode) {
	n.pinged = c.tick
	if c.ping(now, n.addr, func(r *Reply, err error) {
		c.checks--
		if gone(n, r, err) {
			c.remove(n)
		}
	}) {
		c.checks++
	}
}

// gone reports whether the outcome of a ping means that a node is no longer there:
// it did not answer, or is not the persistent node any more that we knew.
func gone(n *tableNode, r *Reply, err error) bool {
	return errors.Is(err, ErrTimeout) || err == nil && r.FromID != n.id
}

// contest pings the node of a full row that was not asked for longest. If it does
// not answer, n takes its place. Nodes that proved to be stable, and that were heard
// from lately, are left alone.
func (c *core) contest(now time.Time, n *tableNode) {
	if !c.bootstrapped || c.swaps >= maxSwaps {
		return
	}
	var old *tableNode
	for _, m := range c.table.row(n.id) {
		if m.pinged == c.tick || m.id == n.id {
			continue
		}
		if old == nil || m.pinged < old.pinged || m.pinged == old.pinged && m.added < old.added {
			old = m
		}
	}
	if old == nil || c.tick-old.pinged < recentTicks && c.tick-old.added > oldTicks {
		return
	}
	old.pinged = c.tick
	if c.ping(now, old.addr, func(r *Reply, err error) {
		c.swaps--
		if !gone(old, r, err) {
			return
		}
		c.remove(old)
		if c.table.add(n) {
			c.event(EventAddNode, n.addr)
		}
	}) {
		c.swaps++
	}
}

// vet pings a node that sent us a request with its id and is not in the table. Its
// answer puts it there; the request alone proves nothing, since the source of a
// datagram is easily forged. (dht-rpc adds it at once.)
func (c *core) vet(now time.Time, addr netip.AddrPort, id ID) {
	if _, running := c.vetting[addr]; running || len(c.vetting) >= maxVets || id == c.table.id {
		return
	}
	if len(c.table.row(id)) >= bucketSize && (!c.bootstrapped || c.swaps >= maxSwaps) {
		return
	}
	if c.opts.FilterNode != nil && !c.opts.FilterNode(addr) {
		return
	}
	if c.ping(now, addr, func(*Reply, error) { delete(c.vetting, addr) }) {
		c.vetting[addr] = struct{}{}
	}
}
