package rpc

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// resolvedFor is how long the address of a bootstrap node is remembered.
const resolvedFor = 5 * time.Minute

// resolver remembers the addresses of bootstrap nodes.
type resolver struct {
	mu    sync.Mutex
	known map[bootstrapNode]resolved
}

type resolved struct {
	addr  netip.AddrPort
	until time.Time
}

// bootstrapNodes returns the addresses of the bootstrap nodes that have one.
func (n *Node) bootstrapNodes(ctx context.Context) []netip.AddrPort {
	addrs := make([]netip.AddrPort, len(n.bootstrap))
	var wg sync.WaitGroup
	for i, b := range n.bootstrap {
		if ip, err := netip.ParseAddr(b.host); err == nil && !b.suggested.IsValid() {
			addrs[i] = plain(netip.AddrPortFrom(ip, b.port))
			continue
		}
		wg.Go(func() { addrs[i] = n.resolve(ctx, b) })
	}
	wg.Wait()
	return slices.DeleteFunc(addrs, func(a netip.AddrPort) bool { return !isUsable(a) })
}

// resolve finds the address of a bootstrap node: the suggested one if that answers,
// else what its name stands for, if anything.
func (n *Node) resolve(ctx context.Context, b bootstrapNode) netip.AddrPort {
	now := time.Now()
	n.resolver.mu.Lock()
	r, known := n.resolver.known[b]
	n.resolver.mu.Unlock()
	if known && now.Before(r.until) {
		return r.addr
	}

	addr := plain(netip.AddrPortFrom(b.suggested, b.port))
	if !b.suggested.IsValid() || !n.answers(ctx, addr) {
		ip, err := netip.ParseAddr(b.host)
		if err != nil {
			ip, err = n.opts.Resolve(ctx, b.host)
		}
		if err != nil {
			n.opts.Logger.Debug("bootstrap node has no address", "host", b.host, "error", err)
			return netip.AddrPort{}
		}
		addr = plain(netip.AddrPortFrom(ip, b.port))
	}
	n.resolver.mu.Lock()
	defer n.resolver.mu.Unlock()
	if n.resolver.known == nil {
		n.resolver.known = make(map[bootstrapNode]resolved)
	}
	n.resolver.known[b] = resolved{addr: addr, until: now.Add(resolvedFor)}
	return addr
}

func (n *Node) answers(ctx context.Context, addr netip.AddrPort) bool {
	_, err := n.Ping(ctx, addr, nil)
	return err == nil
}
