package rpc

import (
	"context"
	"net/netip"
	"time"
)

// runBootstrap finds the node's place: it walks to its own id, so that the nodes
// around it are in its table, and it in theirs if it is persistent. If one node
// reaches the server socket while that goes on, it is worth finding out whether all
// do, even for a node that is not to be persistent; if so, the id is another one
// and the walk is repeated.
func (n *Node) runBootstrap() {
	forced := n.opts.Mode == Persistent
	var quick *quickProbe
	if !n.opts.NotFirewalled && !n.opts.NoQuickFirewall && !forced {
		quick = &quickProbe{pong: make(chan struct{}, 1)}
	}
	for attempt := range 2 {
		for r, err := range n.backgroundQuery(n.TableID()).Replies(n.ctx) {
			if err != nil {
				n.opts.Logger.Debug("bootstrapping ended early", "error", err)
				break
			}
			if quick != nil {
				quick.start(n, r)
			}
		}
		worthwhile := attempt == 0 && (forced || quick != nil && quick.succeeds(n.ctx))
		if !worthwhile || !n.updateNetworkState(!forced) {
			break
		}
	}

	if n.ctx.Err() != nil {
		return
	}
	n.mu.Lock()
	n.core.bootstrapped = true
	n.core.event(EventReady, netip.AddrPort{})
	known := n.core.table.size
	n.unlock()
	n.opts.Logger.Info("node is ready", "nodes", known)
	close(n.ready)
}

// quickProbe asks the first node that answers to answer to the server socket as well.
type quickProbe struct {
	pong     chan struct{} // has one if it did
	patience time.Duration // for the pong when everything else is done
}

// maxPatience bounds how long a node that is firewalled waits to find out.
const maxPatience = 500 * time.Millisecond

func (p *quickProbe) start(n *Node, first *Reply) {
	if p.patience > 0 {
		return
	}
	p.patience = min(2*first.RTT+10*time.Millisecond, maxPatience)
	n.pingNAT(first.From, func(_ *Reply, err error) {
		if err == nil {
			p.pong <- struct{}{}
		}
	})
}

// succeeds waits for the pong about as long as it takes on the first node's way. On
// a short way, the whole walk may have been faster.
func (p *quickProbe) succeeds(ctx context.Context) bool {
	if p.patience == 0 {
		return false
	}
	patience := time.NewTimer(p.patience)
	defer patience.Stop()
	select {
	case <-p.pong:
		return true
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
}

// Refresh looks for nodes at some place that the routing table knows of, in the
// background.
func (n *Node) Refresh() {
	n.mu.Lock()
	target := n.core.table.id
	if some := n.core.table.random(); some != nil {
		target = some.id
	}
	n.mu.Unlock()
	n.explore(target)
}

// explore looks for nodes close to target in the background. The nodes that are
// asked come to know this one if it is persistent.
func (n *Node) explore(target ID) {
	n.spawn(func() {
		if err := n.backgroundQuery(target).Finish(n.ctx); err != nil {
			n.opts.Logger.Debug("walk in the background ended early", "error", err)
		}
	})
}
