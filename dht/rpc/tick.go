package rpc

import (
	"net/netip"
	"time"
)

// tickInterval is the unit of a node's slow clock.
const tickInterval = 5 * time.Second

// Durations in ticks.
const (
	pingTicks       = 8   // between pings of the oldest nodes; a power of two
	sparseTicks     = 64  // between refreshes of a table with fewer than 20 nodes; a power of two
	refreshTicks    = 60  // 5 minutes without a query
	recentTicks     = 12  // a minute
	oldTicks        = 360 // 30 minutes
	stableTicks     = 240 // 20 minutes
	moreStableTicks = 3 * stableTicks
	wakeupTicks     = 2 * oldTicks
)

// sleepGap is how far apart two ticks are if the machine slept between them.
const sleepGap = 3 * tickInterval

// maxDelayed bounds the delayed pings that wait to be answered.
const maxDelayed = 1024

// delayedPong is an answer that was asked for later.
type delayedPong struct {
	due    time.Time
	socket Socket
	to     netip.AddrPort
	tid    uint16
}

// jobs is work that has to wait for others, and is therefore not the core's.
type jobs uint8

const (
	jobRefresh      jobs = 1 << iota // walk to a random place
	jobNetworkState                  // find out whether the node can be persistent
	jobInterfaces                    // see whether addresses changed
)

// advance does what is due at now, and returns what else is.
func (c *core) advance(now time.Time) (todo jobs) {
	c.expire(now)
	c.release(now)
	c.answerDelayed(now)
	if !c.nextTick.IsZero() && !c.nextTick.After(now) {
		c.nextTick = now.Add(tickInterval)
		todo = c.onTick(now)
	}
	return todo
}

// next returns when advance has something to do, or zero if never.
func (c *core) next() time.Time {
	next := c.nextTick
	earlier := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if len(c.calls.deadlines) > 0 {
		earlier(c.calls.deadlines[0].due)
	}
	if len(c.calls.queue) > 0 {
		earlier(c.window.next())
	}
	if len(c.delayed) > 0 {
		earlier(c.delayedDue)
	}
	return next
}

// delay answers a request later, unless too many are waiting for that.
func (c *core) delay(p delayedPong) {
	if len(c.delayed) >= maxDelayed {
		return
	}
	if len(c.delayed) == 0 || p.due.Before(c.delayedDue) {
		c.delayedDue = p.due
	}
	c.delayed = append(c.delayed, p)
}

func (c *core) answerDelayed(now time.Time) {
	if len(c.delayed) == 0 || c.delayedDue.After(now) {
		return
	}
	waiting := c.delayed[:0]
	for _, d := range c.delayed {
		if d.due.After(now) {
			waiting = append(waiting, d)
			continue
		}
		if b, err := c.appendReply(nil, now, d.tid, nil, &answer{socket: d.socket, to: d.to}); err == nil {
			c.transmit(d.socket, b, d.to, 0)
		}
	}
	clear(c.delayed[len(waiting):])
	c.delayed = nil
	for _, d := range waiting {
		c.delay(d)
	}
}

// startTicks begins the node's slow clock.
func (c *core) startTicks(now time.Time) {
	c.nextTick, c.ticked = now.Add(tickInterval), now.Round(0)
}

func (c *core) stopTicks() { c.nextTick = time.Time{} }

func (c *core) onTick(now time.Time) jobs {
	todo := jobInterfaces

	// The monotonic clock may stand still while the machine sleeps, the wall clock
	// does not.
	wall := now.Round(0)
	gap := wall.Sub(c.ticked)
	c.ticked = wall
	if gap > sleepGap {
		c.wakeup()
		return todo
	}
	c.tick++
	if !c.bootstrapped {
		return todo
	}

	if c.opts.Mode == Adaptive && c.ephemeral {
		if c.stableTicks--; c.stableTicks <= 0 {
			if c.checkedHost == c.nat.host {
				c.stableTicks = moreStableTicks // nothing would have changed
			} else {
				todo |= jobNetworkState
			}
		}
	}
	if c.tick%pingTicks == 0 {
		c.pingSome(now)
		if c.table.size == 0 {
			todo |= jobRefresh
		}
	}
	c.refreshTicks--
	if c.refreshTicks <= 0 || c.tick%sparseTicks == 0 && c.table.size < bucketSize {
		todo |= jobRefresh
	}
	c.downHintsSent = 0
	c.updateHealth()
	return todo
}

func (c *core) updateHealth() {
	before := c.health.state
	c.health.update(c.stats.Responses, c.stats.Timeouts)
	if c.health.state != before {
		c.opts.Logger.Info("network health changed", "health", c.health.state.String())
		c.event(EventNetworkUpdate, netip.AddrPort{})
	}
}

// pingSome pings the nodes that were not heard from for longest.
func (c *core) pingSome(now time.Time) {
	n := c.table.oldest
	if n == nil {
		return
	}
	count := 5
	switch {
	case c.tick-n.pinged < recentTicks:
		count = 2
	case len(c.calls.byTID) > 2:
		count = 3
	}
	for ; n != nil && count > 0; count-- {
		next := n.newer
		if n.pinged != c.tick {
			c.check(now, n)
		}
		n = next
	}
}

// wakeup follows a sleep of the machine: everything known is old.
func (c *core) wakeup() {
	c.tick += wakeupTicks
	c.tick += pingTicks - c.tick%pingTicks - 2 // pings come in two ticks
	c.stableTicks = moreStableTicks
	c.refreshTicks = 1 // in a tick, when the network had time to wake up too
	c.checkedHost = netip.Addr{}
	if c.health.state != Online {
		c.event(EventNetworkUpdate, netip.AddrPort{})
	}
	c.health.reset()
	if c.opts.Mode == Adaptive && !c.ephemeral {
		c.ephemeral = true
		c.opts.Logger.Info("node is ephemeral again")
		c.event(EventEphemeral, netip.AddrPort{})
	}
	c.event(EventWakeup, netip.AddrPort{})
}
