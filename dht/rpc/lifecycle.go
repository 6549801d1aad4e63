package rpc

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Start binds the sockets and begins to look for the node's place in the network;
// Ready waits for that.
func (n *Node) Start() error {
	n.life.Lock()
	defer n.life.Unlock()
	if n.isClosed() {
		return ErrClosed
	}
	if n.started {
		return errors.New("rpc: node is started already")
	}
	client, server, err := n.bind()
	if err != nil {
		return err
	}
	n.started = true

	n.mu.Lock()
	c := n.core
	c.client, c.server = client, server
	if n.seed.IsValid() {
		c.sampleNAT(netip.AddrPortFrom(n.seed, n.bound.server))
	}
	c.startTicks(time.Now())
	c.event(EventListening, server.AddrPort())
	n.unlock()
	n.opts.Logger.Info("node is listening", "server", server.AddrPort(), "client", client.AddrPort())

	n.spawn(n.run)
	n.spawn(n.runBootstrap)
	return nil
}

// bind binds both sockets, to the ports that they had before if possible. life must
// be held.
func (n *Node) bind() (client, server Socket, err error) {
	var ports []uint16
	if n.bound.server != 0 {
		ports = append(ports, n.bound.server)
	}
	from, to := n.opts.ports()
	for p := from; p < to; p++ {
		ports = append(ports, uint16(p))
	}
	bind := func(port uint16) (Socket, error) {
		local := netip.AddrPortFrom(n.opts.Host, port)
		s, err := n.opts.Bind(local, n.Receive)
		if err != nil {
			return nil, fmt.Errorf("rpc: bind %v: %w", local, err)
		}
		return s, nil
	}

	for _, port := range ports {
		server, err = bind(port)
		if err == nil {
			break
		}
		if n.opts.FixedPort {
			return nil, nil, err
		}
	}
	if server == nil {
		if server, err = bind(0); err != nil {
			return nil, nil, err
		}
	}
	client, err = bind(n.bound.client)
	if err != nil && n.bound.client != 0 {
		client, err = bind(0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, server.Close())
	}
	n.bound.client, n.bound.server = client.AddrPort().Port(), server.AddrPort().Port()
	return client, server, nil
}

// Suspend ends all requests with ErrSuspended and closes the sockets, but keeps what
// the node knows. Messages are neither sent nor read until Resume. It must not be
// called by OnRequest.
func (n *Node) Suspend() error {
	n.life.Lock()
	defer n.life.Unlock()
	n.mu.Lock()
	c := n.core
	if c.closed || c.suspended || !n.started {
		defer n.mu.Unlock()
		if c.closed {
			return ErrClosed
		}
		return nil
	}
	c.suspended = true
	client, server := c.halt(time.Now(), ErrSuspended)
	n.unlock()

	err := errors.Join(server.Close(), client.Close())
	n.opts.Logger.Info("node is suspended")
	n.emit(EventSuspend)
	return err
}

// halt ends all that goes on with err and takes the sockets away.
func (c *core) halt(now time.Time, err error) (client, server Socket) {
	c.stopTicks()
	c.settleAll(now, err)
	c.window.reset(now)
	c.delayed = nil
	client, server = c.client, c.server
	c.client, c.server = nil, nil
	return client, server
}

// Resume undoes Suspend, as if the machine had slept meanwhile: what is known is
// old, and an adaptive node is ephemeral. If no socket can be bound, the node remains
// suspended.
func (n *Node) Resume() error {
	n.life.Lock()
	defer n.life.Unlock()
	n.mu.Lock()
	suspended, closed := n.core.suspended, n.core.closed
	n.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if !suspended {
		return nil
	}
	client, server, err := n.bind()
	if err != nil {
		return err
	}

	n.mu.Lock()
	c := n.core
	c.client, c.server = client, server
	c.suspended = false
	c.startTicks(time.Now())
	c.wakeup()
	c.event(EventListening, server.AddrPort())
	n.unlock()
	n.opts.Logger.Info("node is resumed", "server", server.AddrPort(), "client", client.AddrPort())
	n.Refresh()
	n.emit(EventResume)
	return nil
}

// Close ends all requests with ErrClosed, closes the sockets and waits for the
// node's goroutines. Later calls do nothing. It must not be called by OnRequest or
// OnEvent.
func (n *Node) Close() error {
	n.life.Lock()
	defer n.life.Unlock()
	n.mu.Lock()
	if n.core.closed {
		n.mu.Unlock()
		return nil
	}
	n.core.closed = true
	client, server := n.core.halt(time.Now(), ErrClosed)
	n.unlock()

	n.cancel(ErrClosed)
	var err error
	if server != nil {
		err = errors.Join(server.Close(), client.Close())
	}
	n.tasks.Wait()
	n.emit(EventClose)
	return err
}

func (n *Node) isClosed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.closed
}

// emit tells of an event that has no address.
func (n *Node) emit(kind EventKind) {
	if n.opts.OnEvent != nil {
		n.opts.OnEvent(Event{Kind: kind})
	}
}
