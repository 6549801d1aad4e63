package udx

import (
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/protocol"
)

// Options are settings of a Mux. The zero value works.
type Options struct {
	// Logger gets what goes wrong with sockets. Nil means nowhere.
	Logger *slog.Logger
}

// Mux owns sockets and streams. Ids of streams are unique in a Mux, and a packet
// for a stream may arrive on any of its sockets.
type Mux struct {
	log   *slog.Logger
	epoch time.Time
	send  sender
	wg    sync.WaitGroup

	mu struct {
		sync.RWMutex
		streams map[uint32]*Stream
		sockets map[*Socket]struct{}
		linger  lingering
		closed  bool
	}
}

// New returns a Mux without sockets. Close must be called.
func New(opts *Options) *Mux {
	if opts == nil {
		opts = &Options{}
	}
	m := &Mux{log: opts.Logger, epoch: time.Now().Add(-time.Second)}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.mu.streams = make(map[uint32]*Stream)
	m.mu.sockets = make(map[*Socket]struct{})
	m.send.init()
	m.wg.Go(m.send.run)
	return m
}

// now is an instant of the protocol: time since an epoch, never zero.
func (m *Mux) now() time.Duration { return time.Since(m.epoch) }

// NewStream reserves an id and begins to receive for it: what the firewall of
// the options lets pass is accepted before the stream is connected. The error is
// ErrIDInUse or net.ErrClosed. A nil opts means the defaults.
func (m *Mux) NewStream(opts *StreamOptions) (*Stream, error) {
	o := opts.withDefaults()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		return nil, net.ErrClosed
	}
	for random := o.ID == 0; ; {
		if random {
			o.ID = rand.Uint32()
		}
		if o.ID != 0 && m.mu.streams[o.ID] == nil {
			break
		}
		if !random {
			return nil, ErrIDInUse
		}
	}
	s := newStream(m, o)
	m.mu.streams[o.ID] = s
	m.mu.linger.remove(o.ID)
	return s, nil
}

func (m *Mux) stream(id uint32) *Stream {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mu.streams[id]
}

// forget frees the id of a stream that is over. After a clean end it goes on to
// acknowledge what the remote repeats.
func (m *Mux) forget(s *Stream, clean bool, via *route, p *protocol.Stream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mu.streams, s.id)
	if clean && via != nil && !m.mu.closed {
		m.mu.linger.add(s.id, finished{ack: p.FinalAck(), via: via, until: m.now() + lingerTime})
	}
}

// Close destroys all streams and closes all sockets. It waits for the goroutines
// of the Mux, so it must not be called from a callback.
func (m *Mux) Close() error {
	m.mu.Lock()
	if m.mu.closed {
		m.mu.Unlock()
		return nil
	}
	m.mu.closed = true
	sockets := make([]*Socket, 0, len(m.mu.sockets))
	for s := range m.mu.sockets {
		sockets = append(sockets, s)
	}
	streams := make([]*Stream, 0, len(m.mu.streams))
	for _, s := range m.mu.streams {
		streams = append(streams, s)
	}
	m.mu.Unlock()

	for _, s := range streams {
		s.destroy(net.ErrClosed)
	}
	for _, s := range sockets {
		s.Close()
	}
	m.send.stop()
	m.wg.Wait()
	return nil
}
