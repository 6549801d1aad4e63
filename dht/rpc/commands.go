package rpc

import (
	"net/netip"
	"time"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// verdict is what becomes of a request.
type verdict uint8

const (
	toIgnore verdict = iota
	toAnswer         // as core.request filled it in
	toHandle         // by the application
)

// request takes in a request. For the node's own commands, and for those of the
// application with a wrong token, it fills in the answer.
func (c *core) request(now time.Time, r *Request, a *answer) verdict {
	*a = answer{socket: r.Socket, to: r.From}
	if r.Token != nil && !c.tokens.valid(now, r.From.Addr(), r.Token) {
		a.code, a.token, a.closer = InvalidToken, true, true
		return toAnswer
	}
	if !r.FromID.IsZero() {
		if n := c.table.get(r.FromID); n != nil {
			n.pinged = c.tick
			c.table.touch(n)
		} else {
			c.vet(now, r.From, r.FromID)
		}
	}
	if !r.internal {
		return toHandle
	}
	switch r.Command {
	case commandPing:
		return toAnswer
	case commandPingNAT:
		port, ok := decodePort(r.Value)
		if !ok {
			return toIgnore
		}
		a.to = netip.AddrPortFrom(r.From.Addr(), port)
		return toAnswer
	case commandFindNode:
		if r.Target == nil {
			return toIgnore
		}
		a.closer = true
		return toAnswer
	case commandDownHint:
		if len(r.Value) < compact.IPv4AddressSize {
			return toIgnore
		}
		d := compact.NewDecoder(r.Value)
		c.downHint(now, d.IPv4Address())
		return toAnswer
	case commandDelayedPing:
		ms, ok := decodeDelay(r.Value)
		delay := time.Duration(ms) * time.Millisecond
		if ok && delay <= c.opts.MaxPingDelay {
			c.delay(delayedPong{due: now.Add(delay), socket: r.Socket, to: r.From, tid: r.tid})
		}
		return toIgnore
	default:
		a.code, a.closer = UnknownCommand, true
		return toAnswer
	}
}

// downHint looks after a node that is said to be down.
func (c *core) downHint(now time.Time, addr netip.AddrPort) {
	if c.checks >= maxChecks {
		return
	}
	if n := c.table.get(IDOf(addr)); n != nil && (n.pinged < c.tick || n.downHints == 0) {
		n.downHints++
		c.check(now, n)
	}
}
