package replicate

import (
	"context"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/tree"
)

// A Host replicates feeds with the remotes of any number of sessions. What the
// peers of one feed do is coordinated here, whatever sessions they are on. The
// methods may be called from any goroutine.
type Host struct {
	store Store // may be nil
	opts  Options
	total counters

	ctx     context.Context // ends with Close
	cancel  context.CancelCauseFunc
	running sync.WaitGroup // every goroutine of the host and its sessions

	mu struct {
		sync.Mutex
		closed     bool
		sessions   map[*Session]struct{}
		handshakes []*Session // unfinished, oldest first
		hubs       map[tree.DiscoveryKey]*hub
		extensions map[tree.DiscoveryKey]*extensionSet
		ticking    bool // the clock runs
	}
}

// NewHost returns a host that serves the feeds of store, opened when a remote
// names them, and those that are added to its sessions. store may be nil.
func NewHost(store Store, opts *Options) *Host {
	h := &Host{store: store, opts: opts.withDefaults()}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	h.mu.sessions = make(map[*Session]struct{})
	h.mu.hubs = make(map[tree.DiscoveryKey]*hub)
	h.mu.extensions = make(map[tree.DiscoveryKey]*extensionSet)
	return h
}

// Serve replicates over stream until the session ends, and closes stream. The side
// that opened the connection is the initiator. It returns nil when both sides came
// to an end in order; the errors are listed at ErrClosed. When ctx ends the session
// does, with its cause.
func (h *Host) Serve(ctx context.Context, stream io.ReadWriteCloser, initiator bool) error {
	return h.Start(ctx, stream, initiator).Wait()
}

// Start is Serve for callers who go on: it returns the session at once, which runs
// until it is done and must be waited for or closed.
func (h *Host) Start(ctx context.Context, stream io.ReadWriteCloser, initiator bool) *Session {
	s := newSession(h, stream, initiator)
	h.mu.Lock()
	if h.mu.closed {
		h.mu.Unlock()
		s.fail(ErrClosed)
		close(s.done)
		return s
	}
	h.mu.sessions[s] = struct{}{}
	h.mu.handshakes = append(h.mu.handshakes, s)
	var crowded *Session
	if len(h.mu.handshakes) > h.opts.Limits.Handshakes {
		crowded = h.mu.handshakes[0]
		h.mu.handshakes = slices.Delete(h.mu.handshakes, 0, 1)
	}
	h.running.Go(func() { s.routineRead(ctx) })
	if !h.mu.ticking {
		h.mu.ticking = true
		h.running.Go(h.routineClock)
	}
	h.mu.Unlock()
	if crowded != nil {
		crowded.fail(ErrHandshakes)
	}
	return s
}

// shook says that a session's handshake is no longer under way.
func (h *Host) shook(s *Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.mu.handshakes, s); i >= 0 {
		h.mu.handshakes = slices.Delete(h.mu.handshakes, i, i+1)
	}
}

// left removes a session that has ended.
func (h *Host) left(s *Session) {
	h.shook(s)
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.mu.sessions, s)
}

// Sessions returns the sessions that are running, in no order.
func (h *Host) Sessions() []*Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.mu.sessions))
}

// Peers returns the peers that a feed has on all sessions.
func (h *Host) Peers(dk tree.DiscoveryKey) []*Peer {
	hub := h.hub(dk)
	if hub == nil {
		return nil
	}
	hub.mu.Lock()
	defer hub.mu.Unlock()
	return slices.Clone(hub.peers)
}

func (h *Host) hub(dk tree.DiscoveryKey) *hub {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.hubs[dk]
}

// Stats returns the totals of all sessions, also those that have ended.
func (h *Host) Stats() Stats { return h.total.stats() }

// Close ends all sessions with ErrClosed and returns when nothing of the host runs
// any more.
func (h *Host) Close() error {
	h.mu.Lock()
	h.mu.closed = true
	sessions := slices.Collect(maps.Keys(h.mu.sessions))
	h.mu.Unlock()
	for _, s := range sessions {
		s.fail(ErrClosed)
	}
	h.cancel(ErrClosed)
	h.running.Wait()
	return nil
}

// routineClock lets sessions and feeds know how time goes by. It runs while there
// are sessions.
func (h *Host) routineClock() {
	pause := 500 * time.Millisecond
	if t := h.opts.Timeout; t > 0 {
		pause = min(pause, max(t/8, time.Millisecond))
	}
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	var sessions []*Session
	var hubs []*hub
	for {
		select {
		case <-ticker.C:
		case <-h.ctx.Done():
			return
		}
		now := time.Now()
		h.mu.Lock()
		if len(h.mu.sessions) == 0 {
			h.mu.ticking = false
			h.mu.Unlock()
			return
		}
		sessions = slices.AppendSeq(sessions[:0], maps.Keys(h.mu.sessions))
		hubs = slices.AppendSeq(hubs[:0], maps.Values(h.mu.hubs))
		h.mu.Unlock()
		for _, s := range sessions {
			s.tick(now)
		}
		for _, hub := range hubs {
			hub.tick(now)
		}
		clear(sessions)
		clear(hubs)
	}
}
