package dht

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
	"github.com/cairn-feeds/cairn/dht/udx"
)

const (
	// handshakeWait is how long the peer may take to reach us after a handshake.
	handshakeWait = 10 * time.Second
	// maxHandshakes bounds how many handshakes a server remembers; more are dropped.
	maxHandshakes = 1024
	// maxShaking bounds how many of them may be worked at, which includes the firewall
	// hook. Handshakes are sent again, so those that are dropped come later.
	maxShaking = 128
)

// Request is a peer that wants to connect to a server.
type Request struct {
	RemotePublicKey PublicKey
	// RemoteAddr is where the peer, or the NAT that it is behind, seems to be.
	RemoteAddr netip.AddrPort
	// Addresses are what the peer says of its addresses, public and local ones.
	Addresses []netip.AddrPort
	// Relayed is false if the peer asked the server directly.
	Relayed bool
}

// Holepunch is what is known when a holepunch is about to begin.
type Holepunch struct {
	Local, Remote                   NAT
	LocalAddresses, RemoteAddresses []netip.AddrPort
}

// NAT is what is known about the NAT that one side of a holepunch is behind.
type NAT uint8

// The kinds of NATs.
const (
	NATUnknown    = NAT(messages.FirewallUnknown)
	NATOpen       = NAT(messages.FirewallOpen)       // there is none
	NATConsistent = NAT(messages.FirewallConsistent) // a socket has one public port
	NATRandom     = NAT(messages.FirewallRandom)     // it has another for every destination
)

// String returns the name of the kind.
func (n NAT) String() string { return messages.Firewall(n).String() }

// ServerOptions are optional parts of a server. The zero value, like nil, accepts
// everybody.
type ServerOptions struct {
	// Firewall decides who may connect: an error refuses, and the peer is not told. It
	// runs in a goroutine of its own; ctx ends when the server does. Nil accepts
	// everybody.
	Firewall func(ctx context.Context, r *Request) error
	// Holepunch decides whether to open a way through NATs when it comes to that; an
	// error aborts. Nil does.
	Holepunch func(h *Holepunch) error
	// NoHolepunch never does.
	NoHolepunch bool
	// RelayThrough are blind relays, one of which carries each connection, chosen at
	// random, until there is a direct way. Nil means none.
	RelayThrough []PublicKey
	// HideLocalAddresses keeps the addresses in the local network from peers, which
	// then do not connect through it.
	HideLocalAddresses bool
	// Backlog is how many connections may wait to be accepted; more are destroyed.
	// Zero means 128.
	Backlog int
	// HandshakeClearWait is how long what is known of a handshake is kept when it is
	// over, to answer to repetitions. Zero means 10 seconds.
	HandshakeClearWait time.Duration
}

// Server accepts connections from peers that know its public key. It is a
// net.Listener whose connections are of type *Conn.
type Server struct {
	node   *Node
	opts   ServerOptions
	ctx    context.Context // ends with the server
	cancel context.CancelCauseFunc
	queue  chan *Conn
	tasks  sync.WaitGroup // run of the announcer

	life sync.Mutex // held by Listen and Shutdown

	mu        sync.Mutex
	listening bool
	suspended bool
	closed    bool
	key       KeyPair
	encoded   []byte // record of the server
	announcer *announcer
	calls     map[string]*call // by Noise message
	slots     []*call          // by the id that clients know; nil is free
	shaking   int              // calls that are being worked at
}

var _ net.Listener = (*Server)(nil)

// CreateServer makes a server, which does nothing before Listen.
func (n *Node) CreateServer(o *ServerOptions) *Server {
	s := &Server{node: n, calls: make(map[string]*call)}
	if o != nil {
		s.opts = *o
	}
	if s.opts.Backlog <= 0 {
		s.opts.Backlog = 128
	}
	if s.opts.HandshakeClearWait <= 0 {
		s.opts.HandshakeClearWait = handshakeWait
	}
	s.queue = make(chan *Conn, s.opts.Backlog)
	s.ctx, s.cancel = context.WithCancelCause(n.ctx)
	return s
}

// Listen announces the server under the public key of a key pair, by default the
// node's, and returns when that is done; peers may be connected before. The errors are
// ErrListening, ErrKeyPairInUse, ErrClosed, ErrKey and those of ctx, after which the
// server does not listen.
func (s *Server) Listen(ctx context.Context, key *KeyPair) error {
	if key == nil {
		key = s.node.opts.KeyPair
	}
	if err := key.check(); err != nil {
		return err
	}
	s.life.Lock()
	defer s.life.Unlock()
	s.mu.Lock()
	closed, listening := s.closed, s.listening
	s.mu.Unlock()
	switch {
	case closed || s.ctx.Err() != nil:
		return ErrClosed
	case listening:
		return ErrListening
	}
	target := key.Public.Target()
	record := messages.Peer{PublicKey: key.Public}
	s.mu.Lock()
	s.key, s.announcer = *key, newAnnouncer(s.node, *key)
	s.encoded = record.Append(nil)
	s.mu.Unlock()
	if !s.node.router.add(target, s) {
		return ErrKeyPairInUse
	}
	s.mu.Lock()
	s.listening = true
	s.mu.Unlock()
	if !s.opts.HideLocalAddresses {
		s.node.spawn(func() { s.node.workingAddrs() }) // tests them, so that no handshake has to wait
	}

	ready, stop := joined(ctx, s.ctx)
	defer stop()
	err := s.node.Ready(ready)
	if err == nil {
		s.announcer.update(ready)
		if ready.Err() != nil {
			err = context.Cause(ready)
		}
	}
	if err != nil {
		s.node.router.remove(target)
		s.mu.Lock()
		s.listening = false
		s.mu.Unlock()
		return err
	}
	s.tasks.Go(func() { s.announcer.run(s.ctx) })
	return nil
}

// joined returns a context that ends with either of two.
func joined(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(a)
	stop := context.AfterFunc(b, func() { cancel(context.Cause(b)) })
	return ctx, func() { stop(); cancel(context.Canceled) }
}

// record returns the encoded record of the server. It is called with the router
// locked.
func (s *Server) record() []byte { return s.encoded }

// Accept waits for the next connection, a *Conn. The error is ErrClosed.
func (s *Server) Accept() (net.Conn, error) {
	c, err := s.AcceptConn(context.Background())
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptConn waits for the next connection. The error is ErrClosed or that of ctx.
func (s *Server) AcceptConn(ctx context.Context) (*Conn, error) {
	select {
	case c := <-s.queue:
		return c, nil
	default:
	}
	select {
	case c := <-s.queue:
		return c, nil
	case <-s.ctx.Done():
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// ServerAddr is the address of a server.
type ServerAddr struct {
	PublicKey PublicKey
	// Host is our public address, not valid while it is unknown. Port is zero if
	// others see different ones.
	Host netip.Addr
	Port uint16
}

// Network returns "hyperdht".
func (ServerAddr) Network() string { return "hyperdht" }

// String returns the public key in hex, which is all that is needed to connect.
func (a ServerAddr) String() string { return a.PublicKey.String() }

// Addr returns the server's address, a ServerAddr. Its key is zero before Listen.
func (s *Server) Addr() net.Addr { return s.Address() }

// Address returns the server's address.
func (s *Server) Address() ServerAddr {
	host, port := s.node.rpc.NAT()
	return ServerAddr{s.PublicKey(), host, port}
}

// PublicKey returns the key to connect to the server with, zero before Listen.
func (s *Server) PublicKey() PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key.Public
}

// Nodes returns up to three nodes that pass messages on to the server: good ones to
// announce it with under a topic.
func (s *Server) Nodes() []netip.AddrPort {
	a := s.current()
	if a == nil {
		return nil
	}
	_, nodes := a.state()
	return append([]netip.AddrPort(nil), nodes...)
}

// current returns the announcer, nil before Listen.
func (s *Server) current() *announcer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.announcer
}

// Refresh announces the server anew, in the background. That happens by itself every
// few minutes and when the addresses of the machine change.
func (s *Server) Refresh() {
	if a := s.current(); a != nil {
		a.refresh()
	}
}

// online tells the server that the network works again.
func (s *Server) online() {
	if a := s.current(); a != nil {
		a.nudge()
	}
}

// Done is closed when the server is.
func (s *Server) Done() <-chan struct{} { return s.ctx.Done() }

// Shutdown closes the server, and takes back its announcement as long as ctx allows.
// Connections live on. Those that were not accepted are destroyed.
func (s *Server) Shutdown(ctx context.Context) error {
	s.destroy()
	s.life.Lock()
	defer s.life.Unlock()
	s.tasks.Wait()
	if a := s.current(); a != nil && s.node.ctx.Err() == nil {
		unannounce, stop := joined(ctx, s.node.ctx)
		defer stop()
		a.stop(unannounce)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return nil
}

// Close closes the server and takes back its announcement, which takes at most 5
// seconds.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil // it expires anyway
}

// destroy closes the server without telling anybody.
func (s *Server) destroy() {
	s.mu.Lock()
	closed, listening, key := s.closed, s.listening, s.key
	s.closed, s.listening = true, false
	s.mu.Unlock()
	if closed {
		return
	}
	s.cancel(ErrClosed)
	if listening {
		s.node.router.remove(key.Public.Target())
	}
	s.clear()
	for {
		select {
		case c := <-s.queue:
			c.Destroy()
		default:
			return
		}
	}
}

// clear gives up what is not connected.
func (s *Server) clear() {
	s.mu.Lock()
	calls := s.calls
	s.calls, s.slots = make(map[string]*call), nil
	s.mu.Unlock()
	for _, c := range calls {
		c.close()
	}
}

func (s *Server) suspend(ctx context.Context) {
	s.mu.Lock()
	s.suspended = true
	s.mu.Unlock()
	s.clear()
	if a := s.current(); a != nil {
		a.suspend(ctx)
	}
}

func (s *Server) resume() {
	s.mu.Lock()
	s.suspended = false
	s.mu.Unlock()
	if a := s.current(); a != nil {
		a.resume()
	}
}

// deliver passes on a connection.
func (s *Server) deliver(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		select {
		case s.queue <- c:
			return
		default:
			s.node.log.Warn("server does not accept its connections", "server", s.key.Public)
		}
	}
	c.Destroy()
}

// handshake takes a handshake, which waits on the goroutine that reads the socket.
func (s *Server) handshake(r *rpc.Request, m *messages.Handshake) {
	s.mu.Lock()
	if !s.listening || s.suspended {
		s.mu.Unlock()
		return
	}
	c := s.calls[string(m.Noise)]
	if c != nil {
		s.mu.Unlock()
		if c.answered() {
			c.answer(r, m)
		}
		return // otherwise it is being worked at, and the client repeats it
	}
	via, ok := r.Socket.(*udx.Socket)
	if !ok || s.shaking >= maxShaking || len(s.calls) >= maxHandshakes {
		s.mu.Unlock()
		return
	}
	c = newCall(s, r, m, via)
	s.calls[c.noise] = c
	s.enterLocked(c)
	s.shaking++
	s.mu.Unlock()

	request := r.Clone()
	message := *m
	message.Noise = []byte(c.noise)
	if !s.node.spawn(func() { c.run(request, &message) }) {
		s.leave(c)
	}
}

// enterLocked gives a call the first free id.
func (s *Server) enterLocked(c *call) {
	for i := range s.slots {
		if s.slots[i] == nil {
			s.slots[i], c.id = c, i
			return
		}
	}
	c.id = len(s.slots)
	s.slots = append(s.slots, c)
}

// shaken ends the work at a handshake.
func (s *Server) shaken() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shaking--
}

// leave forgets a call.
func (s *Server) leave(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[c.noise] == c {
		delete(s.calls, c.noise)
	}
	if c.id >= len(s.slots) || s.slots[c.id] != c {
		return
	}
	s.slots[c.id] = nil
	for n := len(s.slots); n > 0 && s.slots[n-1] == nil; n-- {
		s.slots = s.slots[:n-1]
	}
}

// holepunch takes a holepunch message.
func (s *Server) holepunch(r *rpc.Request, m *messages.Holepunch) {
	s.mu.Lock()
	var c *call
	if m.ID < uint64(len(s.slots)) && !s.suspended {
		c = s.slots[m.ID]
	}
	s.mu.Unlock()
	if c != nil {
		c.holepunch(r, m)
	}
}
