package dht

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/dht/rpc"
	"github.com/cairn-feeds/cairn/dht/udx"
)

// Node is a member of a DHT: it finds and stores records, connects to servers, and
// may have servers of its own. Its methods may be called by several goroutines at
// once.
type Node struct {
	opts    Options
	log     *slog.Logger
	mux     *udx.Mux
	rpc     *rpc.Node
	router  *router
	storage *storage
	punches punchLimit
	ways    wayCache
	locals  localAddresses

	punchSockets punchSockets

	ctx    context.Context // ends when the node is closed, with ErrClosed
	cancel context.CancelCauseFunc
	tasks  sync.WaitGroup
	stored chan struct{} // closed when the record store has everything; nil without one

	// life is held by Suspend, Resume and Close, one after the other.
	life      sync.Mutex
	connects  context.Context // ends with Suspend too, with ErrSuspended; guarded by mu
	interrupt context.CancelCauseFunc

	mu     sync.Mutex
	closed bool
}

// New makes a node and starts it. Ready waits until it is part of the network.
func New(o *Options) (*Node, error) { return start(netip.AddrPort{}, o) }

// NewBootstrapper makes the first node of a network of its own and starts it. public
// is the IPv4 address at which others reach it; if its port is zero, any is taken. Of
// the options RPC.Port, RPC.FixedPort, RPC.Mode and RPC.NotFirewalled are set; with
// RPC.Bootstrap, several bootstrappers may know each other.
func NewBootstrapper(public netip.AddrPort, o *Options) (*Node, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.RPC.Bootstrap == nil {
		opts.RPC.Bootstrap = []string{}
	}
	if !public.IsValid() {
		return nil, fmt.Errorf("dht: bootstrapper: %w", rpc.ErrAddress)
	}
	return start(public, &opts)
}

func start(public netip.AddrPort, o *Options) (*Node, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{opts: opts, log: opts.RPC.Logger}
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	n.connects, n.interrupt = context.WithCancelCause(n.ctx)
	n.router = newRouter(&n.opts)
	n.storage = newStorage(&n.opts, n.router)
	n.punches.init(&n.opts)
	n.ways.init()
	n.mux = udx.New(&udx.Options{Logger: n.log})

	r := opts.RPC
	r.Bind, r.OnRequest, r.OnEvent = n.bind, n.onRequest, n.onEvent
	if public.IsValid() {
		n.rpc, err = rpc.NewBootstrapper(public, &r)
	} else {
		n.rpc, err = rpc.New(&r)
	}
	if err != nil {
		return nil, errors.Join(err, n.mux.Close())
	}
	if opts.RecordStore != nil {
		w := newWriter(opts.RecordStore, n.log)
		if err := n.storage.keep(time.Now(), w); err != nil {
			return nil, errors.Join(fmt.Errorf("dht: load records: %w", err), n.mux.Close())
		}
		n.stored = make(chan struct{})
		go func() {
			defer close(n.stored)
			w.run(n.ctx.Done())
		}()
	}
	if err := n.rpc.Start(); err != nil {
		return nil, errors.Join(err, n.Destroy())
	}
	return n, nil
}

// RPC returns the network below, for requests and queries of an application's own
// and for what is known about the network. It must not be started, suspended, resumed
// or closed.
func (n *Node) RPC() *rpc.Node { return n.rpc }

// KeyPair returns the key pair that is used where none is given.
func (n *Node) KeyPair() KeyPair { return *n.opts.KeyPair }

// Ready waits until the node has found its place in the network.
func (n *Node) Ready(ctx context.Context) error { return n.errorOf(n.rpc.Ready(ctx)) }

// Addr returns the address that the node's server socket is bound to, not valid
// while it is suspended or closed.
func (n *Node) Addr() netip.AddrPort {
	if s := n.rpc.ServerSocket(); s != nil {
		return s.AddrPort()
	}
	return netip.AddrPort{}
}

// RemoteAddr returns the address by which others reach the node, if they do.
func (n *Node) RemoteAddr() (netip.AddrPort, bool) { return n.rpc.RemoteAddr() }

// Ping asks a node for nothing but an answer.
func (n *Node) Ping(ctx context.Context, to netip.AddrPort) (*rpc.Reply, error) {
	return n.rpc.Ping(ctx, to, nil)
}

// onRequest handles the requests of other nodes.
func (n *Node) onRequest(r *rpc.Request) bool {
	if n.router.handle(r) {
		return true
	}
	if id, ok := n.rpc.ID(); ok && n.storage.handle(id, r) {
		return true
	}
	return n.opts.RPC.OnRequest != nil && n.opts.RPC.OnRequest(r)
}

// onEvent follows what happens in the network below.
func (n *Node) onEvent(e rpc.Event) {
	switch e.Kind {
	case rpc.EventNetworkChange:
		n.locals.forget()
		for _, s := range n.router.servers() {
			s.Refresh()
		}
	case rpc.EventNetworkUpdate:
		if n.rpc.Health() != rpc.Offline {
			for _, s := range n.router.servers() {
				s.online()
			}
		}
	default: // the others are not for here
	}
	if n.opts.RPC.OnEvent != nil {
		n.opts.RPC.OnEvent(e)
	}
}

// spawn runs f in a goroutine that Destroy waits for. It reports false, and does
// not run f, when the node is closed.
func (n *Node) spawn(f func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.tasks.Go(f)
	return true
}

// errorOf makes errors of the network below those of this package.
func (n *Node) errorOf(err error) error {
	switch {
	case errors.Is(err, rpc.ErrClosed):
		return errors.Join(ErrClosed, err)
	case errors.Is(err, rpc.ErrSuspended):
		return errors.Join(ErrSuspended, err)
	default:
		return err
	}
}

// connecting returns the context under which connections are made.
func (n *Node) connecting() context.Context {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.connects
}

// Suspend takes back the announcements of the servers, for which it waits as long as
// ctx allows, ends all connections and requests and closes the sockets. What the node
// knows is kept for Resume.
func (n *Node) Suspend(ctx context.Context) error {
	n.life.Lock()
	defer n.life.Unlock()
	n.mu.Lock()
	closed := n.closed
	n.mu.Unlock()
	if closed {
		return ErrClosed
	}
	n.interrupt(ErrSuspended)
	var wait sync.WaitGroup
	for _, s := range n.router.servers() {
		wait.Go(func() { s.suspend(ctx) })
	}
	wait.Wait()
	n.punchSockets.closeAll(true)
	return n.rpc.Suspend()
}

// Resume undoes Suspend. If it fails, the node remains suspended.
func (n *Node) Resume() error {
	n.life.Lock()
	defer n.life.Unlock()
	if err := n.rpc.Resume(); err != nil {
		return n.errorOf(err)
	}
	n.mu.Lock()
	if n.connects.Err() != nil && !n.closed {
		n.connects, n.interrupt = context.WithCancelCause(n.ctx)
	}
	n.mu.Unlock()
	n.punches.resumed()
	for _, s := range n.router.servers() {
		s.resume()
	}
	return nil
}

// Close closes the servers, which take back their announcements as long as ctx
// allows, and then does what Destroy does.
func (n *Node) Close(ctx context.Context) error {
	var wait sync.WaitGroup
	for _, s := range n.router.servers() {
		wait.Go(func() { _ = s.Shutdown(ctx) }) // what remains of it expires
	}
	wait.Wait()
	return n.Destroy()
}

// Destroy ends everything at once: requests, connections, servers, whose
// announcements are left to expire. It returns when the node's goroutines are gone.
func (n *Node) Destroy() error {
	n.life.Lock()
	defer n.life.Unlock()
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	n.mu.Unlock()

	n.cancel(ErrClosed)
	for _, s := range n.router.servers() {
		s.destroy()
	}
	n.punchSockets.closeAll(false)
	err := n.rpc.Close()
	n.tasks.Wait()
	err = errors.Join(err, n.mux.Close())
	if n.stored != nil {
		<-n.stored
	}
	return err
}
