package rpc

import (
	"bytes"
	"container/heap"
	"net/netip"
	"time"
)

// Reply is an answer to a request. It is the receiver's to keep.
type Reply struct {
	From        netip.AddrPort   // who answered
	FromID      ID               // its id, zero unless it has one and has proved it
	To          netip.AddrPort   // our address, as it is seen from there
	Token       []byte           // to store something there; nil for none
	CloserNodes []netip.AddrPort // nodes closer to the target, at most 20
	Code        Code             // not OK if the request was refused
	Value       []byte           // nil for none, which is not the same as an empty one
	RTT         time.Duration    // since the request was first sent
}

// Err returns nil, or a [*CodeError] if the request was refused.
func (r *Reply) Err() error {
	if r.Code == OK {
		return nil
	}
	return &CodeError{From: r.From, Code: r.Code, Token: r.Token}
}

const (
	defaultRetries = 3
	queryRetries   = 5

	// maxCalls leaves some of the transaction ids unused, so that one that is free is
	// found soon and a late reply seldom meets another request.
	maxCalls = 1 << 15
)

// call is a request of ours until it is settled.
type call struct {
	owner  caller
	socket Socket
	to     netip.AddrPort
	toID   ID // of to, or zero: it leaves the routing table if it is down
	packet []byte
	tid    uint16

	internal bool
	command  uint64

	ttl       int
	retries   int
	timeout   time.Duration // of each send; zero for the usual one
	force     bool          // send although the congestion window is full
	anySource bool          // accept a reply from any address

	sent    int       // datagrams so far
	first   time.Time // when the first was sent
	due     time.Time // when the last one times out
	pos     int       // in the heap of deadlines, -1 outside
	settled bool
}

// provenID is provenID for a reply to k, whose id is often known already.
func (k *call) provenID(id []byte, from netip.AddrPort) ID {
	if from == k.to && bytes.Equal(k.toID[:], id) {
		return k.toID
	}
	return provenID(id, from)
}

// caller is told what comes of a call. Its methods are called while the node is
// locked: they must not wait for anything nor use the node. After settled, nothing
// else follows.
type caller interface {
	// late means that the first timeout has passed.
	late(*call)
	// settled ends the call, with a reply or an error.
	settled(*call, *Reply, error)
}

// callSpec is what to ask and how.
type callSpec struct {
	socket Socket // nil for the usual one
	to     netip.AddrPort
	toID   ID
	packet requestPacket // without tid, to and id

	ttl       int
	retries   int
	timeout   time.Duration
	force     bool
	anySource bool
}

// deadlines orders calls by when they time out.
type deadlines []*call

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].due.Before(d[j].due) }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].pos, d[j].pos = i, j
}

func (d *deadlines) Push(x any) {
	c := x.(*call)
	c.pos = len(*d)
	*d = append(*d, c)
}

func (d *deadlines) Pop() any {
	last := len(*d) - 1
	c := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	c.pos = -1
	return c
}

// calls are the requests that wait for an answer, or for the congestion window.
type calls struct {
	byTID     map[uint16]*call
	deadlines deadlines
	queue     []*call // wait for the window, first come first served; settled ones too
	nextTID   uint16
}

// start makes a call and sends it, or queues it.
func (c *core) start(now time.Time, spec *callSpec, owner caller) (*call, error) {
	switch {
	case c.closed:
		return nil, ErrClosed
	case c.suspended:
		return nil, ErrSuspended
	case c.server == nil:
		return nil, ErrNotStarted
	case len(c.calls.byTID) >= maxCalls:
		return nil, ErrTooManyRequests
	}
	for c.calls.byTID[c.calls.nextTID] != nil {
		c.calls.nextTID++
	}
	k := &call{
		owner: owner, socket: spec.socket, to: spec.to, toID: spec.toID, tid: c.calls.nextTID,
		internal: spec.packet.internal, command: spec.packet.command,
		ttl: spec.ttl, retries: spec.retries, timeout: spec.timeout, force: spec.force, anySource: spec.anySource,
		pos: -1,
	}
	c.calls.nextTID++
	if k.socket == nil {
		k.socket = c.socket()
	}
	p := spec.packet
	p.tid, p.to, p.id = k.tid, k.to, c.idOn(k.socket)
	size := p.size()
	if size > MaxDatagram {
		return nil, ErrTooLarge
	}
	k.packet = p.append(make([]byte, 0, size))

	c.calls.byTID[k.tid] = k
	c.stats.Requests++
	c.stats.ActiveRequests++
	if s := c.stats.command(k.command); s != nil && k.internal {
		s.Requests++
	}
	c.send(now, k)
	return k, nil
}

// send sends a call for the first time or again, as soon as congestion allows.
func (c *core) send(now time.Time, k *call) {
	if !k.force && (len(c.calls.queue) > 0 || c.window.full(now)) {
		c.calls.queue = append(c.calls.queue, k)
		return
	}
	c.sendNow(now, k)
}

func (c *core) sendNow(now time.Time, k *call) {
	if k.sent == 0 {
		k.first = now
	}
	k.sent++
	c.window.sent(now)
	c.transmit(k.socket, k.packet, k.to, k.ttl)

	wait := k.timeout
	switch {
	case wait > 0:
	case c.estimator != nil:
		wait = c.estimator.timeout(now, k.to, k.sent)
	default:
		wait = requestTimeout
	}
	k.due = now.Add(wait)
	if k.pos < 0 {
		heap.Push(&c.calls.deadlines, k)
	} else {
		heap.Fix(&c.calls.deadlines, k.pos)
	}
}

// release sends what waited for the congestion window while there is room.
func (c *core) release(now time.Time) {
	q := c.calls.queue
	for len(q) > 0 && (q[0].settled || !c.window.full(now)) {
		if !q[0].settled {
			c.sendNow(now, q[0])
		}
		q[0] = nil
		q = q[1:]
	}
	if len(q) == 0 {
		q = c.calls.queue[:0]
	}
	c.calls.queue = q
}

// settle ends a call that has not ended yet.
func (c *core) settle(now time.Time, k *call, r *Reply, err error) {
	if k.settled {
		return
	}
	k.settled = true
	delete(c.calls.byTID, k.tid)
	if k.pos >= 0 {
		heap.Remove(&c.calls.deadlines, k.pos)
	}
	c.stats.ActiveRequests--
	if k.sent > 0 {
		c.window.settled(now)
	}
	k.owner.settled(k, r, err)
	c.release(now)
}

// expire repeats or gives up the calls whose time has come.
func (c *core) expire(now time.Time) {
	for len(c.calls.deadlines) > 0 {
		k := c.calls.deadlines[0]
		if k.due.After(now) {
			return
		}
		heap.Pop(&c.calls.deadlines)
		if k.sent == 1 {
			k.owner.late(k)
		}
		if k.sent <= k.retries {
			c.stats.Retries++
			c.send(now, k)
			continue
		}
		c.stats.Timeouts++
		c.settle(now, k, nil, ErrTimeout)
		if n := c.table.get(k.toID); n != nil {
			c.remove(n)
		}
	}
}

// settleAll ends every call with err.
func (c *core) settleAll(now time.Time, err error) {
	c.calls.queue = nil
	for _, k := range c.calls.byTID {
		c.settle(now, k, nil, err)
	}
}

// waiter is the caller that waits on a channel.
type waiter chan outcome

type outcome struct {
	reply *Reply
	err   error
}

func newWaiter() waiter { return make(waiter, 1) } // with room, so that settled does not wait

func (w waiter) late(*call)                           {}
func (w waiter) settled(_ *call, r *Reply, err error) { w <- outcome{r, err} }

// background is the caller that nobody waits for. It may be nil.
type background func(*Reply, error)

func (f background) late(*call) {}
func (f background) settled(_ *call, r *Reply, err error) {
	if f != nil {
		f(r, err)
	}
}
