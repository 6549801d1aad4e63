package rpc

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// Message is what a request asks.
type Message struct {
	Command uint64 // at most compact.MaxUint
	Target  *ID    // nil for none
	Token   []byte // nil for none, otherwise one from a Reply of the same node
	Value   []byte // nil for none, which is not the same as an empty one
}

// RequestOptions change how something is asked. The zero value, like nil, is usual.
type RequestOptions struct {
	// Socket is where the request leaves from. Whoever reads that socket must pass the
	// answer to Node.Receive. Nil means the node's own.
	Socket Socket

	// NoRetry asks once. Otherwise the request is sent again after each timeout, up to
	// three times.
	NoRetry bool

	// AnySource accepts an answer from any address, for requests that a node may pass
	// on to another one to answer. Otherwise only the node that was asked may answer.
	AnySource bool

	// TTL is the time to live of the datagrams, if the socket is a TTLSender. Zero
	// means the usual one.
	TTL int

	// Size is how many zero bytes a Ping has with it. Other requests ignore it.
	Size int
}

// Request asks a node. A refusal is a reply too, see [Reply.Err]; an error, always a
// [*RequestError], means that there is no reply.
func (n *Node) Request(ctx context.Context, to netip.AddrPort, m Message, o *RequestOptions) (*Reply, error) {
	if len(m.Token) != 0 && len(m.Token) != tokenSize {
		return nil, &RequestError{To: to, Err: fmt.Errorf("token has %d bytes instead of %d", len(m.Token), tokenSize)}
	}
	if m.Command > compact.MaxUint {
		return nil, &RequestError{To: to, Err: fmt.Errorf("command %d is too large", m.Command)}
	}
	p := requestPacket{command: m.Command, value: m.Value}
	if len(m.Token) > 0 {
		p.token = m.Token
	}
	if m.Target != nil {
		p.target = m.Target[:]
	}
	return n.request(ctx, to, p, 0, o)
}

// Ping asks a node for nothing but an answer.
func (n *Node) Ping(ctx context.Context, to netip.AddrPort, o *RequestOptions) (*Reply, error) {
	p := requestPacket{internal: true, command: commandPing}
	if o != nil && o.Size > 0 {
		if o.Size > MaxDatagram {
			return nil, &RequestError{To: to, Err: ErrTooLarge}
		}
		p.value = make([]byte, o.Size)
	}
	return n.request(ctx, to, p, 0, o)
}

// DelayedPing asks a node to answer after a delay, of at most Options.MaxPingDelay
// in whole milliseconds.
func (n *Node) DelayedPing(ctx context.Context, to netip.AddrPort, delay time.Duration, o *RequestOptions) (*Reply, error) {
	if delay < 0 || delay > n.opts.MaxPingDelay {
		return nil, &RequestError{To: to, Err: fmt.Errorf("delay %v is not within %v", delay, n.opts.MaxPingDelay)}
	}
	p := requestPacket{internal: true, command: commandDelayedPing, value: appendDelay(nil, uint32(delay.Milliseconds()))}
	return n.request(ctx, to, p, delay+time.Second, o)
}

// request asks and waits. A timeout of zero is the usual one.
func (n *Node) request(ctx context.Context, to netip.AddrPort, p requestPacket, timeout time.Duration, o *RequestOptions) (*Reply, error) {
	var opts RequestOptions
	if o != nil {
		opts = *o
	}
	spec := callSpec{
		socket: opts.Socket, to: plain(to), packet: p, timeout: timeout,
		ttl: opts.TTL, retries: defaultRetries, anySource: opts.AnySource,
	}
	if opts.NoRetry {
		spec.retries = 0
	}
	r, err := n.call(ctx, &spec)
	if err != nil {
		return nil, &RequestError{To: to, Err: err}
	}
	return r, nil
}

func (n *Node) call(ctx context.Context, spec *callSpec) (*Reply, error) {
	if !isUsable(spec.to) {
		return nil, ErrAddress
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	w := newWaiter()
	n.mu.Lock()
	k, err := n.core.start(time.Now(), spec, w)
	n.unlock()
	if err != nil {
		return nil, err
	}
	select {
	case o := <-w:
		return o.reply, o.err
	case <-ctx.Done():
		n.mu.Lock()
		n.core.settle(time.Now(), k, nil, context.Cause(ctx))
		n.unlock()
		o := <-w
		return o.reply, o.err
	}
}

// tell asks a node for something on behalf of the node itself and does not wait for
// the answer. done, which may be nil, is called with the node locked.
func (n *Node) tell(to netip.AddrPort, p requestPacket, done background) {
	n.mu.Lock()
	_, err := n.core.start(time.Now(), &callSpec{to: to, packet: p, retries: defaultRetries}, done)
	if err != nil && done != nil {
		done(nil, err)
	}
	n.unlock()
}

// sendDownHint tells a node that another one, which it suggested, seems to be down.
func (n *Node) sendDownHint(to, down netip.AddrPort) {
	limit := n.opts.DownHintsPerTick
	n.mu.Lock()
	ok := !n.opts.NoDownHints && (limit < 0 || n.core.downHintsSent < limit)
	if ok {
		n.core.downHintsSent++
	}
	n.mu.Unlock()
	if ok {
		n.tell(to, requestPacket{
			internal: true, command: commandDownHint, value: appendCloser(nil, down),
		}, nil)
	}
}
