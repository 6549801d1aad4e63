package replicate

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"

	"github.com/cairn-feeds/cairn/codec"
	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

// An Extension is a kind of messages of an application's own, on a session or, per
// feed, on all sessions of a host. Remotes that have not registered it ignore its
// messages. The transport cipher does not authenticate: nothing of consequence may
// rest on what arrives.
type Extension[T any] struct {
	set  *extensionSet
	name string
	enc  codec.Encoding[T]
	host *Host    // of a feed's extension
	s    *Session // of a session's extension
	feed tree.DiscoveryKey
}

// ExtensionHandler is told what arrives on an extension. Both functions may be nil,
// must not block, and are called in order. The peer is nil for an extension of a
// session.
type ExtensionHandler[T any] struct {
	Message func(s *Session, p *Peer, message T)
	// Error is called for payloads that cannot be decoded. The session goes on.
	Error func(s *Session, p *Peer, err error)
}

// RegisterExtension adds an extension for a feed, on all sessions of the host, now
// and later. The error matches ErrExtensionName.
func RegisterExtension[T any](h *Host, feed tree.DiscoveryKey, name string, enc codec.Encoding[T], handler ExtensionHandler[T]) (*Extension[T], error) {
	h.mu.Lock()
	set := h.mu.extensions[feed]
	if set == nil {
		set = &extensionSet{}
		h.mu.extensions[feed] = set
	}
	h.mu.Unlock()
	x := &Extension[T]{set: set, name: name, enc: enc, host: h, feed: feed}
	if err := set.add(name, receiver(enc, handler)); err != nil {
		return nil, err
	}
	x.announce()
	return x, nil
}

// RegisterSessionExtension adds an extension of one session, independent of feeds.
// The error matches ErrExtensionName.
func RegisterSessionExtension[T any](s *Session, name string, enc codec.Encoding[T], handler ExtensionHandler[T]) (*Extension[T], error) {
	x := &Extension[T]{set: &s.extensions, name: name, enc: enc, s: s}
	if err := s.extensions.add(name, receiver(enc, handler)); err != nil {
		return nil, err
	}
	return x, nil
}

// receiver decodes for a handler.
func receiver[T any](enc codec.Encoding[T], h ExtensionHandler[T]) func(*Session, *Peer, []byte) {
	return func(s *Session, p *Peer, payload []byte) {
		v, err := enc.Decode(slices.Clone(payload))
		switch {
		case err != nil && h.Error != nil:
			h.Error(s, p, err)
		case err == nil && h.Message != nil:
			h.Message(s, p, v)
		}
	}
}

// Name returns the name it was registered with.
func (x *Extension[T]) Name() string { return x.name }

// Destroy removes the extension.
func (x *Extension[T]) Destroy() {
	x.set.remove(x.name)
	x.announce()
}

// Send sends a message to a peer of the feed, or, if it is an extension of a
// session, to the remote; p is nil then. It waits while too much waits to be sent.
// The error matches ErrNotOpen when that peer is not open, and is that of the encoding
// or the session's reason otherwise.
func (x *Extension[T]) Send(p *Peer, message T) error {
	payload, err := x.enc.Append(nil, message)
	if err != nil {
		return err
	}
	if x.s != nil {
		return x.s.sendExtension(x.name, payload)
	}
	if p == nil {
		return ErrNotOpen
	}
	return p.sendExtension(x.set, x.name, payload)
}

// Broadcast sends a message to all open peers of the feed, or to the remote of the
// session, and says whether there was one.
func (x *Extension[T]) Broadcast(message T) bool {
	if x.s != nil {
		return x.Send(nil, message) == nil
	}
	sent := false
	for _, p := range x.host.Peers(x.feed) {
		sent = x.Send(p, message) == nil || sent
	}
	return sent
}

// announce tells the open peers of the feed that the set has changed.
func (x *Extension[T]) announce() {
	if x.host == nil {
		return
	}
	for _, p := range x.host.Peers(x.feed) {
		p.sendOptions()
	}
}

// extensionSet are the extensions that are registered in one place.
type extensionSet struct {
	mu       sync.Mutex
	names    []string // sorted by UTF-16 code units, as JavaScript does
	handlers map[string]func(*Session, *Peer, []byte)
	version  int
}

// extensionSent remembers which version of a set a remote was told.
type extensionSent struct {
	mu      sync.Mutex
	version int
}

func (e *extensionSet) add(name string, handler func(*Session, *Peer, []byte)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.handlers[name] != nil {
		return fmt.Errorf("%w: %q", ErrExtensionName, name)
	}
	if e.handlers == nil {
		e.handlers = make(map[string]func(*Session, *Peer, []byte))
	}
	e.handlers[name] = handler
	i, _ := slices.BinarySearchFunc(e.names, name, compareUTF16)
	e.names = slices.Insert(slices.Clone(e.names), i, name)
	e.version++
	return nil
}

func (e *extensionSet) remove(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.handlers[name] == nil {
		return
	}
	delete(e.handlers, name)
	e.names = slices.DeleteFunc(slices.Clone(e.names), func(n string) bool { return n == name })
	e.version++
}

// list returns the names, which must not be changed.
func (e *extensionSet) list() (names []string, version int) {
	if e == nil {
		return nil, 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.names, e.version
}

// receive hands a message to the handler of its name. The numbers are those of
// the sender's list.
func (e *extensionSet) receive(theirs []string, m *wire.Extension, s *Session, p *Peer) {
	if e == nil || m.ID >= uint64(len(theirs)) {
		return
	}
	e.mu.Lock()
	handler := e.handlers[theirs[m.ID]]
	e.mu.Unlock()
	if handler != nil {
		payload := slices.Clone(m.Payload)
		s.events.put(func() { handler(s, p, payload) })
	}
}

// compareUTF16 orders strings as JavaScript does.
func compareUTF16(a, b string) int {
	if !strings.ContainsFunc(a, outsideBMP) && !strings.ContainsFunc(b, outsideBMP) {
		return strings.Compare(a, b)
	}
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

func outsideBMP(r rune) bool { return r > 0xffff }

// sendExtension sends a message of the stream's, behind our list of names if that
// has changed since.
func (s *Session) sendExtension(name string, payload []byte) error {
	select {
	case <-s.ready:
	case <-s.ctx.Done():
		return s.reason()
	}
	s.offered.mu.Lock()
	defer s.offered.mu.Unlock()
	names, version := s.extensions.list()
	id := slices.Index(names, name)
	if id < 0 {
		return ErrNotOpen
	}
	var frames []byte
	if s.offered.version != version {
		s.offered.version = version
		frames = (&wire.Options{Extensions: names}).AppendFrame(frames, 0)
	}
	return s.sendWaiting((&wire.Extension{ID: uint64(id), Payload: payload}).AppendFrame(frames, 0))
}

// sendWaiting queues frames when there is room for them.
func (s *Session) sendWaiting(frames []byte) error {
	s.mu.Lock()
	for !s.mu.over && len(s.mu.control) > s.host.opts.Limits.Output {
		s.room.Wait()
	}
	if s.mu.over || s.mu.wrote {
		s.mu.Unlock()
		return s.reason()
	}
	s.mu.control = append(s.mu.control, frames...)
	s.mu.Unlock()
	s.kick()
	return nil
}

// sendExtension sends a message on the feed's channel.
func (p *Peer) sendExtension(set *extensionSet, name string, payload []byte) error {
	p.sentExtensions.mu.Lock()
	defer p.sentExtensions.mu.Unlock()
	names, version := set.list()
	id := slices.Index(names, name)
	local, open := p.number()
	if id < 0 || !open {
		return ErrNotOpen
	}
	var frames []byte
	if p.sentExtensions.version != version {
		p.sentExtensions.version = version
		frames = (&wire.Options{Extensions: names, Ack: p.session.host.opts.Ack}).AppendFrame(frames, local)
	}
	return p.session.sendWaiting((&wire.Extension{ID: uint64(id), Payload: payload}).AppendFrame(frames, local))
}

// sendOptions tells the remote our extensions if they have changed, and that we
// want acks.
func (p *Peer) sendOptions() {
	p.sentExtensions.mu.Lock()
	defer p.sentExtensions.mu.Unlock()
	names, version := p.extensions().list()
	local, open := p.number()
	if !open || p.sentExtensions.version == version && (version != 0 || !p.session.host.opts.Ack) {
		return
	}
	p.sentExtensions.version = version
	p.session.send(&wire.Options{Extensions: names, Ack: p.session.host.opts.Ack}, local)
}

// extensions are those of the feed, nil for none.
func (p *Peer) extensions() *extensionSet {
	h := p.session.host
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.extensions[p.dk]
}

func (p *Peer) onOptions(m *wire.Options) {
	p.theirExtensions = append([]string(nil), m.Extensions...)
	p.hub.mu.Lock()
	p.remoteAck = m.Ack
	p.hub.mu.Unlock()
}

func (p *Peer) onExtension(m *wire.Extension) {
	p.extensions().receive(p.theirExtensions, m, p.session, p)
}
