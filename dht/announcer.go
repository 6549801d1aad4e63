package dht

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

const (
	// serverRelays is how many nodes a server is announced to.
	serverRelays = 3
	// After relayPings rounds of pings, relayPause apart, the nodes closest to the
	// server are looked for anew: about every five minutes.
	relayPings = 100
	relayPause = 3 * time.Second
)

// announcer keeps a server announced to the nodes closest to its key, which pass
// messages on to it. It pings them, which also keeps the way open through our NAT.
type announcer struct {
	node   *Node
	key    KeyPair
	target rpc.ID
	wake   chan struct{} // something changed that run is to look at

	busy chan struct{} // has room for a round of announcing or unannouncing

	mu         sync.Mutex
	suspended  bool
	refreshing bool
	// The relays of the last rounds, newest first: handshakes that began with older ones
	// may still come.
	rounds  [3]map[netip.AddrPort]bool
	relays  []messages.RelayInfo
	nodes   []netip.AddrPort // what others are told to use
	closest []netip.AddrPort // where the last round ended
}

func newAnnouncer(n *Node, key KeyPair) *announcer {
	return &announcer{node: n, key: key, target: key.Public.Target(), wake: make(chan struct{}, 1), busy: make(chan struct{}, 1)}
}

// state returns the nodes that pass messages on to the server.
func (a *announcer) state() (relays []messages.RelayInfo, nodes []netip.AddrPort) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.relays, a.nodes
}

// isRelay reports whether messages from addr are passed on by one of the nodes.
func (a *announcer) isRelay(addr netip.AddrPort) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rounds[0][addr] || a.rounds[1][addr] || a.rounds[2][addr]
}

// refresh makes run look for the closest nodes anew.
func (a *announcer) refresh() {
	a.mu.Lock()
	a.refreshing = true
	a.mu.Unlock()
	a.nudge()
}

func (a *announcer) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run keeps the server announced until ctx ends. The first round is over when it
// starts.
func (a *announcer) run(ctx context.Context) {
	for ctx.Err() == nil {
		a.watch(ctx)
		a.mu.Lock()
		a.refreshing = false
		a.mu.Unlock()
		a.update(ctx)
		for ctx.Err() == nil && a.node.rpc.Health() == rpc.Offline {
			a.sleep(ctx, relayPause)
		}
	}
}

// watch pings the relays until it is time for another round.
func (a *announcer) watch(ctx context.Context) {
	for i := 0; i < relayPings; {
		a.mu.Lock()
		refreshing, suspended := a.refreshing, a.suspended
		relays := slices.Collect(maps.Keys(a.rounds[0]))
		a.mu.Unlock()
		switch {
		case suspended:
			if !a.sleep(ctx, time.Hour) {
				return
			}
			continue
		case refreshing:
			return
		}
		if a.alive(ctx, relays) < len(relays) || len(relays) == 0 && i > 0 {
			return
		}
		if !a.sleep(ctx, relayPause) {
			return
		}
		i++
	}
}

// alive pings the relays and returns how many answer.
func (a *announcer) alive(ctx context.Context, relays []netip.AddrPort) int {
	answers := make(chan bool, len(relays))
	for _, to := range relays {
		go func() {
			_, err := a.node.rpc.Ping(ctx, to, nil)
			answers <- err == nil
		}()
	}
	alive := 0
	for range relays {
		if <-answers {
			alive++
		}
	}
	return alive
}

// sleep waits, or until there is something to look at. It reports false when ctx has
// ended.
func (a *announcer) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.wake:
	case <-ctx.Done():
		return false
	}
	return true
}

// begin waits for its turn to announce or unannounce; then end must be called. It
// reports false when ctx has ended.
func (a *announcer) begin(ctx context.Context) bool {
	select {
	case a.busy <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *announcer) end() { <-a.busy }

// update runs a round: it finds the nodes closest to the server, announces it to
// them, and takes it back from those that were closest before.
func (a *announcer) update(ctx context.Context) {
	if !a.begin(ctx) {
		return
	}
	defer a.end()
	a.mu.Lock()
	suspended, start := a.suspended, a.closest
	a.mu.Unlock()
	if suspended {
		return
	}
	q := a.node.rpc.Query(a.target, messages.FindPeer, nil, &rpc.QueryOptions{Nodes: start})
	if err := q.Finish(ctx); err != nil {
		a.node.log.Debug("looking for relays failed", "error", err)
	}
	if ctx.Err() != nil {
		return
	}
	replies := q.ClosestReplies()
	replies = replies[:min(len(replies), serverRelays)]
	announced := make([]bool, len(replies))
	var requests sync.WaitGroup
	for i, r := range replies {
		requests.Go(func() {
			err := a.node.announceTo(ctx, a.target, a.key, &AnnounceOptions{}, r)
			if announced[i] = err == nil; err != nil {
				a.node.log.Debug("announcing a server failed", "to", r.From, "error", err)
			}
		})
	}
	requests.Wait()

	var relays []messages.RelayInfo
	var nodes []netip.AddrPort
	round := make(map[netip.AddrPort]bool)
	if own, ok := a.node.rpc.RemoteAddr(); ok {
		nodes = append(nodes, own)
	}
	for i, r := range replies {
		if !announced[i] {
			continue
		}
		relays = append(relays, messages.RelayInfo{RelayAddress: r.From, PeerAddress: r.To})
		if len(nodes) < maxRelays {
			nodes = append(nodes, r.From)
		}
		round[r.From] = true
	}
	a.mu.Lock()
	a.rounds[0], a.rounds[1], a.rounds[2] = round, a.rounds[0], a.rounds[1]
	a.relays, a.nodes, a.closest = relays, nodes, q.ClosestNodes()
	var former []netip.AddrPort
	for addr := range a.rounds[1] {
		if !round[addr] {
			former = append(former, addr)
		}
	}
	a.mu.Unlock()
	a.unannounce(ctx, former)
}

// stop takes the server back from the nodes.
func (a *announcer) stop(ctx context.Context) {
	if !a.begin(ctx) {
		return
	}
	defer a.end()
	a.mu.Lock()
	relays := slices.Collect(maps.Keys(a.rounds[0]))
	a.mu.Unlock()
	a.unannounce(ctx, relays)
}

// suspend stops announcing, and takes the server back.
func (a *announcer) suspend(ctx context.Context) {
	a.mu.Lock()
	a.suspended = true
	a.mu.Unlock()
	a.nudge()
	a.stop(ctx)
}

func (a *announcer) resume() {
	a.mu.Lock()
	a.suspended, a.refreshing = false, true
	a.mu.Unlock()
	a.nudge()
}

// unannounce takes the server back from nodes.
func (a *announcer) unannounce(ctx context.Context, nodes []netip.AddrPort) {
	var requests sync.WaitGroup
	for _, to := range nodes {
		requests.Go(func() {
			// For a token.
			r, err := a.node.rpc.Request(ctx, to, rpc.Message{Command: messages.FindPeer, Target: &a.target}, nil)
			if err == nil && r.Value != nil {
				_ = a.node.unannounceFrom(ctx, a.target, a.key, r) // it expires anyway
			}
		})
	}
	requests.Wait()
}
