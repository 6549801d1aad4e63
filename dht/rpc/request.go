package rpc

import (
	"bytes"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// Request is a request of another node with a command of the application.
//
// A request and its slices are valid until the handler returns. To answer later,
// keep a Clone. Requests need not be answered.
type Request struct {
	From    netip.AddrPort // who asks
	FromID  ID             // its id, zero unless it has one and has proved it
	To      netip.AddrPort // our address, as it is seen from there
	Command uint64
	Target  *ID    // nil for none
	Token   []byte // nil for none, otherwise a valid one: From gets what is sent to it
	Value   []byte // nil for none, which is not the same as an empty one
	Socket  Socket // that it arrived on

	node     *Node
	tid      uint16
	internal bool
	target   ID // what Target points to
}

// Clone returns a copy that stays valid.
func (r *Request) Clone() *Request {
	c := *r
	c.Token, c.Value = bytes.Clone(r.Token), bytes.Clone(r.Value)
	if r.Target != nil {
		c.Target = &c.target
	}
	return &c
}

// ReplyOptions change how a request is answered. The zero value, like nil, answers
// to where it came from with all that helps the other to go on.
type ReplyOptions struct {
	// NoToken leaves out the token from a reply.
	NoToken bool
	// WithToken puts one into an error.
	WithToken bool
	// NoCloserNodes leaves out the nodes closer to the target.
	NoCloserNodes bool
	// To is where to send the answer instead. The zero value means Request.From.
	To netip.AddrPort
	// Socket is where it leaves from. Nil means Request.Socket.
	Socket Socket
}

// Reply answers with a value; nil is none. It fails if the value is too large, and if
// the datagram could not be sent.
func (r *Request) Reply(value []byte, o *ReplyOptions) error {
	var opts ReplyOptions
	if o != nil {
		opts = *o
	}
	return r.answer(OK, value, !opts.NoToken, &opts)
}

// Fail answers with an error code, which should be 16 or more and must be at most
// compact.MaxUint.
func (r *Request) Fail(code Code, o *ReplyOptions) error {
	var opts ReplyOptions
	if o != nil {
		opts = *o
	}
	if code > compact.MaxUint {
		return &RequestError{To: r.From, Err: fmt.Errorf("error code %d is too large", uint64(code))}
	}
	return r.answer(code, nil, opts.WithToken, &opts)
}

func (r *Request) answer(code Code, value []byte, token bool, o *ReplyOptions) error {
	a := answer{socket: r.Socket, to: r.From, code: code, value: value, token: token, closer: !o.NoCloserNodes}
	if o.Socket != nil {
		a.socket = o.Socket
	}
	if o.To.IsValid() {
		a.to = plain(o.To)
	}
	return r.send(&a)
}

func (r *Request) send(a *answer) error {
	if err := checkAddr(a.to); err != nil {
		return err
	}
	buf := buffers.Get().(*buffer)
	defer buffers.Put(buf)

	var target []byte
	if r.Target != nil {
		target = r.Target[:]
	}
	now := time.Now()
	r.node.mu.Lock()
	b, err := r.node.core.appendReply(buf.b[:0], now, r.tid, target, a)
	r.node.mu.Unlock()
	if err != nil {
		return &RequestError{To: a.to, Err: err}
	}
	buf.b = b
	return a.socket.WriteTo(b, a.to)
}

// Relay sends the request on to another node, with another value and without its
// token: whatever answers it, answers with its transaction id. A nil socket means
// Request.Socket.
func (r *Request) Relay(value []byte, to netip.AddrPort, via Socket) error {
	to = plain(to)
	if err := checkAddr(to); err != nil {
		return err
	}
	if via == nil {
		via = r.Socket
	}
	p := requestPacket{tid: r.tid, to: to, internal: r.internal, command: r.Command, value: value}
	if r.Target != nil {
		p.target = r.Target[:]
	}
	buf := buffers.Get().(*buffer)
	defer buffers.Put(buf)

	r.node.mu.Lock()
	p.id = r.node.core.idOn(via)
	size := p.size()
	if size <= MaxDatagram {
		buf.b = p.append(buf.b[:0])
	}
	r.node.mu.Unlock()
	if size > MaxDatagram {
		return &RequestError{To: to, Err: ErrTooLarge}
	}
	return via.WriteTo(buf.b, to)
}

// buffer is memory for a datagram that is encoded, sent and forgotten.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, MaxDatagram)} }}

// requests is memory for a request while it is handled.
var requests = sync.Pool{New: func() any { return new(Request) }}
