package static

import (
	"context"
	"io"
	"slices"
	"sync"
	"unicode/utf16"

	"github.com/cairn-feeds/cairn/tree"
)

// A Host shares the static feeds of a core over any number of connections. Its methods may
// be called from any goroutine.
type Host struct {
	opts      Options
	lookup    func(tree.Hash) (Feed, bool, error)
	stopWatch func()
	streaming sync.WaitGroup

	// mu guards everything below, and the state of shares, streams and channels. It is never
	// held while a feed is called or something waits.
	mu         sync.Mutex
	shares     map[tree.Hash]*share
	wanting    map[*share]struct{} // those that somebody waits for blocks of
	streams    map[*Stream]struct{}
	unshaken   []*Stream // without handshake, oldest first
	extensions []string
	started    bool
	closed     bool
}

// NewHost returns a host of the feeds of a core. opts may be nil. It must be closed, before
// the core.
func NewHost[F Feed](core Core[F], opts *Options) *Host {
	h := &Host{
		opts:    opts.withDefaults(),
		shares:  make(map[tree.Hash]*share),
		wanting: make(map[*share]struct{}),
		streams: make(map[*Stream]struct{}),
		lookup: func(id tree.Hash) (Feed, bool, error) {
			f, ok, err := core.Lookup(id)
			return f, ok, err
		},
	}
	h.stopWatch = core.Watch(h.interestChanged)
	for id := range core.Interests() {
		h.interestChanged(id)
	}
	return h
}

// ID returns what the host calls itself in handshakes.
func (h *Host) ID() [32]byte { return h.opts.ID }

// Use adds an extension, by name. All are added before the first stream; after that the error
// matches ErrStarted. Both sides have to use an extension for its messages to be passed on.
func (h *Host) Use(extension string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.started {
		return ErrStarted
	}
	if len(h.extensions) == MaxExtensions || extension == "" || len(extension) > maxExtensionName || slices.Contains(h.extensions, extension) {
		return ErrExtensions
	}
	h.extensions = append(h.extensions, extension)
	return nil
}

// Stream returns a stream to the remote at the other end of conn, which is closed with it.
// Nothing happens until [Stream.Run] is called, which must be.
func (h *Host) Stream(conn io.ReadWriteCloser) *Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.started {
		h.started = true
		slices.SortFunc(h.extensions, func(a, b string) int { // as the original sorts
			return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		})
	}
	return newStream(h, conn)
}

// Serve replicates over conn until either side ends it, and closes it. It returns nil when
// the remote ended the stream between two frames, else what ended it: the context's cause,
// one of the errors of this package, or that of conn or of the feeds.
func (h *Host) Serve(ctx context.Context, conn io.ReadWriteCloser) error {
	return h.Stream(conn).Run(ctx)
}

// Streams returns how many connections there are.
func (h *Host) Streams() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

// Uploading reports whether a remote that asks for blocks of a feed lacks some that are
// here.
func (h *Host) Uploading(id tree.Hash) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.shares[id]
	if s == nil || s.present == nil {
		return false
	}
	for c := range s.channels {
		if _, lacks := s.present.NextDifference(0, c.remoteHas); lacks && !c.remotePaused {
			return true
		}
	}
	return false
}

// Lacking reports whether a remote has blocks of a feed that are not here.
func (h *Host) Lacking(id tree.Hash) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.shares[id]
	if s == nil || s.present == nil {
		return false
	}
	for c := range s.channels {
		if _, has := c.remoteHas.NextDifference(0, s.present); has {
			return true
		}
	}
	return false
}

// Close ends all streams with ErrClosed, waits for them and gives the feeds back. It may be
// called more than once.
func (h *Host) Close() {
	h.stopWatch()
	h.mu.Lock()
	h.closed = true
	for s := range h.streams {
		s.failLocked(ErrClosed)
	}
	h.mu.Unlock()
	h.streaming.Wait()
	h.mu.Lock()
	var feeds []attached
	for _, s := range h.shares {
		feeds = append(feeds, h.detachLocked(s))
	}
	h.mu.Unlock()
	closeAll(feeds)
}

// interestChanged is called when a feed becomes or ceases to be of interest.
func (h *Host) interestChanged(id tree.Hash) {
	s, err := h.open(id)
	if err != nil {
		h.opts.Logger.Warn("static feed cannot be opened", "feed", id, "error", err)
		return
	}
	if s == nil {
		return
	}
	s.refresh()
	h.mu.Lock()
	if s.downloading {
		for st := range h.streams {
			st.joinLocked(s)
		}
	}
	dropped := h.dropLocked(s)
	h.mu.Unlock()
	dropped.close()
}

// open returns the share of a feed, with the feed attached if there is one; nil when there
// is neither.
func (h *Host) open(id tree.Hash) (*share, error) {
	h.mu.Lock()
	s := h.shares[id]
	done := h.closed || s != nil && s.feed != nil
	h.mu.Unlock()
	if done {
		return s, nil
	}
	feed, ok, err := h.lookup(id)
	if err != nil || !ok {
		return s, err
	}
	h.mu.Lock()
	s = h.shareLocked(id)
	if s.feed != nil || h.closed {
		h.mu.Unlock()
		return s, feed.Close() // somebody was faster
	}
	s.feed = feed
	h.mu.Unlock()
	stop := feed.Watch(s.refresh)
	h.mu.Lock()
	gone := s.feed != feed
	if !gone {
		s.stop = stop
	}
	h.mu.Unlock()
	if gone {
		stop()
	}
	s.refresh()
	return s, nil
}

// shareLocked returns the share of an id, a new one if need be.
func (h *Host) shareLocked(id tree.Hash) *share {
	s := h.shares[id]
	if s == nil {
		s = newShare(h, id)
		h.shares[id] = s
	}
	return s
}

// dropLocked forgets a share that nobody has use for. What it returns is to be closed without
// the lock.
func (h *Host) dropLocked(s *share) attached {
	if len(s.channels) > 0 || s.downloading {
		return attached{}
	}
	return h.detachLocked(s)
}

func (h *Host) detachLocked(s *share) attached {
	a := attached{s.feed, s.stop}
	s.feed, s.stop = nil, nil
	s.downloading, s.present = false, nil
	delete(h.wanting, s)
	if h.shares[s.id] == s {
		delete(h.shares, s.id)
	}
	return a
}

// attached is a feed that a share had.
type attached struct {
	feed Feed
	stop func()
}

func (a attached) close() {
	if a.stop != nil {
		a.stop()
	}
	if a.feed != nil {
		_ = a.feed.Close() // it was only served
	}
}

func closeAll(feeds []attached) {
	for _, a := range feeds {
		a.close()
	}
}
